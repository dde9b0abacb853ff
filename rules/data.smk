rule prepare:
    """Decode a source once; cut the long-tailed training set out of it."""
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
        **asks,
    params:
        spec=data_slice,
        places=data_places,
        code=prepare_code,
    script:
        "../workflow/scripts/prepare.py"
