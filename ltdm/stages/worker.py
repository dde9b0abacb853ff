"""One of the processes that train a network together; `train.run` launches them."""

from ltdm.stages.train import fit
from ltdm.training.worker import work

if __name__ == "__main__":
    work(fit)
