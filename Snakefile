from snakemake.utils import min_version

min_version("9.27")


if not workflow.overwrite_configfiles:

    configfile: "config/demo.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/cluster.smk"
include: "rules/failures.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/evaluate.smk"
include: "rules/probe.smk"
include: "rules/theory.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


onstart:
    try:
        refuse_shared_gpus()
        save_snapshot()
        print_warnings()
        explain_failures()
    except LtdmError as error:
        sys.exit(f"ltdm: {error}")


rule all:
    default_target: True
    input:
        lambda _: map(str, target_files(plan)),
        "<results>/manifest.json",
        "<results>/index.html",
