"""The theory lab in the workflow: it trains no network, and a change reruns what depends on it."""

import yaml

from ltdm.theory.names import FIGURES

TINY = {
    "head": 30,
    "tails": [6, 12, 24],
    "betas": [0, 0.1, 1],
    "seeds": 2,
    "width": 8,
    "noise_draws": 4,
    "samples": 20,
    "kl_samples": 10,
    "samplers": [{"name": "heun", "steps": 4}],
    "steps": [40],
}
END = {"theory_tables": 1, "manifest": 1, "page": 1, "all": 1}
ALL = len(FIGURES)


def test_sweeps_added_changed_and_their_code_edited(checkout):
    over = checkout.folder / "theory.yaml"
    checkout.configs += [over.name]

    def planned(others=(), **changes):
        first = {**TINY, "figures": list(FIGURES), **changes}
        other = {**TINY, "tails": [6], "figures": list(others)}
        over.write_text(yaml.safe_dump({"theory": {"one": first, "other": other}}))
        return checkout.planned()

    assert planned() == {"theory": 2, "theory_figure": ALL, **END}, "no network"
    checkout.snakemake("--cores", "2")
    figures = [f"figures/theory-one-{figure}.png" for figure in FIGURES]
    for file in ("theory/one.csv", "theory/other.npz", "tables/theory-other.csv", *figures):
        assert (checkout.results / file).exists()
    assert not list(checkout.results.glob("figures/theory-other*"))
    assert "slope of the Nash gap" in (checkout.results / "tables/theory.md").read_text()
    assert "theory/one.csv" in (checkout.results / "manifest.json").read_text()
    assert planned() == {}
    assert planned(seeds=2, head=30, ridge=1e-6) == {}, "a default, set explicitly"

    assert planned(figures=["scores"]) == END, "there are fewer findings"
    assert planned(["clouds"]) == {"theory_figure": 1, **END}
    assert planned(betas=[0, 0.2, 1]) == {"theory": 1, "theory_figure": ALL, **END}, (
        "the other sweep stays"
    )
    planned()
    checkout.edit("ltdm/theory/curves.py", "MAX_LINES = 6", "MAX_LINES = 5")
    assert checkout.planned() == {"theory_figure": ALL, "page": 1, "all": 1}
    checkout.edit("ltdm/theory/curves.py", "MAX_LINES = 5", "MAX_LINES = 6")
    checkout.edit("ltdm/theory/points.py", "FRESH_POINTS = 50_000", "FRESH_POINTS = 50_001")
    assert checkout.planned() == {"theory": 2, "theory_figure": ALL, **END}
    checkout.edit("ltdm/theory/points.py", "FRESH_POINTS = 50_001", "FRESH_POINTS = 50_000")

    figure = "results/smoke/figures/theory-one-scores.png"
    (checkout.folder / figure).unlink()
    assert checkout.planned() == {"theory_figure": 1, "page": 1, "all": 1}
    checkout.snakemake("--cores", "1", figure)
    assert checkout.planned() == {}
    checkout.forget()
    checkout.rewrite("theory/other.json", spec={"seeds": 3})
    for target in ((), ("results/smoke/tables/theory.csv",)):
        printed = checkout.snakemake("--cores", "1", *target, ok=False)
        assert "results/smoke/theory/other.json (spec.betas was unset, now" in printed
