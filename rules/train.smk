def train_init(wildcards):
    """Return the network whose weights a run starts from, if it does not start afresh."""
    run = plan.networks[wildcards.dataset, wildcards.run].init_from
    network = f"{wildcards.dataset}/{run}/seed-{wildcards.seed}"
    return f"<results>/runs/{network}/model.safetensors" if run else []


rule train:
    """Train one network on one long-tailed data set, or import a released checkpoint.

    A job that was killed resumes from its last saved state.
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
            seconds="training_seconds",
            more_mb="training_megabytes",
        ),
    params:
        request=request("train"),
    script:
        "../workflow/scripts/train.py"
