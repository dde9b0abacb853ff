"""The check's results: results.json for programs, summary.txt for people."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.gpu.expected import EXPECTED
from tests.gpu.rows import read_rows
from tests.gpu.steps import CUT_OFF

Row = dict[str, Any]
BENCHES = "methods", "others", "edm2"


def write_results(out: Path, work: Path, about: Row, ends: list[Row]) -> None:
    """Write both files; results.json is that of `ltdm bench runs --json`, with the check added."""
    rows = read_rows(out / "rows.jsonl")
    machine = next((row for row in rows if row["step"] == "machine" and "card" in row), {})
    check = {**about, "machine": machine, "steps": ends, "found": rows}
    text = json.dumps({**merge_benches(work), "check": check}, indent=1)
    for name, content in {"results.json": text, "summary.txt": summary(check)}.items():
        temporary = out / f"{name}.new"
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(out / name)


def merge_benches(work: Path) -> Row:
    """Return the first result of `ltdm bench runs`, with the rows of all results."""
    files = [work / f"bench-{name}.json" for name in BENCHES]
    benches = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    rows = [row for bench in benches for row in bench["rows"]]
    return {**(benches[0] if benches else {}), "rows": rows}


def summary(check: Row) -> str:
    """Return comparison, failures, steps and all rows as text."""
    machine, rows = check["machine"], check["found"]
    keys = ("card", "driver_version", "torch", "cudnn", "commit", "date")
    lines = [" | ".join(f"{key} {machine[key]}" for key in keys if machine.get(key))]
    if check["tiny"]:
        lines.append("Tiny: the figures show that the check runs, and nothing else.")
    lines += ["", *compare(rows, check["tiny"]), "", "Failures", *failures(check)]
    lines += [
        "",
        "Steps",
        *align([[e["step"], e["end"], f"{e['seconds']} s"] for e in check["steps"]]),
    ]
    limited = Counter((row["needs"], row["step"]) for row in rows if "needs" in row)
    for what in dict.fromkeys(what for what, _ in limited):
        steps = (f"{step} ({n})" for (need, step), n in limited.items() if need == what)
        lines += ["", f"Rows that are complete only with {what}: {', '.join(steps)}"]
    return "\n".join([*lines, "", "All rows", *list_rows(rows)])


def compare(rows: list[Row], tiny: bool) -> list[str]:
    """Return a table of expected and measured figures of an H100."""
    table = [["expected of an H100 (modelled)", "expected", "measured", ""]]
    for expected in EXPECTED:
        value = expected.value_in(rows)
        deviation = "" if value is None or tiny else expected.deviation(value)
        table.append(
            [
                f"{expected.step}: {expected.row}",
                f"{expected.range_text} {expected.unit}",
                "not measured" if value is None else f"{value:,.4g}",
                f"<-- more than a third {deviation}" if deviation else "",
            ]
        )
    return align(table)


def failures(check: Row) -> list[str]:
    """Return a line for each row with an error or a failed check, and each failed step."""
    lines = [
        f"  {row['step']}: {row['what']}: {row.get('error', 'not as it should be')}"
        for row in check["found"]
        if "error" in row or row.get("bad")
    ]
    lines += [
        f"  {e['step']}: {e['end']}" for e in check["steps"] if e["end"] not in ("ok", CUT_OFF)
    ]
    return lines or ["  none"]


def list_rows(rows: list[Row]) -> list[str]:
    """Return a line for each row with its figures."""
    lines = []
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("step", "what")}
        text = ", ".join(f"{k} {v}" for k, v in figures.items() if v is not None and v is not False)
        lines.append(f"  {row['step']}: {row['what']}: {text}")
    return lines


def align(table: list[list[str]]) -> list[str]:
    """Return the rows of a table as lines with aligned columns."""
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    return [
        "  " + "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
