# Red-GAN's experiment as a workflow of bundle runs: from a data set to the report.
#
#   snakemake -s scripts/experiments/redgan.smk --configfile scripts/experiments/redgan_demo.json --cores 2
#
# It resumes where it stopped (trainings continue from their checkpoints), shows its plan with -n, and runs the same
# on a Slurm cluster (--executor slurm). Every job writes beside its output; every job has a log.

import sys

sys.path.insert(0, os.getcwd())
from scripts.experiments.arms import flags
from scripts.experiments.experiment_file import open_experiment
from scripts.experiments.redgan_arms import ARMS, GENERATORS

open_experiment("redgan", config, workflow.configfiles)

RESULTS = config["results_dir"]
DATASET = config["dataset_dir"]
TARGET = config.get("target_class")
BASELINE = config.get("baseline", "real")
SHOWN = {name: ARMS[name] for name in config["arms"]}
RUNS = [f"fold{fold}_seed{seed}" for fold in config["folds"] for seed in config["seeds"]]
PYTHON = sys.executable
SIZES = {"image_size_pixels": config["image_size_pixels"]}
COMMON = flags({"dataset_dir": DATASET, "cache_dir": config["cache_dir"], **SIZES})
RUNNER = f"{PYTHON} -W ignore -m monai.bundle run --logging_file configs/logging.conf"
SEGMENTER = flags(config["segmenter"])
JOB = config.get("jobs_dir", RESULTS + "/jobs") + "/{run}"  # shared by experiments that name the same folder


wildcard_constraints:
    run=r"fold\d+_seed\d+",
    arm="|".join(ARMS),
    generator="|".join(GENERATORS),


localrules:
    report,


rule report:
    input:
        scores=expand(RESULTS + "/arms/{arm}/{run}.csv", arm=SHOWN, run=RUNS),
        quality=[JOB.format(run=RUNS[0]) + f"/{g}/quality.json" for g in {a.generator for a in SHOWN.values()} - {None}],
    output:
        RESULTS + "/report.html",
    shell:
        f"{PYTHON} -W ignore -m scripts.experiments.redgan_collect {{workflow.configfiles}} && {PYTHON} -m scripts report {RESULTS}"


def synthetic_set(wildcards):
    arm = ARMS[wildcards.arm]
    if arm.generator is None:
        return []
    return f"{JOB.format(run=wildcards.run)}/{arm.generator}/synthetic_{arm.plan['strategy']}/dataset.json"


rule segmenter:
    input:
        synthetic_set,
    output:
        JOB + "/segmenter_{arm}/model.pt",
    log:
        JOB + "/segmenter_{arm}/log.txt",
    threads: config.get("threads", 1)
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
        seed=lambda w: w.run.split("_")[1].removeprefix("seed"),
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags(ARMS[w.arm].options),
        synthetic=lambda w, input: flags({"synthetic_dir": os.path.dirname(input[0])}) if input else "",
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/train.json {COMMON} {SEGMENTER} --fold {{params.fold}} "
        "--seed {params.seed} --output_dir {params.folder} --model_file {output} {params.options} {params.synthetic} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule evaluate_segmenter:
    input:
        JOB + "/segmenter_{arm}/model.pt",
    output:
        RESULTS + "/arms/{arm}/{run}.csv",
    log:
        JOB + "/segmenter_{arm}/evaluation.txt",
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/evaluate.json {flags({'dataset_dir': DATASET})} "
        f"--fold {{params.fold}} --model_file {{input}} --scores_file {{output}} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule generator:
    priority: 10
    input:
        JOB + "/segmenter_real/model.pt",
    output:
        JOB + "/{generator}/generator.pt",
    log:
        JOB + "/{generator}/log.txt",
    threads: config.get("threads", 1)
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
        seed=lambda w: w.run.split("_")[1].removeprefix("seed"),
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags({**config["gan"], **GENERATORS[w.generator]}, TARGET),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/redgan_train.json {COMMON} "
        "{params.options} --fold {params.fold} --seed {params.seed} --segmenter_file {input} "
        "--output_dir {params.folder}/run --generator_file {output} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule plan:
    input:
        JOB + "/segmenter_real/model.pt",  # by then the data set has proved sound
    output:
        JOB + "/{generator}/plan_{strategy}.json",
    log:
        JOB + "/{generator}/plan_{strategy}.txt",
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
        seed=lambda w: w.run.split("_")[1].removeprefix("seed"),
        options=lambda w: flags(
            {
                "strategy": w.strategy,
                **({"target_class": TARGET} if w.strategy == "single" else {}),
                **({"limit_per_class": config["limit_per_class"]} if "limit_per_class" in config else {}),
                **({"outline_class": config["gan"]["outline_class"]} if "outline_class" in config["gan"] else {}),
            }
        ),
    shell:
        f"{PYTHON} -W ignore -m scripts plan {DATASET} --output {{output}} {{params.options}} --fold {{params.fold}} "
        f"--seed {{params.seed}} {flags({'cache_dir': config['cache_dir'], **SIZES})} > {{log}} 2>&1 "
        "|| (tail -n 30 {log}; false)"


rule synthesise:
    input:
        generator=JOB + "/{generator}/generator.pt",
        plan=JOB + "/{generator}/plan_{strategy}.json",
    output:
        JOB + "/{generator}/synthetic_{strategy}/dataset.json",
    log:
        JOB + "/{generator}/synthetic_{strategy}.txt",
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/redgan_inference.json {COMMON} "
        "--fold {params.fold} --generator_file {input.generator} --plan_file {input.plan} --output_dir {params.folder} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


def quality_set(wildcards):
    strategy = next(arm.plan["strategy"] for arm in SHOWN.values() if arm.generator == wildcards.generator)
    return f"{JOB.format(run=wildcards.run)}/{wildcards.generator}/synthetic_{strategy}/dataset.json"


rule evaluate_images:
    input:
        synthetic=quality_set,
        segmenter=JOB + "/segmenter_real/model.pt",
    output:
        JOB + "/{generator}/quality.json",
    log:
        JOB + "/{generator}/quality.txt",
    params:
        fold=lambda w: w.run.split("_")[0].removeprefix("fold"),
        synthetic=lambda w, input: os.path.dirname(input.synthetic),
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/redgan_evaluate.json {COMMON} "
        "--fold {params.fold} --segmenter_file {input.segmenter} --synthetic_dir {params.synthetic} "
        "--output_dir {params.folder} > {log} 2>&1 || (tail -n 30 {log}; false)"
