"""Results of ltdm 0.1 are refused in one sentence, and left as they are."""

import json

import pytest

from ltdm.pipeline.old_results import check_results_version
from ltdm.plumbing.errors import LtdmError
from tests.unit.cli.test_cli import SMOKE, ltdm

RUN = "runs/digits-lt/cbdm/seed-0/run.json"
SPEC = {"method": {"name": "cbdm"}, "train": {"batch": 16, "ema": 0.9, "updates": 40, "warmup": 5}}
RECORDS = {
    RUN: {"code": "233517d3d0643b31", "spec": SPEC, "seed": 0, "key": "5bde2e98c66f12c7"},
    "data/digits-lt/data.json": {"code": "c6c5aa8caae0dadc", "source": {"name": "digits"}},
    "theory/toy.json": {"code": "9583aebb816e0cf0", "spec": {"draws": 4, "updates": [40]}},
}
"""Of each record of 0.1 what a test needs."""


def old_results(folder, *names):
    """Write records of 0.1 with the files beside them; return the folder of the experiment."""
    for name in names:
        record = folder / "smoke" / name
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps(RECORDS[name]))
    (folder / "smoke/logs").mkdir()
    (folder / "smoke/logs/asked-6834c9f6b058672a.json").write_text('{"config": {}}')
    files = {names[0]: {"sha256": "ab", "bytes": 2, "from": []}}
    (folder / "smoke/manifest.json").write_text(json.dumps({"files": files}))
    return folder / "smoke"


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    "command", ["status", "verify", "tables", "train", "accept", "check", "plan"]
)
def test_commands_refuse_them_and_touch_nothing(tmp_path, command, name):
    results = old_results(tmp_path, name)
    before = {file: file.read_bytes() for file in results.rglob("*") if file.is_file()}
    arguments = {
        "status": [results],
        "verify": [results],
        "tables": [SMOKE, "--results", tmp_path],
        "train": [SMOKE, "--results", tmp_path],
        "accept": [results, "--because", "x"],
        "check": [SMOKE, "--results", tmp_path],
        "plan": [SMOKE, "--results", tmp_path],
    }
    printed = ltdm(command, *arguments[command], code=1)
    assert printed.startswith(
        f"ltdm: {results} holds results made by ltdm 0.1 ({name}), which this"
    )
    assert printed.endswith("give the experiment another name, or delete the folder\n")
    assert printed.count("\n") == 1
    assert {file: file.read_bytes() for file in results.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("code", ["single unet vp cbdm: 233517d3d0643b31", "this", None, 3])
def test_results_of_this_version_are_taken(tmp_path, code):
    (tmp_path / RUN).parent.mkdir(parents=True)
    (tmp_path / RUN).write_text(json.dumps({"code": code}))
    check_results_version(tmp_path)


def test_a_damaged_record_hides_no_other(tmp_path):
    results = old_results(tmp_path, RUN, "theory/toy.json")
    (results / RUN).write_text("{")
    with pytest.raises(LtdmError, match=r"theory/toy\.json"):
        check_results_version(results)
