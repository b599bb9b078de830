# CPGGAN's experiment as a workflow of bundle runs: the GAN, its images, which of them show a lesion, the detectors, the report.
#
#   snakemake -s scripts/experiments/cpggan.smk --configfile scripts/experiments/cpggan_lgg.json --cores 2
#
# It resumes where it stopped (after a kill with --rerun-incomplete: trainings continue from their checkpoints), shows
# its plan with -n, and runs the same on a Slurm cluster (--executor slurm). Every job has a log beside its output.

import sys

sys.path.insert(0, os.getcwd())
from scripts.experiments.arms import flags
from scripts.experiments.cpggan_arms import make_arms
from scripts.experiments.experiment_file import open_experiment

open_experiment("cpggan", config, workflow.configfiles)

RESULTS = config["results_dir"]
DATASET = config["dataset_dir"]
ARMS = make_arms(config["arms"])
SHOWN = ["real", *[name for name, arm in ARMS.items() if arm.generator][:1]]  # whose detections are drawn
HAS_GAN = any(arm.generator for arm in ARMS.values())
PYTHON = sys.executable
SEEN = {"dataset_dir": DATASET, "cache_dir": config["cache_dir"], "image_size_pixels": config["image_size_pixels"]}
EVERY_SLICE = flags({**SEEN, **config.get("boxes", {})})
WHOLE = flags({"dataset_dir": DATASET} | {k: v for k, v in config.get("boxes", {}).items() if k == "minimum_lesion_pixels"})
COMMON = flags({**SEEN, **config.get("boxes", {}), **config.get("slice_rule", {})})
RUNNER = f"{PYTHON} -W ignore -m monai.bundle run --logging_file configs/logging.conf"
FOLD = RESULTS + "/jobs/fold{fold}"  # the GAN is trained once per fold, detectors once per fold and seed
DETECTOR_FOLDER = FOLD + "/detector_{arm}_seed{seed}"


wildcard_constraints:
    fold=r"\d+|None",
    seed=r"\d+",
    arm="|".join(ARMS),


localrules:
    report,


rule report:
    input:
        expand(
            RESULTS + "/arms/{arm}/fold{fold}_seed{seed}/detection.json", arm=ARMS, fold=config["folds"], seed=config["seeds"]
        ),
        expand(FOLD + "/evaluation/kept/dataset.json", fold=config["folds"]) if HAS_GAN else [],
        expand(RESULTS + "/detections/{arm}/boxes.json", arm=SHOWN),
        RESULTS + "/turing.html" if HAS_GAN else [],
    output:
        RESULTS + "/report.html",
    shell:
        f"{PYTHON} -W ignore -m scripts.experiments.cpggan_collect {{workflow.configfiles}} && {PYTHON} -m scripts report {RESULTS}"


rule generator:
    priority: 10
    output:
        FOLD + "/generator/generator.pt",
    log:
        FOLD + "/generator/log.txt",
    threads: config.get("threads", 1)
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config["gan"]),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/cpggan_train.json {COMMON} --fold {{wildcards.fold}} "
        "--output_dir {params.folder}/run {params.options} > {log} 2>&1 "
        "&& cp {params.folder}/run/generator.json {params.folder}/run/generator.pt {params.folder} "
        "|| (tail -n 30 {log}; false)"


rule synthesise:
    input:
        FOLD + "/generator/generator.pt",
    output:
        FOLD + "/synthetic/dataset.json",
    log:
        FOLD + "/synthetic.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config.get("synthesis", {})),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/cpggan_inference.json {COMMON} --fold {{wildcards.fold}} "
        f"--image_count {config['image_count']} --generator_file {{input}} --output_dir {{params.folder}} "
        "{params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule segmenter:
    output:
        FOLD + "/segmenter/model.pt",
    log:
        FOLD + "/segmenter/log.txt",
    threads: config.get("threads", 1)
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags(config.get("segmenter", {})),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/train.json {flags(SEEN)} --fold {{wildcards.fold}} "
        "--output_dir {params.folder}/run --model_file {output} "
        "{params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


def judges(wildcards):
    """Networks that judge the synthetic images: a segmenter their lesions' places, a detector which of them are kept."""
    files = {"synthetic": FOLD + "/synthetic/dataset.json"}
    if "segmenter" in config:
        files["segmenter_file"] = FOLD + "/segmenter/model.pt"
    if config["filter"] == "detector":
        files["model_file"] = FOLD + f"/detector_real_seed{config['seeds'][0]}/model.pt"
    return {name: file.format(fold=wildcards.fold) for name, file in files.items()}


rule evaluate_images:
    input:
        unpack(judges),
    output:
        FOLD + "/evaluation/kept/dataset.json",
    log:
        FOLD + "/evaluation/log.txt",
    params:
        folder=FOLD + "/evaluation",
        synthetic=lambda w, input: os.path.dirname(input.synthetic),
        options=lambda w, input: flags(
            {name: file for name, file in input.items() if name != "synthetic"} | config.get("evaluation", {})
        ),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/cpggan_evaluate.json {COMMON} "
        "--fold {wildcards.fold} "
        "--synthetic_dir {params.synthetic} --output_dir {params.folder} {params.options} > {log} 2>&1 "
        "|| (tail -n 30 {log}; false)"


rule detector:
    input:
        lambda w: f"{FOLD}/evaluation/kept/dataset.json".format(fold=w.fold) if ARMS[w.arm].generator else [],
    output:
        DETECTOR_FOLDER + "/model.pt",
    log:
        DETECTOR_FOLDER + "/log.txt",
    threads: config.get("threads", 1)
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags({**config["detector"], **ARMS[w.arm].options}),
        synthetic=lambda w, input: flags({"synthetic_dir": os.path.dirname(input[0])}) if input else "",
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/cpggan_detector_train.json {COMMON} --fold {{wildcards.fold}} "
        "--seed {wildcards.seed} --output_dir {params.folder}/run --model_file {output} "
        "{params.options} {params.synthetic} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule evaluate_detector:
    input:
        DETECTOR_FOLDER + "/model.pt",
    output:
        RESULTS + "/arms/{arm}/fold{fold}_seed{seed}/detection.json",
    log:
        DETECTOR_FOLDER + "/evaluation.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/cpggan_detector_evaluate.json {EVERY_SLICE} --fold {{wildcards.fold}} "
        "--model_file {input} --output_dir {params.folder} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule draw_detections:
    input:
        (DETECTOR_FOLDER + "/model.pt").format(fold=config["folds"][0], seed=config["seeds"][0], arm="{arm}"),
    output:
        RESULTS + "/detections/{arm}/boxes.json",
    log:
        RESULTS + "/detections/{arm}/log.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags({"split": "test", "fold": config["folds"][0], **config.get("detections", {})}),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/cpggan_detector_inference.json {WHOLE} "
        "--model_file {input} --output_dir {params.folder} {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule turing:
    input:
        FOLD.format(fold=config["folds"][0]) + "/evaluation/kept/dataset.json",
    output:
        RESULTS + "/turing.html",
    params:
        synthetic=lambda w, input: os.path.dirname(input[0]),
        fold=flags({"fold": config["folds"][0], **config.get("turing", {})}),
    shell:
        f"{PYTHON} -W ignore -m scripts turing make {DATASET} {{params.synthetic}} {{params.fold}} --output {{output}}"
