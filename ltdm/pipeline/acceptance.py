"""`ltdm accept`: results of older code stay valid, because the user says that nothing changed."""

from collections import Counter
from pathlib import Path

from ltdm.config.artefacts import jobs
from ltdm.config.experiment import Experiment
from ltdm.config.layout import RULES
from ltdm.pipeline import snapshot
from ltdm.pipeline.code_pairs import Pairs, load_pairs, write_pairs
from ltdm.pipeline.old_results import check_results_version
from ltdm.pipeline.records import differences, expected_records
from ltdm.plumbing.errors import LtdmError, shorten
from ltdm.plumbing.files import read_json

Pair = tuple[str, str]


def accept(results: Path, because: str) -> str:
    """Accept the code that made the results of a folder in place of today's code.

    A pair of codes is accepted, then and now, where both are of the same stage and parts; `because`
    says why they compute the same. Results of another config will still run again. Return the
    accepted pairs with the number of their files, and the file that records them.

    Raises:
        LtdmError: The folder holds no run of the workflow, nothing differs, or `because` is empty.
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
    old_pairs = load_pairs(experiment.layout.root)
    pairs, other_config = _pairs_with_record(experiment, old_pairs)
    pairs.update(_pairs_without_record(experiment, run_snapshot["codes"], old_pairs))
    rerun = f"will still run again: {shorten(other_config)}" if other_config else ""
    if not pairs:
        raise LtdmError(f"{results}: nothing was made by other code; {rerun or 'all is current'}")
    if not because.strip():
        raise LtdmError("--because must say why the results are the same")
    lines = [f"{then} -> {now} ({number} files)" for (then, now), number in sorted(pairs.items())]
    file = write_pairs(experiment.layout.root, frozenset(pairs), because)
    return "\n".join(filter(None, [*lines, rerun, f"accepted: {file}"]))


def _pairs_with_record(experiment: Experiment, old_pairs: Pairs) -> tuple[Counter[Pair], list[str]]:
    """Return the new pairs of codes of all records, and the records that differ in config too."""
    pairs, other_config = Counter[Pair](), []
    for expected in expected_records(experiment.plan):
        record = read_json(expected.record) if expected.record.exists() else {}
        then, now = str(record.get("code")), expected.request["code"]
        if record and then != now and (then, now) not in old_pairs:
            if phrases := differences({**record, "code": now}, expected.request, old_pairs):
                other_config.append(f"{expected.record} ({shorten(phrases)})")
            else:
                pairs[then, now] += 1
    return pairs, other_config


def _pairs_without_record(
    experiment: Experiment, codes: dict[str, list[str]], old_pairs: Pairs
) -> Counter[Pair]:
    """Return the new pairs of codes of rules without a record; `codes` are the last run's."""
    pairs = Counter[Pair]()
    for rule, wildcards in jobs(experiment.plan):
        if "record" in RULES[rule].outputs:
            continue
        now = experiment.plan.request(rule, wildcards)["code"]
        for then in codes.get(rule, []):
            same_parts = then.rpartition(": ")[0] == now.rpartition(": ")[0]
            if same_parts and then != now and (then, now) not in old_pairs:
                pairs[then, now] += 1
    return pairs
