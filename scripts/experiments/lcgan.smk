# LcGAN's experiment as a workflow of bundle runs: fractions of the patients x arms x seeds, to the report.
#
#   snakemake -s scripts/experiments/lcgan.smk --configfile scripts/experiments/lcgan_covid_ct.json --cores 2
#
# It resumes where it stopped (trainings continue from their checkpoints), shows its plan with -n, and runs the same
# on a Slurm cluster (--executor slurm). Every job writes beside its output; every job has a log.

import sys

sys.path.insert(0, os.getcwd())
from scripts.data.training import training_items
from scripts.experiments.arms import flags
from scripts.experiments.experiment_file import open_experiment
from scripts.experiments.lcgan_arms import ARMS, MINIMUM_PATIENTS

open_experiment("lcgan", config, workflow.configfiles, kind="ct")

RESULTS = config["results_dir"]
DATASET = config["dataset_dir"]
RUNS = [f"fold{fold}_seed{seed}" for fold in config["folds"] for seed in config["seeds"]]
EPOCHS = [f"{epoch:04d}" for epoch in config["gan"]["candidate_epochs"]]
PYTHON = sys.executable
SIZES = {"image_size_pixels": config["image_size_pixels"]}
COMMON = flags({"dataset_dir": DATASET, "cache_dir": config["cache_dir"], **SIZES})
RUNNER = f"{PYTHON} -W ignore -m monai.bundle run --logging_file configs/logging.conf"
MASKS = ("outline_class", "outline_threshold", "minimum_lesion_pixels")
SCORER_FRACTION = config.get("scorer_fraction")  # the paper's leaking variant scores by a segmenter of all data: 1.0
SHARE = RESULTS + "/fraction_{share}"
JOB = SHARE + "/jobs/{run}"


def subset(wildcards):
    """Options that name a job's training patients: fold, fraction, and the seed that chooses the fraction."""
    fold, seed = wildcards.run.removeprefix("fold").split("_seed")
    return flags({"fold": fold, "patient_fraction": wildcards.share, "fraction_seed": seed})


def seed(wildcards):
    return wildcards.run.split("_seed")[1]


wildcard_constraints:
    share=r"[\d.]+",
    run=r"fold(\d+|None)_seed\d+",
    arm="|".join(ARMS),
    part="[01]",


localrules:
    report,


rule report:
    input:
        expand(SHARE + "/{kind}/{arm}/{run}.csv", kind=["arms", "detections"], share=config["fractions"], arm=config["arms"], run=RUNS),
    output:
        RESULTS + "/report.html",
    shell:
        f"{PYTHON} -W ignore -m scripts.experiments.lcgan_collect {{workflow.configfiles}} && {PYTHON} -m scripts report {RESULTS}"


rule segmenter:
    input:
        lambda w: JOB.format(**w) + "/selected/dataset.json" if ARMS[w.arm].generator else [],
    output:
        JOB + "/segmenter_{arm}/model.pt",
    log:
        JOB + "/segmenter_{arm}/log.txt",
    threads: config.get("threads", 1)
    params:
        subset=subset,
        seed=seed,
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags({**config["segmenter"], **ARMS[w.arm].options}),
        synthetic=lambda w, input: flags({"synthetic_dir": os.path.dirname(input[0])}) if input else "",
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/lcgan_segmenter_train.json {COMMON} {{params.subset}} "
        "--seed {params.seed} --output_dir {params.folder} --model_file {output} {params.options} {params.synthetic} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule evaluate_segmenter:
    input:
        JOB + "/segmenter_{arm}/model.pt",
    output:
        scores=SHARE + "/arms/{arm}/{run}.csv",
        detections=SHARE + "/detections/{arm}/{run}.csv",
    log:
        JOB + "/segmenter_{arm}/evaluation.txt",
    params:
        fold=lambda w: w.run.removeprefix("fold").split("_")[0],
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/lcgan_segmenter_evaluate.json "
        f"{flags({'dataset_dir': DATASET})} --fold {{params.fold}} --model_file {{input}} "
        "--scores_file {output.scores} --detections_file {output.detections} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule generator:
    priority: 10
    output:
        JOB + "/lcgan/generator.pt",
    log:
        JOB + "/lcgan/log.txt",
    threads: config.get("threads", 1)
    params:
        subset=subset,
        seed=seed,
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config["gan"]),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/lcgan_train.json {COMMON} {{params.subset}} "
        "--seed {params.seed} --output_dir {params.folder}/run --generator_file {output} {params.options} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule plan:
    output:
        JOB + "/lcgan/plan.json",
    log:
        JOB + "/lcgan/plan.txt",
    params:
        subset=subset,
        seed=seed,
        draws=config.get("draws_per_mask", 1),
        options=flags({k: v for k, v in config["gan"].items() if k in MASKS}),
    shell:
        f"{PYTHON} -W ignore -m scripts plan {DATASET} --config configs/lcgan_train.json --output {{output}} "
        "--strategy own_class --draws_per_mask {params.draws} --seed {params.seed} {params.subset} {params.options} "
        f"{flags({'cache_dir': config['cache_dir'], **SIZES})} > {{log}} 2>&1 || (tail -n 30 {{log}}; false)"


rule synthesise:
    input:
        generator=JOB + "/lcgan/generator.pt",
        plan=JOB + "/lcgan/plan.json",
    output:
        JOB + "/candidates/epoch_{epoch}/dataset.json",
    log:
        JOB + "/candidates/epoch_{epoch}.txt",
    params:
        subset=subset,
        seed=seed,
        folder=lambda w, output: os.path.dirname(output[0]),
        weights=lambda w, input: f"{os.path.dirname(input.generator)}/run/generators/epoch_{w.epoch}.pt",
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/lcgan_inference.json {COMMON} {{params.subset}} "
        "--seed {params.seed} --generator_file {params.weights} --plan_file {input.plan} --output_dir {params.folder} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule classifier:
    input:
        expand(JOB + "/candidates/epoch_{epoch}/dataset.json", epoch=EPOCHS, allow_missing=True),
    output:
        JOB + "/classifier_{part}/model.pt",
    log:
        JOB + "/classifier_{part}/log.txt",
    params:
        subset=subset,
        seed=seed,
        candidates=lambda w, input: os.path.dirname(os.path.dirname(input[0])),
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config["classifier"]),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/lcgan_classifier_train.json {COMMON} {{params.subset}} "
        "--seed {params.seed} --candidates_dir {params.candidates} --part {wildcards.part} --output_dir {params.folder} "
        "--model_file {output} {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


def classifiers(wildcards):
    """Both halves' classifiers, or none where the patients are too few to part."""
    fold, start = wildcards.run.removeprefix("fold").split("_seed")
    items = training_items(
        DATASET,
        fold=None if fold == "None" else int(fold),
        patient_fraction=float(wildcards.share),
        fraction_seed=int(start),
    )
    enough = len({item["patient"] for item in items}) >= MINIMUM_PATIENTS
    return expand(JOB + "/classifier_{part}/model.pt", part=[0, 1] if enough else [], **wildcards)


def scorer(wildcards):
    share = wildcards.share if SCORER_FRACTION is None else SCORER_FRACTION
    return JOB.format(share=share, run=wildcards.run) + "/segmenter_original/model.pt"


rule select:
    input:
        candidates=expand(JOB + "/candidates/epoch_{epoch}/dataset.json", epoch=EPOCHS, allow_missing=True),
        segmenter=scorer,
        classifiers=classifiers,
    output:
        JOB + "/selected/dataset.json",
    log:
        JOB + "/selected/log.txt",
    params:
        subset=subset,
        candidates=lambda w, input: os.path.dirname(os.path.dirname(input.candidates[0])),
        classifiers=lambda w, input: flags({"classifier_files": list(input.classifiers)}),
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config.get("selection", {})),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/lcgan_evaluate.json {COMMON} {{params.subset}} "
        "--candidates_dir {params.candidates} --model_file {input.segmenter} {params.classifiers} "
        "--output_dir {params.folder} {params.options} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"
