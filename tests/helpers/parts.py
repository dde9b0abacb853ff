"""Comparison of a part's file with the protocol of its kind."""

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
    """Return the members of a kind's protocol by name; none if it has no such protocol."""
    base = import_module(f"ltdm.{registry.FOLDERS[kind]}._base")
    cls = getattr(base, f"{kind.capitalize()}{ending}", None)
    members = vars(cls).items() if cls else ()
    return {name: member for name, member in members if name[0] != "_"}


def faults(kind, module):
    """Return one message for each violation of the kind's protocol in a part's file."""
    required, extras = protocol(kind), protocol(kind, "ModuleExtras")
    problems = [] if module.__doc__ else ["it has no documentation"]
    for name, member in {**required, **extras}.items():
        if hasattr(module, name):
            problems += mismatch(name, member, getattr(module, name))
        elif name in required:
            problems.append(f"{name} is missing")
    own = getattr(module, "Options", None)
    options = option_faults(kind, own) if own else []
    return [*problems, *options, *RULES.get(kind, no_rule)(module)]


def mismatch(name, member, value):
    """Return the differences from the protocol: a function's parameters, a constant's type."""
    if not isinstance(member, property):
        if not callable(value):
            return [f"{name} is no function"]
        expected = [p for p in parameters(member) if p[0] != "self"]
        actual = parameters(value)
        listed = ", ".join(name for name, *_ in expected)
        return [] if expected == actual else [f"{name} must have the parameters {listed}"]
    hint = get_type_hints(member.fget)["return"]
    if hint in SCALARS and not isinstance(value, hint):
        return [f"{name} is no {hint.__name__}"]
    return []


def parameters(function):
    """Return the name, kind and default of each parameter."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def option_faults(kind, options):
    """Return where a part's options differ from those its kind must have and may have."""
    if not is_dataclass(options) or not options.__dataclass_params__.frozen:
        return ["Options is no frozen dataclass"]
    names = {f.name: f for f in fields(options)}
    needed = [name for name, f in names.items() if f.default is f.default_factory is MISSING]
    allowed = {"root", "path"} if kind == "source" else set()
    problems = [f"the option {name} needs a default" for name in set(needed) - allowed]
    if not problems:
        parse(options, dict.fromkeys(needed, "somewhere"))
    problems += [
        f"the option {name} is missing" for name in protocol(kind, "Options").keys() - names
    ]
    hints = get_type_hints(options)
    for ending in ("Options", "OptionsExtras"):
        for name, member in protocol(kind, ending).items():
            hint = get_type_hints(member.fget)["return"]
            if name in names and hints[name] != hint:
                problems.append(f"the option {name} is no {hint.__name__}")
    reserved = {"name", *registry.KEYS.get(kind, ())}
    if kind == "source":  # options of a source share a section with these keys
        reserved |= {"source", "reference_split", *SECTIONS, *(f.name for f in fields(LongTail))}
    clashes = [f"the option {name} is called as a key is" for name in reserved & names.keys()]
    return [*problems, *clashes]


def no_rule(module):
    """Return no problems: the kind has no rules beyond its protocol."""
    return []


def source_rule(module):
    """A source has a training split, and may have a test split."""
    good = {"train"} <= {*module.SPLITS} <= {"train", "test"}
    return [] if good else ['SPLITS must hold "train", and may hold "test"']


def extractor_rule(module):
    """Probabilities are of a kind that metrics accept."""
    good = module.PROBABILITIES in ("", "imagenet", "classes")
    return [] if good else [f"PROBABILITIES is {module.PROBABILITIES!r}"]


def metric_rule(module):
    """A metric has a known input; one that uses neighbours defines their search."""
    found = [] if module.INPUT in metrics.INPUTS else [f"INPUT is {module.INPUT!r}"]
    if module.INPUT == "neighbours":
        if not hasattr(module, "search"):
            return [*found, "search is missing"]
        options = module.Options()
        search = module.search(options)
        if search.keys() != {"k", "flip"} or search["k"] != options.k:
            found.append("search must say k, as the option does, and flip")
    if not {*getattr(module, "WITH_BASELINE", ())} <= module.HIGHER_IS_BETTER.keys():
        found.append("WITH_BASELINE names values that it has not")
    strange = [name for name in module.HIGHER_IS_BETTER if {"@", ":"} & {*name}]
    return [*found, *(f'the value {name} may hold no "@" and no ":"' for name in strange)]


RULES = {"source": source_rule, "extractor": extractor_rule, "metric": metric_rule}
