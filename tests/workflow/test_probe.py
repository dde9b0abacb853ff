"""The linear probe in the workflow: it trains no network, and a change reruns it alone."""

from ltdm.config.experiment import Experiment
from ltdm.config.merge import read_config
from ltdm.pipeline.cost import job_counts

END = {"probe_tables": 1, "probe_figure": 1, "manifest": 1, "page": 1, "all": 1}


def test_probe_switched_on_changed_and_its_code_edited(checkout):
    over = checkout.folder / "probe.yaml"
    over.write_text("evaluate: {probe: {noise_levels: [3, 4], layers: [1, 5], epochs: 1}}")
    checkout.configs += [over.name]
    assert checkout.planned() == {"probe_split": 1, "probe": 2, **END}
    all_jobs = {**job_counts(Experiment(read_config([checkout.config, over]))), "all": 1}
    assert checkout.planned("--config", "experiment=another") == all_jobs
    checkout.snakemake("--cores", "2")
    assert checkout.planned() == {}
    assert (checkout.results / "figures/digits-lt-probe.png").exists()
    assert "accuracy (few-shot)" in (checkout.results / "tables/probe.md").read_text()

    checkout.edit(over.name, "epochs: 1", "epochs: 1, lr: 0.01")
    assert checkout.planned() == {"probe": 2, **END}
    checkout.edit(over.name, ", lr: 0.01", ", seed: 0")
    assert checkout.planned() == {}, "the default, set explicitly"
    checkout.edit("ltdm/training/probe.py", "RHO = 18, 7.0", "RHO = 18, 6.0")
    assert checkout.planned() == {"probe": 2, **END}
    checkout.edit("ltdm/training/probe.py", "RHO = 18, 6.0", "RHO = 18, 7.0")
    checkout.edit("ltdm/reporting/heat_maps.py", "LAYERS = 7", "LAYERS = 6")
    assert checkout.planned() == {"probe_figure": 1, "page": 1, "all": 1}
    checkout.edit("ltdm/reporting/heat_maps.py", "LAYERS = 6", "LAYERS = 7")
    checkout.edit("config/smoke.yaml", "guidance: 0.5", "guidance: 0.7")
    assert "probe" not in checkout.planned(), "other samples, same network"
    checkout.edit("config/smoke.yaml", "guidance: 0.7", "guidance: 0.5")
    checkout.forget()
    checkout.rewrite("runs/digits-lt/cbdm/seed-0/probe.json", model="another")
    printed = checkout.snakemake("--cores", "1", ok=False)
    assert 'cbdm/seed-0/probe.json (model was "another", now' in printed
