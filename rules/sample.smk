rule ema:
    """Reconstruct the EMA of another width from the snapshots of a training (post-hoc EMA)."""
    input:
        model="<run>/model.safetensors",
    output:
        output="<run>/posthoc_ema/{sigma_rel}.safetensors",
        record="<run>/posthoc_ema/{sigma_rel}.json",
    log:
        "<logs>/ema/{dataset}/{run}/seed-{seed}/{sigma_rel}.log",
    benchmark:
        "<benchmarks>/ema/{dataset}/{run}/seed-{seed}/{sigma_rel}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **needs(mem_mb=8_000),
    params:
        request=request("ema"),
    script:
        "../workflow/scripts/ema.py"


def sample_set_plan(wildcards):
    network = plan.networks[wildcards.dataset, wildcards.run]
    return network.samples[wildcards.sample_set]


def sample_model(wildcards):
    """Return the weights that a sample set is drawn from: the trained ones, or a post-hoc EMA."""
    width = sample_set_plan(wildcards).ema_sigma_rel
    return (
        f"<run>/posthoc_ema/{width}.safetensors" if width else "<run>/model.safetensors"
    )


def sample_guide(wildcards):
    """Return the other network that guides a sample set (autoguidance), if one does."""
    run = sample_set_plan(wildcards).guide_run
    network = f"{wildcards.dataset}/{run}/seed-{wildcards.seed}"
    return f"<results>/runs/{network}/model.safetensors" if run else []


def sample_shards(wildcards):
    """Return the shards of a sample set, if several jobs share it and it is not finished."""
    shards = gather.samples(
        "<samples>/samples.shards/{scatteritem}.npz", allow_missing=True
    )
    if len(shards) == 1 or is_finished(plan, "sample", dict(wildcards.items())):
        return []
    return shards


rule sample:
    """Generate one sample set, the same number of images per class.

    If several jobs share it, this job merges their shards and needs no GPU.
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
        **needs(mem_mb=8_000, gpu=gpus_of_sampling, seconds="sampling_seconds"),
    params:
        request=request("sample"),
    script:
        "../workflow/scripts/sample.py"


use rule sample as sample_shard with:
    input:
        model=sample_model,
        guide=sample_guide,
    output:
        images=temp("<samples>/samples.shards/{scatteritem}.npz"),
    log:
        "<logs>/sample_shard/{dataset}/{run}/seed-{seed}/{sample_set}/{scatteritem}.log",
    benchmark:
        "<benchmarks>/sample_shard/{dataset}/{run}/seed-{seed}/{sample_set}/{scatteritem}.tsv"
    resources:
        **needs(mem_mb=8_000, gpu=1, seconds="shard_seconds"),
    params:
        request=request("sample_shard"),


rule sample_sheet:
    """Draw a sheet of a sample set's images, a row per class."""
    input:
        images="<samples>/samples.npz",
        counts="<data>/counts.csv",
    output:
        picture=report(
            "<samples>/sample_sheet.png",
            caption="../workflow/report/sample_sheet.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"run": "{run}", "seed": "{seed}", "sample set": "{sample_set}"},
        ),
    log:
        "<logs>/sample_sheet/{dataset}/{run}/seed-{seed}/{sample_set}.log",
    benchmark:
        "<benchmarks>/sample_sheet/{dataset}/{run}/seed-{seed}/{sample_set}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("sample_sheet"),
    script:
        "../workflow/scripts/sample_sheet.py"


use rule sample_sheet as reference_sheet with:
    input:
        images="<data>/reference.npz",
        counts="<data>/counts.csv",
    output:
        picture=report(
            "<data>/sample_sheet.png",
            caption="../workflow/report/reference_sheet.rst",
            category="Samples",
            subcategory="{dataset}",
            labels={"run": "real images", "seed": "", "sample set": ""},
        ),
    log:
        "<logs>/reference_sheet/{dataset}.log",
    benchmark:
        "<benchmarks>/reference_sheet/{dataset}.tsv"
    params:
        request=request("reference_sheet"),
