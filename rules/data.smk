rule prepare:
    """Decode a source once; write its long-tailed training set and its reference."""
    input:
        check_foreign_results,
    output:
        train="<data>/train.npz",
        reference="<data>/reference.npz",
        counts="<data>/counts.csv",
        record="<data>/data.json",
    log:
        "<logs>/prepare/{dataset}.log",
    benchmark:
        "<benchmarks>/prepare/{dataset}.tsv"
    conda:
        "../workflow/envs/ltdm.yaml"
    threads: 8
    resources:
        **needs(mem_mb=8_000, minutes=60, more_mb="preparation_megabytes"),
    params:
        request=request("prepare"),
    script:
        "../workflow/scripts/prepare.py"
