rule extractor:
    """Prepare a feature extractor; one that needs training is trained on the balanced reference."""
    input:
        reference="<data>/reference.npz",
    output:
        weights="<data>/extractors/{extractor}.safetensors",
        record=report(
            "<data>/extractors/{extractor}.json",
            caption="../workflow/report/extractor.rst",
            category="Extractors",
            labels={"extractor": "{extractor}", "data set": "{dataset}"},
        ),
    log:
        "<logs>/extractor/{dataset}/{extractor}.log",
    benchmark:
        "<benchmarks>/extractor/{dataset}/{extractor}.tsv"
    priority: 10  # so that weights that cannot be downloaded fail before any training
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **needs(mem_mb=8_000, minutes=60, gpu=gpus_of_extractor),
    params:
        request=request("extractor"),
    script:
        "../workflow/scripts/extractor.py"


rule features:
    """Extract the features of a sample set."""
    input:
        images="<samples>/samples.npz",
        weights="<data>/extractors/{extractor}.safetensors",
    output:
        features="<samples>/features/{extractor}.npz",
    log:
        "<logs>/features/{dataset}/{run}/seed-{seed}/{sample_set}/{extractor}.log",
    benchmark:
        "<benchmarks>/features/{dataset}/{run}/seed-{seed}/{sample_set}/{extractor}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: feature_threads
    resources:
        **needs(mem_mb=12_000, minutes=60, gpu=gpus_of_extractor),
    params:
        request=request("features"),
    script:
        "../workflow/scripts/features.py"


use rule features as reference_features with:
    input:
        images="<data>/reference.npz",
        weights="<data>/extractors/{extractor}.safetensors",
    output:
        features="<data>/features/{extractor}.npz",
    log:
        "<logs>/reference_features/{dataset}/{extractor}.log",
    benchmark:
        "<benchmarks>/reference_features/{dataset}/{extractor}.tsv"
    params:
        request=request("reference_features"),


rule neighbours:
    """Find the nearest training images of each generated image, for memorisation metrics."""
    input:
        train="<data>/train.npz",
        images="<samples>/samples.npz",
    output:
        neighbours="<samples>/neighbours/{metric}.npz",
    log:
        "<logs>/neighbours/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.log",
    benchmark:
        "<benchmarks>/neighbours/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: search_threads
    resources:
        **needs(mem_mb=12_000, minutes=120),
    params:
        request=request("neighbours"),
    script:
        "../workflow/scripts/neighbours.py"


use rule neighbours as unseen_neighbours with:
    input:
        train="<data>/train.npz",
        images="<data>/reference.npz",
    output:
        neighbours="<data>/neighbours/{metric}.npz",
    log:
        "<logs>/unseen_neighbours/{dataset}/{metric}.log",
    benchmark:
        "<benchmarks>/unseen_neighbours/{dataset}/{metric}.tsv"
    params:
        request=request("unseen_neighbours"),


def metric_files(folder):
    """Return an input function: the features or neighbours that a metric reads from a folder."""

    def files(wildcards):
        metric = wildcards.metric
        if metric in plan.axes["search"]:
            return [f"{folder}/neighbours/{metric}.npz"]
        return [f"{folder}/features/{name}.npz" for name in plan.spaces[metric]]

    return files


rule metrics:
    """Score a sample set by one metric, per extractor and group of classes."""
    input:
        counts="<data>/counts.csv",
        real=metric_files("<data>"),
        fake=metric_files("<samples>"),
    output:
        table="<samples>/metrics/{metric}.csv",
        record="<samples>/metrics/{metric}.json",
    log:
        "<logs>/metrics/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.log",
    benchmark:
        "<benchmarks>/metrics/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: metric_threads
    resources:
        **needs(mem_mb=12_000, minutes=120),
    params:
        request=request("metrics"),
    script:
        "../workflow/scripts/metrics.py"


use rule metrics as tuning_metrics with:
    input:
        counts="<data>/counts.csv",
        real=[f"<data>/features/{plan.first_extractor}.npz"],
        fake=[f"<samples>/features/{plan.first_extractor}.npz"],
    output:
        table="<samples>/tuning.csv",
        record="<samples>/tuning.json",
    log:
        "<logs>/tuning_metrics/{dataset}/{run}/seed-{seed}/{sample_set}.log",
    benchmark:
        "<benchmarks>/tuning_metrics/{dataset}/{run}/seed-{seed}/{sample_set}.tsv"
    threads: tuning_threads
    params:
        request=request("tuning_metrics"),
