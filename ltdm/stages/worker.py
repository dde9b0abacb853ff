"""One of the processes that train a network together; `single.train` launches them."""

from pathlib import Path
from typing import Any

from ltdm.plumbing.stopping import StopRequest
from ltdm.stages.single import fit
from ltdm.training.setup import Recipe
from ltdm.training.state import Files
from ltdm.training.worker import work


def share(stop: StopRequest | None, who: dict[str, Any], files: list[str | None]) -> None:
    """Train as one of the processes that do; all that it is told comes as JSON."""
    paths: list[Any] = [file and Path(file) for file in files]
    fit(Recipe.of(who["spec"]), who, Files(*paths), stop)


if __name__ == "__main__":
    work(share)
