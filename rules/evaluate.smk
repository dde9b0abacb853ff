rule extractor:
    """Make a feature extractor ready: fit it on the balanced reference if it needs that."""
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
    priority: 10  # weights that cannot be had are told before networks are trained
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **asks,
    params:
        spec=extractor_slice,
        places=extractor_places,
        code=extractor_code,
    script:
        "../workflow/scripts/extractor.py"


rule reference_features:
    """Extract the features of the balanced reference, once for all runs."""
    input:
        images="<data>/reference.npz",
        weights="<data>/extractors/{extractor}.safetensors",
    output:
        features="<data>/features/{extractor}.npz",
    log:
        "<logs>/reference_features/{dataset}/{extractor}.log",
    benchmark:
        "<benchmarks>/reference_features/{dataset}/{extractor}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: feature_threads
    resources:
        **asks,
    params:
        code=features_code,
    script:
        "../workflow/scripts/features.py"


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
        **asks,
    params:
        code=features_code,
    script:
        "../workflow/scripts/features.py"


rule neighbours:
    """Find the nearest training images of every generated one, for a metric that reads them."""
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
        **asks,
    params:
        search=search_slice,
        unseen=False,
        code=stage_code("neighbours"),
    script:
        "../workflow/scripts/neighbours.py"


rule unseen:
    """Find those of the real images that are not in the training set, as a baseline."""
    input:
        train="<data>/train.npz",
        images="<data>/reference.npz",
    output:
        neighbours="<data>/neighbours/{metric}.npz",
    log:
        "<logs>/unseen/{dataset}/{metric}.log",
    benchmark:
        "<benchmarks>/unseen/{dataset}/{metric}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: search_threads
    resources:
        **asks,
    params:
        search=search_slice,
        unseen=True,
        code=stage_code("neighbours"),
    script:
        "../workflow/scripts/neighbours.py"


rule metrics:
    """Score a sample set by one metric, in every feature space and group of classes."""
    input:
        counts="<data>/counts.csv",
        real=feeding("<data>"),
        fake=feeding("<samples>"),
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
        **asks,
    params:
        spec=metric_slice,
        groups=experiment.evaluate.grouping(),
        extractors=fed_by,
        code=metric_code,
    script:
        "../workflow/scripts/metrics.py"
