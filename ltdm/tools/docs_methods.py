"""The page of methods, made from their files: what each costs, its own words, its options.

`make docs` writes it; a test fails where it has fallen behind.
"""

from pathlib import Path
from types import ModuleType

import yaml

from ltdm.methods._objective import evaluations
from ltdm.plumbing.registry import load_module, parse_part, part_names
from ltdm.tools.docs_config import table
from ltdm.training import ensemble
from ltdm.training.options import Ensemble

PAGE = "docs/methods.md"
ENCODER = 0.267  # share of the papers' U-Net that lies before the way up
HEAD = """# Methods

<!-- Written by `make docs` from the files in ltdm/methods; do not edit. -->

An objective is the denoising loss and the terms of one method, or of several: `method: cbdm`, or
`method: [oclt, {name: cbdm, tau: 0.5}, agc]`. Whatever needs a gradient goes through the network in
one call. All are written in the network's own output F, with target F*: the noise for the process
`vp`. Any of them can be trained as an ensemble, which is on the last of this page's sections.

What an image costs in an update, in evaluations of the network, with 10 classes where nothing else
is said. F-equivalents count a backward pass as two forward ones, and the encoder as 0.27 of the
network. Where a method asks about images with a label alone, it asks about all of them, and the
others weigh 0: an update then has the same shape as any other, and is compiled and captured once.

"""
COSTS = [  # methods, as in a config, and the number of classes
    ("{name: ddpm}", 10),
    ("{name: cbdm}", 10),
    ("{name: cbdm, commitment_weight: 0}", 10),
    ("{name: oclt}", 10),
    ("{name: agc}", 10),
    ("{name: ccua}", 10),
    ("{name: ccua, al: 0}", 10),
    ("{name: igd, mode: shared, peers: {sample: 1}}", 10),
    ("{name: igd, mode: shared}", 10),
    ("{name: igd, mode: released}", 10),
    ("{name: igd, mode: released}", 100),
    ("{name: igd, mode: separate, peers: {sample: 1}}", 10),
    ("{name: igd, mode: separate}", 10),
    ("{name: igd, mode: separate, beta: 0}", 10),
]


def write(root: Path) -> None:
    """Write the page into the checkout at `root`."""
    (root / PAGE).write_text(text(), encoding="utf-8")


def text() -> str:
    """Return the page in Markdown."""
    methods = "".join(section("method", name) for name in part_names("method"))
    return HEAD + costs() + methods + chapter("Ensembles: train.ensemble", ensemble, Ensemble)


def costs() -> str:
    """Return the table of costs."""
    rows = [["method", "forward", "backward", "encoder", "F-equivalents"], ["---", *["---:"] * 4]]
    for method, classes in COSTS:
        found = evaluations([parse_part("method", yaml.safe_load(method), ())], classes)
        total = found.forward + 2 * found.backward + 3 * ENCODER * found.encoder
        counts = found.forward, found.backward, found.encoder, total
        shown = f"`{method}`" + (f", {classes} classes" if classes != 10 else "")
        rows.append([shown, *(f"{count:.3g}" for count in counts)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def section(kind: str, name: str) -> str:
    """Return what a part's file says of it."""
    module = load_module(kind, name, ())
    cited = f"\n```bibtex\n{module.CITATION}\n```\n" if module.CITATION else ""
    return chapter(name, module, module.Options) + cited


def chapter(title: str, module: ModuleType, options: type) -> str:
    """Return what a file says, and the options that it holds."""
    said = (module.__doc__ or "").strip()
    for word in ("Source:", "Sources:", "Cost:", "Released code:"):
        said = said.replace(f"\n{word}", f"\n\n**{word}**").replace("\n\n\n", "\n\n")
    return f"\n## {title}\n\n{said}\n\n{table(options)}"
