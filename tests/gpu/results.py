"""The check's results: results.json for programs, summary.txt for a look."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gpu.expected import EXPECTED
from tests.gpu.rows import read
from tests.gpu.steps import CUT

Row = dict[str, Any]
BENCHES = "methods", "others", "edm2"


def write(out: Path, work: Path, about: Row, ends: list[Row]) -> None:
    """Write both; results.json is one of `ltdm bench runs --json` with the check beside it."""
    found = read(out / "rows.jsonl")
    machine = next((row for row in found if row["step"] == "machine" and "card" in row), {})
    check = {**about, "machine": machine, "steps": ends, "found": found}
    whole = json.dumps({**benched(work), "check": check}, indent=1)
    for name, text in {"results.json": whole, "summary.txt": summary(check)}.items():
        temporary = out / f"{name}.new"
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(out / name)


def benched(work: Path) -> Row:
    """Return the first figures of `ltdm bench runs`, with the rows of all."""
    files = [work / f"bench-{name}.json" for name in BENCHES]
    made = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    rows = [row for one in made for row in one["rows"]]
    return {**(made[0] if made else {}), "rows": rows}


def summary(check: Row) -> str:
    """Return all that is worth a look, as text."""
    machine, found = check["machine"], check["found"]
    shown = ("card", "driver_version", "torch", "cudnn", "commit", "date")
    lines = [" | ".join(f"{key} {machine[key]}" for key in shown if machine.get(key))]
    if check["tiny"]:
        lines.append("Tiny: the figures show that the check runs, and nothing else.")
    lines += ["", *compared(found, check["tiny"]), "", "Failures", *failures(check)]
    lines += [
        "",
        "Steps",
        *aligned([[e["step"], e["end"], f"{e['seconds']} s"] for e in check["steps"]]),
    ]
    needing = Counter((row["needs"], row["step"]) for row in found if "needs" in row)
    for what in dict.fromkeys(what for what, _ in needing):
        told = (f"{step} ({n})" for (which, step), n in needing.items() if which == what)
        lines += ["", f"Rows that show all they can only with {what}: {', '.join(told)}"]
    return "\n".join([*lines, "", "All rows", *listed(found)])


def compared(found: list[Row], tiny: bool) -> list[str]:
    """Return the table of what is expected of an H100 and what was measured."""
    table = [["expected of an H100 (modelled)", "expected", "measured", ""]]
    for one in EXPECTED:
        value = one.measured(found)
        missed = "" if value is None or tiny else one.missed(value)
        table.append(
            [
                f"{one.step}: {one.row}",
                f"{one.text} {one.unit}",
                "not measured" if value is None else f"{value:,.4g}",
                f"<-- more than a third {missed}" if missed else "",
            ]
        )
    return aligned(table)


def failures(check: Row) -> list[str]:
    """Return a line for each row that is an error or not as it should be, and each step."""
    lines = [
        f"  {row['step']}: {row['what']}: {row.get('error', 'not as it should be')}"
        for row in check["found"]
        if "error" in row or row.get("bad")
    ]
    lines += [f"  {e['step']}: {e['end']}" for e in check["steps"] if e["end"] not in ("ok", CUT)]
    return lines or ["  none"]


def listed(found: list[Row]) -> list[str]:
    """Return every row with its figures."""
    lines = []
    for row in found:
        figures = {k: v for k, v in row.items() if k not in ("step", "what")}
        text = ", ".join(f"{k} {v}" for k, v in figures.items() if v is not None and v is not False)
        lines.append(f"  {row['step']}: {row['what']}: {text}")
    return lines


def aligned(table: list[list[str]]) -> list[str]:
    """Return rows of a table in columns."""
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    return [
        "  " + "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
