# A study as a workflow: its jobs, each once, and the page.
#
#   snakemake -s scripts/experiments/study.smk --configfile scripts/experiments/demo.json --cores 2
#
# It resumes where it stopped (after a kill with --rerun-incomplete: trainings continue from their checkpoints), shows
# its plan with -n, and runs the same on a Slurm cluster (--executor slurm). Every job has a log beside its output.

import json
import shlex
import sys

sys.path.insert(0, os.getcwd())
from scripts.experiments.jobs import LAUNCH, MAIN
from scripts.experiments.planning import plan_study
from scripts.experiments.study import open_workflow

PLAN = plan_study(open_workflow(config, workflow.configfiles))
ROOT = os.path.commonpath([job.output for job in PLAN.jobs])


localrules:
    page,


rule page:
    input:
        PLAN.targets,
    output:
        config["results_dir"] + "/report.html",
    params:
        command=os.environ.get("STUDY_COMMAND") or shlex.join(["snakemake", *sys.argv[1:]]),
        content=json.dumps(config, indent=4),  # of all files, and what --config changed
        folder=config["results_dir"],
        main=MAIN,
        launch=shlex.join([*LAUNCH, f"{ROOT}/page.log", f"{ROOT}/page.benchmark.tsv", "1"]),
    shell:
        "printf '%s\\n' {params.content:q} > {params.folder:q}/study.json"
        " && {params.launch} scripts.experiments.collect {params.folder:q}/study.json --command {params.command:q}"
        " && {params.launch} {params.main} report {params.folder:q}"


for job in PLAN.jobs:

    rule:
        name:
            job.name(ROOT)
        input:
            job.reads,
        output:
            job.writes,
        log:
            job.log,
        threads: job.threads
        priority: job.priority
        params:
            line=job.shell,
        shell:
            "{params.line}"
