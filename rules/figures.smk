localrules:
    figures,
    ema_width_figure,
    copies_figure,
    guidance_figure,


def network_files(file):
    """Return a function that gives this file of a data set's networks, ordered by run, then seed."""

    def files(wildcards):
        runs_and_seeds = {"run": plan.axes["run"], "seed": plan.axes["seed"]}
        return expand(file, dataset=wildcards.dataset, **runs_and_seeds)

    return files


def first_samples(wildcards):
    """Return one sample set per run: the first seed, the first sample set."""
    return expand(
        rules.sample.output.samples,
        dataset=wildcards.dataset,
        run=plan.axes["run"],
        seed=plan.axes["seed"][0],
        sample_set=plan.axes["sample_set"][0],
    )


rule figures:
    """Draw a data set's figures: class counts, scores, training losses, costs, samples."""
    input:
        counts="<data>/counts.csv",
        reference="<data>/reference.npz",
        tidy="<results>/tables/metrics.csv",
        records=network_files(rules.train.output.record),
        histories=network_files(rules.train.output.history),
        samples=first_samples,
    output:
        counts_png=report(
            "<results>/figures/{dataset}-counts.png",
            caption="../workflow/report/counts.rst",
            category="Figures",
            labels={"figure": "counts", "data set": "{dataset}"},
        ),
        per_class_png=report(
            "<results>/figures/{dataset}-per-class.png",
            caption="../workflow/report/per_class.rst",
            category="Figures",
            labels={"figure": "per class", "data set": "{dataset}"},
        ),
        training_png=report(
            "<results>/figures/{dataset}-training.png",
            caption="../workflow/report/training.rst",
            category="Figures",
            labels={"figure": "training", "data set": "{dataset}"},
        ),
        intervals_png=report(
            "<results>/figures/{dataset}-intervals.png",
            caption="../workflow/report/intervals.rst",
            category="Figures",
            labels={"figure": "differences", "data set": "{dataset}"},
        ),
        cost_png=report(
            "<results>/figures/{dataset}-cost.png",
            caption="../workflow/report/cost.rst",
            category="Figures",
            labels={"figure": "cost", "data set": "{dataset}"},
        ),
        samples_png=report(
            "<results>/figures/{dataset}-samples.png",
            caption="../workflow/report/samples.rst",
            category="Figures",
            labels={"figure": "samples", "data set": "{dataset}"},
        ),
        counts_pdf="<results>/figures/{dataset}-counts.pdf",
        counts_csv="<results>/figures/{dataset}-counts.csv",
        per_class_pdf="<results>/figures/{dataset}-per-class.pdf",
        per_class_csv="<results>/figures/{dataset}-per-class.csv",
        training_pdf="<results>/figures/{dataset}-training.pdf",
        training_csv="<results>/figures/{dataset}-training.csv",
        intervals_pdf="<results>/figures/{dataset}-intervals.pdf",
        intervals_csv="<results>/figures/{dataset}-intervals.csv",
        cost_pdf="<results>/figures/{dataset}-cost.pdf",
        cost_csv="<results>/figures/{dataset}-cost.csv",
    log:
        "<logs>/figures/{dataset}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("figures"),
    script:
        "../workflow/scripts/figures.py"


rule ema_width_figure:
    """Draw a metric by the width of the post-hoc EMA, if sample sets sweep it."""
    input:
        tidy="<results>/tables/metrics.csv",
    output:
        png=report(
            "<results>/figures/{dataset}-ema-width.png",
            caption="../workflow/report/ema_width_figure.rst",
            category="Figures",
            labels={"figure": "EMA width", "data set": "{dataset}"},
        ),
        pdf="<results>/figures/{dataset}-ema-width.pdf",
        csv="<results>/figures/{dataset}-ema-width.csv",
    log:
        "<logs>/ema_width_figure/{dataset}.log",
    benchmark:
        "<benchmarks>/ema_width_figure/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("ema_width_figure"),
    script:
        "../workflow/scripts/ema_width_figure.py"


rule guidance_figure:
    """Draw a metric by the weight of guidance, if sample sets sweep it."""
    input:
        tidy="<results>/tables/metrics.csv",
        scores=("<results>/tables/tuning.csv" if plan.tuning_half else []),
    output:
        png=report(
            "<results>/figures/{dataset}-guidance.png",
            caption="../workflow/report/guidance_figure.rst",
            category="Figures",
            labels={"figure": "guidance", "data set": "{dataset}"},
        ),
        pdf="<results>/figures/{dataset}-guidance.pdf",
        csv="<results>/figures/{dataset}-guidance.csv",
    log:
        "<logs>/guidance_figure/{dataset}.log",
    benchmark:
        "<benchmarks>/guidance_figure/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("guidance_figure"),
    script:
        "../workflow/scripts/guidance_figure.py"


rule copies_figure:
    """Draw a sample set's likeliest copies beside their nearest training images."""
    input:
        neighbours="<samples>/neighbours/{metric}.npz",
        samples="<samples>/samples.npz",
        train="<data>/train.npz",
        counts="<data>/counts.csv",
    output:
        picture=report(
            "<samples>/neighbours/{metric}.png",
            caption="../workflow/report/copies_figure.rst",
            category="Memorisation",
            labels={
                "run": "{run}",
                "seed": "{seed}",
                "sample set": "{sample_set}",
                "data set": "{dataset}",
                "metric": "{metric}",
            },
        ),
    log:
        "<logs>/copies_figure/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.log",
    benchmark:
        "<benchmarks>/copies_figure/{dataset}/{run}/seed-{seed}/{sample_set}/{metric}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("copies_figure"),
    script:
        "../workflow/scripts/copies_figure.py"
