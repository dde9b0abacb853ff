"""Vouch for code: find what other code made, and record that it is the same."""

from collections import Counter
from pathlib import Path

from ltdm.config.artefacts import jobs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.config.requests import request
from ltdm.pipeline import snapshot
from ltdm.pipeline.code_pairs import Pairs, load_pairs, write_pairs
from ltdm.pipeline.old_results import check_results_version
from ltdm.pipeline.records import differences, expected_records
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
    run_snapshot = snapshot.newest(results / "logs")
    if run_snapshot is None:
        raise LtdmError(f"{results} holds no run of the workflow; name a folder like results/demo")
    experiment = Experiment(run_snapshot["config"], results.parent)
    if experiment.name != results.name:
        raise LtdmError(
            f"{results} holds results of the experiment {experiment.name}; give it that name again"
        )
    known = load_pairs(experiment.layout.root)
    found, other_config = _pairs_with_record(experiment, known)
    found.update(_pairs_without_record(experiment, run_snapshot["codes"], known))
    again = f"to be made anew all the same: {few(other_config)}" if other_config else ""
    if not found:
        raise LtdmError(f"{results}: nothing was made by other code; {again or 'all is current'}")
    if not because.strip():
        raise LtdmError("--because must say why the results are the same")
    lines = [f"{then} -> {now} ({number} files)" for (then, now), number in sorted(found.items())]
    file = write_pairs(experiment.layout.root, frozenset(found), because)
    return "\n".join(filter(None, [*lines, again, f"accepted: {file}"]))


def _pairs_with_record(experiment: Experiment, known: Pairs) -> tuple[Counter[Pair], list[str]]:
    """Return the pairs of codes of the records, and which of them other config keeps from it."""
    found, other_config = Counter[Pair](), []
    for one in expected_records(experiment):
        made = read_json(one.record) if one.record.exists() else {}
        then, now = str(made.get("code")), one.request["code"]
        if made and then != now and (then, now) not in known:
            if differing := differences({**made, "code": now}, one.request, known):
                other_config.append(f"{one.record} ({few(differing)})")
            else:
                found[then, now] += 1
    return found, other_config


def _pairs_without_record(
    experiment: Experiment, codes: dict[str, list[str]], known: Pairs
) -> Counter[Pair]:
    """Return the pairs of codes of rules that leave no record: `codes` are the last run's."""
    found = Counter[Pair]()
    for rule, wildcards in jobs(experiment):
        now = request(experiment, rule, wildcards)["code"]
        for then in codes.get(rule, []) if "record" not in RULES[rule].outputs else []:
            same_parts = then.rpartition(": ")[0] == now.rpartition(": ")[0]
            if same_parts and then != now and (then, now) not in known:
                found[then, now] += 1
    return found
