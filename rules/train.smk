rule train:
    """Fit one network on one long-tailed data set, or take it from a released checkpoint.

    Killed, it goes on from where it was. Where an ensemble's rounds are jobs of their own, this
    averages the last.
    """
    input:
        data="<data>/train.npz",
        init=train_init,
        shards=last_shards,
    output:
        model="<run>/model.safetensors",
        history="<run>/history.csv",
        record="<run>/run.json",
    log:
        "<logs>/train/{dataset}/{run}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/train/{dataset}/{run}/seed-{seed}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **asks,
    params:
        spec=train_slice,
        checkpoint=train_checkpoint,
        gpus=train_gpus,
        code=train_code,
    script:
        "../workflow/scripts/train.py"


rule train_shard:
    """Train one shard of an ensemble for one round; all of a round can run side by side."""
    input:
        data="<data>/train.npz",
        init=train_init,
        before=shard_before,
        average=average_before,
    output:
        state=temp("<run>/rounds/{round}/shard-{shard}.pt"),
    log:
        "<logs>/train_shard/{dataset}/{run}/seed-{seed}/{round}/{shard}.log",
    benchmark:
        "<benchmarks>/train_shard/{dataset}/{run}/seed-{seed}/{round}/{shard}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **asks,
    params:
        spec=train_slice,
        code=train_code,
    script:
        "../workflow/scripts/train_shard.py"


rule average:
    """Average the networks of an ensemble's shards between two rounds."""
    input:
        data="<data>/train.npz",
        init=train_init,
        shards=shards_of_round,
    output:
        average=temp("<run>/rounds/{round}/average.safetensors"),
    log:
        "<logs>/average/{dataset}/{run}/seed-{seed}/{round}.log",
    benchmark:
        "<benchmarks>/average/{dataset}/{run}/seed-{seed}/{round}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    resources:
        **asks,
    params:
        spec=train_slice,
        code=train_code,
    script:
        "../workflow/scripts/average.py"
