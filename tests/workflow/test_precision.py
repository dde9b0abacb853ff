"""The commands of docs/benchmarks.md on sampling precision, on the smoke config."""

from ltdm.reporting.rows import read_rows


def test_scores_and_images_of_each_precision(checkout):
    checkout.configs = ["config/smoke.yaml", "config/shared/precision.yaml"]
    checkout.snakemake("--cores", "2", "--config", "run=ddpm")
    results = checkout.results.with_name("precision")
    rows = read_rows(results / "tables/metrics.csv")
    assert [*rows["sample_set"].unique()] == ["fp32", "tf32", "bf16"]
    assert rows.groupby("sample_set").size().nunique() == 1
    main = (results / "tables/main.md").read_text()
    assert all(f"| ddpm | {name} " in main for name in ("fp32", "tf32", "bf16"))
