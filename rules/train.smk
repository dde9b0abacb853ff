rule train:
    """Fit one network on one long-tailed data set, or take it from a released checkpoint.

    Killed, it goes on from where it was.
    """
    input:
        data="<data>/train.npz",
        init=train_init,
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
