"""The page of methods, from their files: costs, docstrings and options.

`make docs` writes it; a test fails if it is out of date.
"""

from dataclasses import astuple
from pathlib import Path
from types import ModuleType

import yaml

from ltdm.methods._objective import evaluations
from ltdm.plumbing.registry import load_module, parse_part, part_names
from ltdm.tools.docs_config import options_table
from ltdm.training import ensemble
from ltdm.training.options import Ensemble

PAGE = "docs/methods.md"
ENCODER_SHARE = 0.267  # of the papers' U-Net's operations, those before the decoder
HEAD = """# Methods

<!-- Written by `make docs` from the files in ltdm/methods; do not edit. -->

An objective is the denoising loss plus the terms of one or several methods: `method: cbdm`, or
`method: [oclt, {name: cbdm, tau: 0.5}, agc]`. All network evaluations that need a gradient are made
in one call. Losses are written in the network's own output F, with target F*: the noise for the
process `vp`. Any method can be trained as an ensemble; see the last section of this page.

The table has the cost of a training step per image, in network evaluations, for 10 classes unless
stated otherwise. F-equivalents count a backward pass as two forward passes, and the encoder as 0.27
and the decoder as 0.73 of the network. A method that needs labelled images only evaluates all
images and gives the others weight 0: every step then has the same shape, and is compiled and
captured once.

"""
METHODS_AND_CLASSES = [  # a method as in a config, and the number of classes
    ("{name: ddpm}", 10),
    ("{name: cbdm}", 10),
    ("{name: cbdm, commitment_weight: 0}", 10),
    ("{name: oclt}", 10),
    ("{name: agc}", 10),
    ("{name: ccua}", 10),
    ("{name: cm}", 10),
    ("{name: cm, masks: shared}", 10),
    ("{name: ccua, al: 0}", 10),
    ("{name: coral}", 10),
    ("{name: diffrop}", 10),
    ("{name: diffrop, form: counterfactual}", 10),
    ("{name: dispersive}", 10),
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
    methods = "".join(render_part("method", name) for name in part_names("method"))
    ensembles = render_module("Ensembles: train.ensemble", ensemble, Ensemble)
    return HEAD + costs_table() + methods + ensembles


def costs_table() -> str:
    """Return the table of costs in Markdown."""
    heading = ["method", "forward", "backward", "encoder", "decoder", "F-equivalents"]
    rows = [heading, ["---", *["---:"] * 5]]
    for method, classes in METHODS_AND_CLASSES:
        calls = evaluations([parse_part("method", yaml.safe_load(method), ())], classes)
        partial = ENCODER_SHARE * calls.encoder + (1 - ENCODER_SHARE) * calls.decoder
        counts = (*astuple(calls), calls.forward + 2 * calls.backward + 3 * partial)
        label = f"`{method}`" + (f", {classes} classes" if classes != 10 else "")
        rows.append([label, *(f"{count:.3g}" for count in counts)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def render_part(kind: str, name: str) -> str:
    """Return the section of a part: docstring, options and citation."""
    module = load_module(kind, name, ())
    citation = f"\n```bibtex\n{module.CITATION}\n```\n" if module.CITATION else ""
    return render_module(name, module, module.Options) + citation


def render_module(title: str, module: ModuleType, options: type) -> str:
    """Return a section with a module's docstring and a table of its options."""
    docstring = (module.__doc__ or "").strip()
    for word in ("Source:", "Sources:", "Cost:", "Released code:", "Paper's table:"):
        docstring = docstring.replace(f"\n{word}", f"\n\n**{word}**").replace("\n\n\n", "\n\n")
    return f"\n## {title}\n\n{docstring}\n\n{options_table(options)}"
