"""Vouch for code: find what other code made, and record that it is the same."""

from collections import Counter
from pathlib import Path

from ltdm.config.artefacts import jobs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import STEPS
from ltdm.config.requests import request
from ltdm.pipeline import snapshot
from ltdm.pipeline.accepted import Pairs, accepted, write
from ltdm.pipeline.old_results import check_results_version
from ltdm.pipeline.records import differences, expected
from ltdm.plumbing.errors import LtdmError, few
from ltdm.plumbing.files import read_json

Pair = tuple[str, str]


def accept(results: Path, because: str) -> str:
    """Let results that other code made stand for those that today's code would make.

    What it vouches for are pairs of codes, then and now, of the same stage and parts, `because`
    both compute the same. What another config asked for is made anew all the same. Return what was
    accepted, and where that is recorded.
    """
    results = Path(results).resolve()
    check_results_version(results)
    begun = snapshot.latest(results / "logs")
    if begun is None:
        raise LtdmError(f"{results} holds no run of the workflow; name a folder like results/demo")
    experiment = Experiment(begun["config"], results.parent)
    if experiment.name != results.name:
        raise LtdmError(
            f"{results} holds results of the experiment {experiment.name}; give it that name again"
        )
    known = accepted(experiment.layout.root)
    found, otherwise = _of_records(experiment, known)
    found.update(_without_records(experiment, begun["codes"], known))
    again = f"to be made anew all the same: {few(otherwise)}" if otherwise else ""
    if not found:
        raise LtdmError(f"{results}: nothing was made by other code; {again or 'all is current'}")
    if not because.strip():
        raise LtdmError("--because must say why the results are the same")
    lines = [f"{then} -> {now} ({number} files)" for (then, now), number in sorted(found.items())]
    file = write(experiment.layout.root, frozenset(found), because)
    return "\n".join(filter(None, [*lines, again, f"accepted: {file}"]))


def _of_records(experiment: Experiment, known: Pairs) -> tuple[Counter[Pair], list[str]]:
    """Return the pairs of codes of the records, and which of them other config keeps from it."""
    found, otherwise = Counter[Pair](), []
    for one in expected(experiment):
        made = read_json(one.record) if one.record.exists() else {}
        then, now = str(made.get("code")), one.request["code"]
        if made and then != now and (then, now) not in known:
            if differing := differences({**made, "code": now}, one.request, known):
                otherwise.append(f"{one.record} ({few(differing)})")
            else:
                found[then, now] += 1
    return found, otherwise


def _without_records(
    experiment: Experiment, codes: dict[str, list[str]], known: Pairs
) -> Counter[Pair]:
    """Return the pairs of codes of rules that leave no record: `codes` are the last run's."""
    found = Counter[Pair]()
    for rule, keys in jobs(experiment):
        now = request(experiment, rule, keys)["code"]
        for then in codes.get(rule, []) if "record" not in STEPS[rule].outputs else []:
            same_parts = then.rpartition(": ")[0] == now.rpartition(": ")[0]
            if same_parts and then != now and (then, now) not in known:
                found[then, now] += 1
    return found
