"""What a job imports as it starts."""

import json
import subprocess
import sys
from pathlib import Path

from tests.helpers.heavy_modules import AT_START

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "pandas", "scipy", "sklearn", "matplotlib", "altair"}
IMPORT_EACH = """
import importlib, json, os, sys
import ltdm.pipeline.job

heavy, modules = json.loads(sys.argv[1])
print(json.dumps(["pipeline.job", [name for name in heavy if name in sys.modules]]), flush=True)
for module in modules:
    if os.fork() == 0:
        importlib.import_module(f"ltdm.{module}")
        print(json.dumps([module, [name for name in heavy if name in sys.modules]]), flush=True)
        os._exit(0)
    os.wait()
"""


def test_each_rule_starts_with_no_more_heavy_modules_than_it_may_load():
    scripts = (ROOT / "workflow/scripts").glob("*.py")
    modules = {script.read_text().partition('run_stage(snakemake, "')[2] for script in scripts}
    assert {text.partition('"')[0] for text in modules} == {*AT_START}
    command = [sys.executable, "-c", IMPORT_EACH, json.dumps([[*HEAVY], [*AT_START]])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = dict(map(json.loads, done.stdout.splitlines()))
    assert loaded.pop("pipeline.job") == []
    surplus = {module: {*names} - AT_START[module] for module, names in loaded.items()}
    assert not any(surplus.values()), surplus
