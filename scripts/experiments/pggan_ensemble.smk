# The PGGAN ensemble's experiment as a workflow of bundle runs: members, their images, the segmenters, the report.
#
#   snakemake -s scripts/experiments/pggan_ensemble.smk --configfile scripts/experiments/pggan_ensemble_lgg.json --cores 2
#
# It resumes where it stopped (after a kill with --rerun-incomplete: trainings continue from their checkpoints), shows
# its plan with -n, and runs the same on a Slurm cluster (--executor slurm), where each member is a job of its own.
# Every job has a log beside its output.

import sys

sys.path.insert(0, os.getcwd())
from scripts.experiments.arms import flags
from scripts.experiments.experiment_file import open_experiment
from scripts.experiments.pggan_ensemble_arms import make_arms, snapshot_files

open_experiment("pggan_ensemble", config, workflow.configfiles)

RESULTS = config["results_dir"]
DATASET = config["dataset_dir"]
ARMS = make_arms(config)
SETS = sorted({arm.generator for arm in ARMS.values() if arm.generator})
MEMBERS = list(range(config["members"]))
PYTHON = sys.executable
SLICES = {"image_size_pixels": config["image_size_pixels"], **config.get("slice_rule", {})}
COMMON = flags({"dataset_dir": DATASET, "cache_dir": config["cache_dir"], **SLICES})
RUNNER = f"{PYTHON} -W ignore -m monai.bundle run --logging_file configs/logging.conf"
FOLD = RESULTS + "/jobs/fold{fold}"  # members are trained once per fold, segmenters once per fold and seed
MEMBER = FOLD + "/member_{member}"
SEGMENTER = FOLD + "/segmenter_{arm}_seed{seed}"


wildcard_constraints:
    fold=r"\d+|None",
    seed=r"\d+",
    member=r"\d+",
    arm="|".join(ARMS),
    set=r"members_\d+|snapshots_\d+",
    number=r"\d+",


localrules:
    report,


rule report:
    input:
        expand(RESULTS + "/arms/{arm}/fold{fold}_seed{seed}.csv", arm=ARMS, fold=config["folds"], seed=config["seeds"]),
        expand(FOLD + "/evaluation/choice.json", fold=config["folds"]) if SETS else [],
    output:
        RESULTS + "/report.html",
    shell:
        f"{PYTHON} -W ignore -m scripts.experiments.pggan_ensemble_collect {{workflow.configfiles}} && {PYTHON} -m scripts report {RESULTS}"


rule segmenter:
    input:
        lambda w: f"{FOLD}/sets/{ARMS[w.arm].generator}/dataset.json".format(fold=w.fold) if ARMS[w.arm].generator else [],
    output:
        SEGMENTER + "/model.pt",
    log:
        SEGMENTER + "/log.txt",
    threads: config.get("threads", 1)
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags({**config["segmenter"], **ARMS[w.arm].options}),
        synthetic=lambda w, input: flags({"synthetic_dir": os.path.dirname(input[0])}) if input else "",
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/pggan_ensemble_segmenter_train.json {COMMON} "
        "--fold {wildcards.fold} --seed {wildcards.seed} --output_dir {params.folder} --model_file {output} "
        "{params.options} {params.synthetic} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule evaluate_segmenter:
    input:
        SEGMENTER + "/model.pt",
    output:
        RESULTS + "/arms/{arm}/fold{fold}_seed{seed}.csv",
    log:
        SEGMENTER + "/evaluation.txt",
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/pggan_ensemble_segmenter_evaluate.json {flags({'dataset_dir': DATASET})} "
        "--fold {wildcards.fold} --model_file {input} --scores_file {output} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule member:
    priority: 10
    output:
        MEMBER + "/generator.pt",
    log:
        MEMBER + "/log.txt",
    threads: config.get("threads", 1)
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags({**config["gan"], "snapshot_count": config.get("snapshots", 0)}),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/pggan_ensemble_train.json {COMMON} --fold {{wildcards.fold}} "
        "--member {wildcards.member} --output_dir {params.folder}/run {params.options} > {log} 2>&1 "
        "&& cp {params.folder}/run/generator.json {params.folder}/run/generator.pt {params.folder} "
        "|| (tail -n 30 {log}; false)"


def generators(wildcards):
    """Members that a set needs: the first ones, or the one whose snapshots it takes."""
    choice, number = wildcards.set.split("_")
    return expand(MEMBER + "/generator.pt", member=range(int(number)) if choice == "members" else [0], fold=wildcards.fold)


def weights(wildcards, input):
    choice, number = wildcards.set.split("_")
    return snapshot_files(config, os.path.dirname(input[0]) + "/run", int(number)) if choice == "snapshots" else list(input)


SYNTHESISE = (
    f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/pggan_ensemble_inference.json {COMMON} "
    f"--fold {{wildcards.fold}} --image_count {config['image_count']} --output_dir {{params.folder}} "
    "{params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"
)


rule synthesise:
    input:
        generators,
    output:
        FOLD + "/sets/{set}/dataset.json",
    log:
        FOLD + "/sets/{set}.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w, input: flags({"generator_files": weights(w, input)}),
    shell:
        SYNTHESISE


rule synthesise_chosen:
    input:
        members=expand(MEMBER + "/generator.pt", member=MEMBERS, allow_missing=True),
        choice=FOLD + "/evaluation/choice.json",
    output:
        FOLD + "/sets/greedy_{number}/dataset.json",
    log:
        FOLD + "/sets/greedy_{number}.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w, input: flags(
            {"generator_files": list(input.members), "choice_file": input.choice, "chosen_count": w.number}
        ),
    shell:
        SYNTHESISE


rule evaluate_images:
    input:
        images=FOLD + f"/sets/members_{len(MEMBERS)}/dataset.json",
        segmenter=FOLD + f"/segmenter_real_seed{config['seeds'][0]}/model.pt",
    output:
        FOLD + "/evaluation/choice.json",
    log:
        FOLD + "/evaluation/log.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        synthetic=lambda w, input: os.path.dirname(input.images),
        options=flags(config.get("evaluation", {})),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/pggan_ensemble_evaluate.json {COMMON} --fold {{wildcards.fold}} "
        "--synthetic_dir {params.synthetic} --model_file {input.segmenter} --output_dir {params.folder} "
        "{params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"
