rule sample:
    """Generate one sample set, the same number of images of each class."""
    input:
        model="<run>/model.safetensors",
    output:
        samples="<samples>/samples.npz",
        record="<samples>/samples.json",
    log:
        "<logs>/sample/{dataset}/{run}/seed-{seed}/{sample_set}.log",
    benchmark:
        "<benchmarks>/sample/{dataset}/{run}/seed-{seed}/{sample_set}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    params:
        spec=sample_slice,
        code=sample_code,
    script:
        "../workflow/scripts/sample.py"


rule grid:
    """Show a sample set: rows are classes."""
    input:
        samples="<samples>/samples.npz",
    output:
        picture=report(
            "<samples>/grid.png",
            caption="../workflow/report/grid.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"run": "{run}", "seed": "{seed}", "sample set": "{sample_set}"},
        ),
    log:
        "<logs>/grid/{dataset}/{run}/seed-{seed}/{sample_set}.log",
    benchmark:
        "<benchmarks>/grid/{dataset}/{run}/seed-{seed}/{sample_set}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        code=stage_code("grid"),
    script:
        "../workflow/scripts/grid.py"
