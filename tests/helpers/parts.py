"""What the tests of parts share: a part's file is compared with the protocol of its kind."""

import inspect
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import get_type_hints

from ltdm.config.merge import SECTIONS
from ltdm.data._longtail import LongTail
from ltdm.metrics import _base as metrics
from ltdm.plumbing import registry
from ltdm.plumbing.options import parse

SCALARS = (str, int, bool)


def protocol(kind, ending="Module"):
    """Return the members of a kind's protocol by name; none where it has no such protocol."""
    base = import_module(f"ltdm.{registry.FOLDERS[kind]}._base")
    found = getattr(base, f"{kind.capitalize()}{ending}", None)
    members = vars(found).items() if found else ()
    return {name: member for name, member in members if name[0] != "_"}


def faults(kind, module):
    """Return in words where a part's file is not what its kind's protocol asks for."""
    required, extras = protocol(kind), protocol(kind, "ModuleExtras")
    found = [] if module.__doc__ else ["it has no documentation"]
    for name, member in {**required, **extras}.items():
        if hasattr(module, name):
            found += mismatch(name, member, getattr(module, name))
        elif name in required:
            found.append(f"{name} is missing")
    own = getattr(module, "Options", None)
    return [*found, *(option_faults(kind, own) if own else []), *RULES.get(kind, no_rule)(module)]


def mismatch(name, member, theirs):
    """Compare a name with the protocol's: a function's parameters, a constant's type."""
    if not isinstance(member, property):
        ours = [p for p in inspect.signature(member).parameters.values() if p.name != "self"]
        if not callable(theirs):
            return [f"{name} is no function"]
        given = inspect.signature(theirs).parameters.values()
        ours, given = ([(p.name, p.kind, p.default) for p in side] for side in (ours, given))
        listed = ", ".join(name for name, *_ in ours)
        return [] if ours == given else [f"{name} must have the parameters {listed}"]
    hint = get_type_hints(member.fget)["return"]
    if hint in SCALARS and not isinstance(theirs, hint):
        return [f"{name} is no {hint.__name__}"]
    return []


def option_faults(kind, options):
    """Compare a part's options with those that its kind must have, and may not have."""
    if not is_dataclass(options) or not options.__dataclass_params__.frozen:
        return ["Options is no frozen dataclass"]
    names = {f.name: f for f in fields(options)}
    needed = [name for name, f in names.items() if f.default is f.default_factory is MISSING]
    allowed = {"root", "path"} if kind == "source" else set()
    found = [f"the option {name} needs a default" for name in set(needed) - allowed]
    if not found:
        parse(options, dict.fromkeys(needed, "somewhere"))
    found += [f"the option {name} is missing" for name in protocol(kind, "Options").keys() - names]
    hints = get_type_hints(options)
    for ending in ("Options", "OptionsExtras"):
        for name, member in protocol(kind, ending).items():
            hint = get_type_hints(member.fget)["return"]
            if name in names and hints[name] != hint:
                found.append(f"the option {name} is no {hint.__name__}")
    taken = {"name"} | ({"label"} if kind in registry.LABELLABLE else set())
    if kind == "source":  # options of a source stand beside these in the config
        taken |= {"source", "reference_split", *SECTIONS, *(f.name for f in fields(LongTail))}
    return [*found, *(f"the option {name} is called as a key is" for name in taken & names.keys())]


def no_rule(module):
    """A kind without rules beyond its protocol."""
    return []


def source_rule(module):
    """A source has a training split, and no other than the two that a config can name."""
    good = {"train"} <= {*module.SPLITS} <= {"train", "test"}
    return [] if good else ['SPLITS must hold "train", and may hold "test"']


def extractor_rule(module):
    """Probabilities are one of those that a metric can read."""
    good = module.PROBABILITIES in ("", "imagenet", "classes")
    return [] if good else [f"PROBABILITIES is {module.PROBABILITIES!r}"]


def metric_rule(module):
    """A metric reads what there is, and one that looks for neighbours says which."""
    found = [] if module.READS in metrics.READS else [f"READS is {module.READS!r}"]
    if module.READS == "neighbours":
        if not hasattr(module, "search"):
            return [*found, "search is missing"]
        options = module.Options()
        search = module.search(options)
        if search.keys() != {"k", "flip"} or search["k"] != options.k:
            found.append("search must say k, as the option does, and flip")
    pairs = getattr(module, "BASELINES", {}).items()
    if not {name for pair in pairs for name in pair} <= module.HIGHER_IS_BETTER.keys():
        found.append("BASELINES names values that it has not")
    strange = [name for name in module.HIGHER_IS_BETTER if {"@", "."} & {*name}]
    return [*found, *(f'the value {name} may hold no "@" and no "."' for name in strange)]


RULES = {"source": source_rule, "extractor": extractor_rule, "metric": metric_rule}
