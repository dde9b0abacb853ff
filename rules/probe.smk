localrules:
    probe_tables,
    probe_figure,


rule probe_split:
    """Choose the test images of the linear probe, the same for all networks."""
    input:
        reference="<data>/reference.npz",
    output:
        test="<data>/probe_split.npz",
        record="<data>/probe_split.json",
    log:
        "<logs>/probe_split/{dataset}.log",
    benchmark:
        "<benchmarks>/probe_split/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 8
    resources:
        **needs(mem_mb=8_000, minutes=60),
    params:
        request=request("probe_split"),
    script:
        "../workflow/scripts/probe_split.py"


def probe_training_images(wildcards):
    """Return the labelled images that the probe's classifiers are trained on."""
    balanced = plan.probe_train_on == "balanced"
    return "<data>/reference.npz" if balanced else "<data>/train.npz"


rule probe:
    """Train and test linear classifiers on a frozen network's features, one per level and layer."""
    input:
        model="<run>/model.safetensors",
        train=probe_training_images,
        test="<data>/probe_split.npz",
        counts="<data>/counts.csv",
    output:
        table="<run>/probe.csv",
        record="<run>/probe.json",
    log:
        "<logs>/probe/{dataset}/{run}/seed-{seed}.log",
    benchmark:
        "<benchmarks>/probe/{dataset}/{run}/seed-{seed}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **needs(mem_mb=12_000, gpu=1, seconds="probe_seconds"),
    params:
        request=request("probe"),
    script:
        "../workflow/scripts/probe.py"


rule probe_tables:
    """Join the probes of all networks; write the table of the chosen levels and layers."""
    input:
        probes=expand(rules.probe.output.table, **networks),
    output:
        tidy=report(
            "<results>/tables/probe-all.csv",
            caption="../workflow/report/probe_all.rst",
            category="Numbers as CSV",
            labels={"table": "linear probe"},
        ),
        main=report(
            "<results>/tables/probe.html",
            caption="../workflow/report/probe.rst",
            category="Linear probe",
            labels={"table": "chosen levels and layers"},
        ),
        others=expand("<results>/tables/probe.{form}", form=["csv", "md", "tex"]),
    log:
        "<logs>/probe_tables.log",
    benchmark:
        "<benchmarks>/probe_tables.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("probe_tables"),
    script:
        "../workflow/scripts/probe_tables.py"


rule probe_figure:
    """Draw a data set's heat maps: probe accuracy by noise level and layer."""
    input:
        tidy="<results>/tables/probe-all.csv",
    output:
        png=report(
            "<results>/figures/{dataset}-probe.png",
            caption="../workflow/report/probe_figure.rst",
            category="Linear probe",
            labels={"figure": "levels and layers", "data set": "{dataset}"},
        ),
        pdf="<results>/figures/{dataset}-probe.pdf",
        csv="<results>/figures/{dataset}-probe.csv",
    log:
        "<logs>/probe_figure/{dataset}.log",
    benchmark:
        "<benchmarks>/probe_figure/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("probe_figure"),
    script:
        "../workflow/scripts/probe_figure.py"
