rule posthoc:
    """Make another average of a network's weights, from the snapshots of its training."""
    input:
        model="<run>/model.safetensors",
    output:
        output="<run>/posthoc/{sigma_rel}.safetensors",
        record="<run>/posthoc/{sigma_rel}.json",
    log:
        "<logs>/posthoc/{dataset}/{run}/seed-{seed}/{sigma_rel}.log",
    benchmark:
        "<benchmarks>/posthoc/{dataset}/{run}/seed-{seed}/{sigma_rel}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **asks,
    params:
        sigma_rel=posthoc_width,
        code=stage_code("posthoc"),
    script:
        "../workflow/scripts/posthoc.py"


rule sample:
    """Generate one sample set, the same number of images of each class.

    Where several jobs share it, this puts their images together, and needs no GPU.
    """
    input:
        model=sample_model,
        guide=sample_guide,
        shards=sample_shards,
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
    resources:
        **asks,
    params:
        spec=sample_slice,
        code=sample_code,
    script:
        "../workflow/scripts/sample.py"


rule sample_shard:
    """Generate some images of a sample set."""
    input:
        model=sample_model,
        guide=sample_guide,
    output:
        images=temp("<samples>/samples.shards/{scatteritem}.npz"),
    log:
        "<logs>/sample_shard/{dataset}/{run}/seed-{seed}/{sample_set}/{scatteritem}.log",
    benchmark:
        "<benchmarks>/sample_shard/{dataset}/{run}/seed-{seed}/{sample_set}/{scatteritem}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **asks,
    params:
        spec=sample_slice,
        shard=shard_number,
        code=sample_code,
    script:
        "../workflow/scripts/sample_shard.py"


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
    resources:
        **asks,
    params:
        code=stage_code("grid"),
    script:
        "../workflow/scripts/grid.py"
