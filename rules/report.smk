localrules:
    page,
    tables,
    sample_sheet,
    reference_sheet,
    tuned_tables,


rule tables:
    """Join all rows; write the main table as HTML, CSV, Markdown and LaTeX."""
    input:
        metrics=[
            expand(rules.metrics.output.table, metric=metric, **sample_set)
            for metric in metrics
            for sample_set in sample_sets
        ],
    output:
        tidy=report(
            "<results>/tables/metrics.csv",
            caption="../workflow/report/metrics.rst",
            category="Numbers as CSV",
            labels={"table": "scores"},
        ),
        differences=report(
            "<results>/tables/differences.csv",
            caption="../workflow/report/differences.rst",
            category="Numbers as CSV",
            labels={"table": "differences"},
        ),
        main=report(
            "<results>/tables/main.html",
            caption="../workflow/report/main.rst",
            category="Comparison of runs",
            labels={"table": "main"},
        ),
        vs_baseline=report(
            "<results>/tables/vs_baseline.html",
            caption="../workflow/report/vs_baseline.rst",
            category="Comparison of runs",
            labels={"table": "vs baseline"},
        ),
        others=expand(
            "<results>/tables/{table}.{form}",
            table=["main", "vs_baseline"],
            form=["csv", "md", "tex"],
        ),
        record="<results>/tables/tables.json",
    log:
        "<logs>/tables.log",
    benchmark:
        "<benchmarks>/tables.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("tables"),
    script:
        "../workflow/scripts/tables.py"


rule tuned_tables:
    """Choose each run's sample set by one half of the reference; write the table on the other."""
    input:
        tidy="<results>/tables/metrics.csv",
        tuning=[
            expand(rules.tuning_metrics.output.table, **sample_set)
            for sample_set in sample_sets
        ],
    output:
        scores=report(
            "<results>/tables/tuning.csv",
            caption="../workflow/report/tuning.rst",
            category="Numbers as CSV",
            labels={"table": "scores of the tuning half"},
        ),
        main=report(
            "<results>/tables/tuned.html",
            caption="../workflow/report/tuned.rst",
            category="Comparison of runs",
            labels={"table": "tuned"},
        ),
        others=expand("<results>/tables/tuned.{form}", form=["csv", "md", "tex"]),
    log:
        "<logs>/tuned_tables.log",
    benchmark:
        "<benchmarks>/tuned_tables.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("tuned_tables"),
    script:
        "../workflow/scripts/tuned_tables.py"


rule page:
    """Write the page of all results, one file that needs no network."""
    input:
        manifest="<results>/manifest.json",
        others=lambda _: map(str, page_inputs(plan)),
    output:
        page="<results>/index.html",
    log:
        "<logs>/page.log",
    benchmark:
        "<benchmarks>/page.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=page_request(plan),
    script:
        "../workflow/scripts/page.py"


rule manifest:
    """List every file behind every number, with its SHA-256."""
    input:
        lambda _: map(str, parents()),
    output:
        manifest="<results>/manifest.json",
    log:
        "<logs>/manifest.log",
    benchmark:
        "<benchmarks>/manifest.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    resources:
        **needs(minutes=240),
    params:
        request=lambda _: manifest_request(plan, parents()),
    script:
        "../workflow/scripts/manifest.py"
