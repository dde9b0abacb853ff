rule ema:
    """Make another average of a network's weights, from the snapshots of its training."""
    input:
        model="<run>/model.safetensors",
    output:
        output="<run>/ema/{sigma_rel}.safetensors",
        record="<run>/ema/{sigma_rel}.json",
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


def sample_options(wildcards):
    run = experiment.runs[wildcards.dataset, wildcards.run]
    return run.samples[wildcards.sample_set]


def sample_model(wildcards):
    """Return the network that a sample set is made from, with the average that it asks for."""
    width = sample_options(wildcards).ema_sigma_rel
    return f"<run>/ema/{width}.safetensors" if width else "<run>/model.safetensors"


def sample_guide(wildcards):
    """Return the network that guides a sample set, if another one does."""
    run = sample_options(wildcards).guide_run
    network = f"{wildcards.dataset}/{run}/seed-{wildcards.seed}"
    return f"<results>/runs/{network}/model.safetensors" if run else []


def sample_shards(wildcards):
    """Return the parts of a sample set, where several jobs share it; none of a finished one."""
    parts = gather.samples(
        "<samples>/samples.shards/{scatteritem}.npz", allow_missing=True
    )
    finished = is_finished(experiment, "sample", dict(wildcards.items()))
    return parts if len(parts) > 1 and not finished else []


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
        **needs(mem_mb=8_000, gpu=gpus_of_sampling, seconds=estimates.sampling_seconds),
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
        **needs(mem_mb=8_000, gpu=1, seconds=estimates.shard_seconds),
    params:
        request=request("sample_shard"),


rule sample_sheet:
    """Show a sample set: rows are classes."""
    input:
        samples="<samples>/samples.npz",
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
