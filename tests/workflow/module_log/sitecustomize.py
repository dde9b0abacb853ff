"""Python imports this module as it starts; with MODULE_LOG it notes what a job has imported."""

import atexit
import os
import sys
from pathlib import Path

HEAVY = ("torch", "pandas", "scipy", "sklearn", "matplotlib", "altair")


def _note() -> None:
    loaded = [name for name in HEAVY if name in sys.modules]
    with open(os.environ["MODULE_LOG"], "a") as file:
        print(Path(sys.argv[0]).name.partition(".")[2], *loaded, file=file)


if "MODULE_LOG" in os.environ:
    atexit.register(_note)
