"""One of the processes that train a network together; `single.train` launches them."""

from pathlib import Path
from typing import Any

from ltdm.plumbing.stopping import Stop
from ltdm.stages.single import fit
from ltdm.training.setup import Recipe
from ltdm.training.state import Files
from ltdm.training.worker import run_worker


def train_rank(stop: Stop | None, who: dict[str, Any], files: list[str | None]) -> None:
    """Train as one of the processes that do; all that it is told comes as JSON."""
    paths: list[Any] = [file and Path(file) for file in files]
    fit(Recipe.from_spec(who["spec"]), who, Files(*paths), stop)


if __name__ == "__main__":
    run_worker(train_rank)
