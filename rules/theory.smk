localrules:
    theory_tables,
    theory_figure,


rule theory:
    """Train, solve and measure the games of a sweep, for all its seeds, tails and betas at once."""
    input:
        check_foreign_results,
    output:
        rows="<results>/theory/{sweep}.csv",
        networks="<results>/theory/{sweep}.npz",
        record="<results>/theory/{sweep}.json",
    log:
        "<logs>/theory/{sweep}.log",
    benchmark:
        "<benchmarks>/theory/{sweep}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 1
    resources:
        **needs(mem_mb=8_000, minutes=60),
    params:
        request=request("theory"),
    script:
        "../workflow/scripts/theory.py"


rule theory_tables:
    """Write each sweep's table, and the findings on the paper's claims."""
    input:
        rows=expand(rules.theory.output.rows, sweep=plan.axes["sweep"]),
    output:
        findings=report(
            "<results>/tables/theory.html",
            caption="../workflow/report/theory_findings.rst",
            category="Theory",
            labels={"table": "findings"},
        ),
        tables=[
            report(
                f"<results>/tables/theory-{name}.html",
                caption="../workflow/report/theory.rst",
                category="Theory",
                labels={"table": "sweep", "sweep": name},
            )
            for name in plan.axes["sweep"]
        ],
        others=expand(
            "<results>/tables/{table}.{form}",
            table=["theory", *(f"theory-{name}" for name in plan.axes["sweep"])],
            form=["csv", "md", "tex"],
        ),
    log:
        "<logs>/theory_tables.log",
    benchmark:
        "<benchmarks>/theory_tables.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("theory_tables"),
    script:
        "../workflow/scripts/theory_tables.py"


rule theory_figure:
    """Draw a figure of a sweep: curves, or the scores and samples of its first networks."""
    input:
        rows="<results>/theory/{sweep}.csv",
        networks="<results>/theory/{sweep}.npz",
    output:
        png=report(
            "<results>/figures/theory-{sweep}-{figure}.png",
            caption="../workflow/report/theory_figure.rst",
            category="Theory",
            labels={"figure": "{figure}", "sweep": "{sweep}"},
        ),
        pdf="<results>/figures/theory-{sweep}-{figure}.pdf",
        csv="<results>/figures/theory-{sweep}-{figure}.csv",
    log:
        "<logs>/theory_figure/{sweep}/{figure}.log",
    benchmark:
        "<benchmarks>/theory_figure/{sweep}/{figure}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    params:
        request=request("theory_figure"),
    script:
        "../workflow/scripts/theory_figure.py"
