"""Results of ltdm 0.1, whose options, files and records had other names, are refused."""

import re
from pathlib import Path

from ltdm.plumbing.errors import LtdmError
from ltdm.plumbing.files import read_json

RECORDS = ("data/*/data.json", "runs/*/*/seed-*/run.json", "theory/*.json")
CODE_OF_0_1 = re.compile(r"[0-9a-f]{16}")
"""`code` in a record of 0.1: a digest alone. Since then the stage's name stands before it."""


def check_results_version(results: Path) -> None:
    """Refuse a results folder in which ltdm 0.1 prepared data, trained, or ran a sweep.

    A damaged record is skipped here; reading it later raises an error of its own.

    Raises:
        LtdmError: A record is one of 0.1.
    """
    for record in (file for pattern in RECORDS for file in sorted(results.glob(pattern))):
        try:
            code = read_json(record).get("code")
        except LtdmError:
            continue
        if isinstance(code, str) and CODE_OF_0_1.fullmatch(code):
            raise LtdmError(
                f"{results} holds results made by ltdm 0.1 ({record.relative_to(results)}), which"
                " this version cannot read; give the experiment another name, or delete the folder"
            )
