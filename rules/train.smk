def train_init(wildcards):
    """Return the network that a run starts from, if it starts from one."""
    run = experiment.runs[wildcards.dataset, wildcards.run].train.init_from
    network = f"{wildcards.dataset}/{run}/seed-{wildcards.seed}"
    return f"<results>/runs/{network}/model.safetensors" if run else []


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
        **needs(
            mem_mb=8_000,
            gpu=gpus_of_training,
            seconds=estimates.training_seconds,
            more_mb=estimates.training_megabytes,
        ),
    params:
        request=request("train"),
    script:
        "../workflow/scripts/train.py"
