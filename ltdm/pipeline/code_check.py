"""The code of a job compared with the code that its run began with.

Snakemake records a run's request for each result, with the code of the run's beginning.
"""

from collections.abc import Mapping
from typing import Any

from ltdm.plumbing.code_digest import sources_digest
from ltdm.plumbing.errors import LtdmError


def check_code(
    snapshot: Mapping[str, Any] | None, rule: str, wildcards: Mapping[str, Any], code: str
) -> None:
    """Refuse a job whose code has changed since its run, with this snapshot, began.

    Raises:
        LtdmError: The code of the rule has changed.
    """
    if snapshot is None or snapshot.get("sources") == sources_digest():
        return
    from ltdm.config.experiment import Experiment  # code seldom changes, and this takes seconds

    changed = LtdmError(
        f"the code of the rule {rule} has changed since this run of snakemake began; start"
        " snakemake again, which then runs the new code"
    )
    try:
        now = Experiment(snapshot["config"]).plan.request(rule, wildcards)["code"]
    except LtdmError:  # of the new code
        raise changed from None
    if now != code or now not in snapshot["codes"].get(rule, [now]):
        raise changed
