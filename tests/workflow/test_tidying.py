"""Tidying code reruns nothing: moved modules, new options, renamed locals, accepted code."""

import json
import re

from tests.workflow.test_reruns import END, FIX, SCORE

LISTED = {"manifest": 1, "page": 1, "all": 1}
"""The manifest lists the accepted codes, so it is due."""


GRADIENT_CLIPPING = ('        1.0,\n        "Largest', '        2.0,\n        "Largest')


def test_a_new_option_a_renamed_local_and_a_moved_module(checkout):
    new = '    novel: float = option(0.5, "New.", above=0)\n'
    checkout.edit("ltdm/training/options.py", "    log_every: int", f"{new}    log_every: int")
    checkout.edit("ltdm/training/ensemble.py", "offset", "first_card")
    home = checkout.folder / "ltdm"
    (home / "core/seeding.py").rename(home / "training/owners.py")
    for file in home.rglob("*.py"):
        text = file.read_text()
        file.write_text(text.replace("ltdm.core.seeding", "ltdm.training.owners"))
    assert checkout.planned() == {}
    checkout.forget()
    assert checkout.planned() == {}, "by the records neither"


def test_changed_default_and_changed_arithmetic_count(checkout):
    checkout.edit("ltdm/training/options.py", *GRADIENT_CLIPPING)
    assert checkout.planned()["train"] == 2
    checkout.edit("ltdm/training/options.py", *GRADIENT_CLIPPING[::-1])
    assert checkout.planned() == {}
    checkout.edit("ltdm/methods/cbdm.py", *FIX)
    assert checkout.planned() == {"train": 1, **SCORE, **END}


def test_accepted_code(checkout):
    checkout.edit("ltdm/methods/cbdm.py", *FIX)
    due = {"train": 1, **SCORE, **END}
    assert checkout.planned() == due
    printed = checkout.run("ltdm", "accept", "results/smoke", "--because", "a factor of one")
    assert re.search(r"(single unet vp cbdm): \w{16} -> \1: \w{16} \(1 files\)", printed)
    assert checkout.planned() == LISTED
    checkout.snakemake("--cores", "1")
    (record,) = (checkout.results / "accepted").glob("*.json")
    assert json.loads(record.read_text())["because"] == "a factor of one"
    manifest = json.loads((checkout.results / "manifest.json").read_text())
    assert f"accepted/{record.name}" in manifest["files"]
    model = checkout.results / "runs/digits-lt/cbdm/seed-0/model.safetensors"
    model.unlink()
    checkout.snakemake("--cores", "1", str(model.relative_to(checkout.folder)))
    run = json.loads(model.with_name("run.json").read_text())
    assert run["code"] == json.loads(record.read_text())["codes"][0]["now"]
    checkout.snakemake("--cores", "2")
    checkout.forget()
    assert checkout.planned() == {}, "accepted by the records too"
    printed = checkout.run("ltdm", "accept", "results/smoke", "--because", "again", ok=False)
    assert "nothing was made by other code" in printed
    for content, message in (("{", "is damaged"), ('{"codes": [1]}', "names no pairs of codes")):
        record.write_text(content)
        assert message in checkout.snakemake("--dry-run", ok=False)
    checkout.results.rename(checkout.results.with_name("other"))
    printed = checkout.run("ltdm", "accept", "results/other", "--because", "moved", ok=False)
    assert "holds results of the experiment smoke" in printed


def test_acceptance_covers_one_pair_of_codes(checkout):
    checkout.edit("ltdm/methods/cbdm.py", *FIX)
    checkout.run("ltdm", "accept", "results/smoke", "--because", "a factor of one")
    checkout.edit("config/smoke.yaml", "method: cbdm", "method: {name: cbdm, tau: 0.5}")
    assert checkout.planned()["train"] == 1, "another config"
    checkout.edit("config/smoke.yaml", "method: {name: cbdm, tau: 0.5}", "method: cbdm")
    checkout.edit("ltdm/methods/ddpm.py", "return Term()", "return 0 or Term()")
    assert checkout.planned()["train"] == 1, "another part"
    checkout.edit("ltdm/methods/ddpm.py", "return 0 or Term()", "return Term()")
    assert checkout.planned() == LISTED
    checkout.edit("ltdm/methods/cbdm.py", FIX[1], FIX[1].replace("1.0", "2.0"))
    assert checkout.planned()["train"] == 1, "a later edit"
    checkout.edit("ltdm/methods/cbdm.py", FIX[1].replace("1.0", "2.0"), FIX[1])
    (record,) = (checkout.results / "accepted").glob("*.json")
    record.unlink()
    assert checkout.planned()["train"] == 1, "acceptance undone"
