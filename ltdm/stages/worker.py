"""One of the processes that train a network together; `single.train` launches them."""

from pathlib import Path
from typing import Any

from ltdm.plumbing.stopping import StopRequest
from ltdm.stages.single import fit
from ltdm.training.setup import Recipe
from ltdm.training.state import Files
from ltdm.training.worker import run_worker


def train_rank(
    stop: StopRequest | None,
    identity: dict[str, Any],
    places: dict[str, Any],
    files: list[str | None],
) -> None:
    """Train as one of several processes; all arguments but `stop` have passed through JSON."""
    paths: list[Any] = [file and Path(file) for file in files]
    fit(Recipe.from_spec(identity["spec"], places), identity, Files(*paths), stop)


if __name__ == "__main__":
    run_worker(train_rank)
