# The Feature AC-GAN's experiment as a workflow of bundle runs: U-Net, features, GANs, classifiers, the report.
#
#   snakemake -s scripts/experiments/feature_acgan.smk --configfile scripts/experiments/feature_acgan_lgg.json --cores 2
#
# It resumes where it stopped (after a kill with --rerun-incomplete: trainings continue from their checkpoints), shows
# its plan with -n, and runs the same on a Slurm cluster (--executor slurm). Every job has a log beside its output.

import sys

sys.path.insert(0, os.getcwd())
from scripts.experiments.arms import flags
from scripts.experiments.experiment_file import open_experiment
from scripts.experiments.feature_acgan_arms import make_arms, synthetic_count

open_experiment("feature_acgan", config, workflow.configfiles)

RESULTS = config["results_dir"]
ARMS = make_arms(config["arms"])
SPACES = sorted({arm.generator for arm in ARMS.values() if arm.generator})  # features, and images as the paper's future work
COUNTS = {space: synthetic_count(ARMS, space) for space in SPACES}
PYTHON = sys.executable
SEEN = {
    "dataset_dir": config["dataset_dir"],
    "cache_dir": config["cache_dir"],
    "image_size_pixels": config["image_size_pixels"],
    **config.get("slice_rule", {}),
}
ENCODER = flags({k: v for k, v in config["features"].items() if k in ("level", "pooled_size")})
RUNNER = f"{PYTHON} -W ignore -m monai.bundle run --logging_file configs/logging.conf"
FOLD = RESULTS + "/jobs/fold{fold}"  # the U-Net and the GANs are trained once per fold, classifiers once per fold and seed
REAL = FOLD + "/features/real"
CLASSIFIER = FOLD + "/classifier_{arm}_seed{seed}"
THREADS = config.get("threads", 1)


wildcard_constraints:
    fold=r"\d+|None",
    seed=r"\d+",
    arm="|".join(ARMS),
    space="features|images",


localrules:
    report,


rule report:
    input:
        expand(
            RESULTS + "/arms/{arm}/fold{fold}_seed{seed}/classification.json",
            arm=ARMS,
            fold=config["folds"],
            seed=config["seeds"],
        ),
        expand(FOLD + "/{space}/evaluation/nearest.json", fold=config["folds"][0], space=SPACES),
    output:
        RESULTS + "/report.html",
    shell:
        f"{PYTHON} -W ignore -m scripts.experiments.feature_acgan_collect {{workflow.configfiles}} && {PYTHON} -m scripts report {RESULTS}"


rule pretrain:
    output:
        RESULTS + "/jobs/pretraining/model.pt",
    log:
        RESULTS + "/jobs/pretraining/log.txt",
    threads: THREADS
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=flags({**SEEN, **config["unet"], **config.get("pretraining", {})}),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/feature_acgan_unet_train.json "
        "--output_dir {params.folder}/run --model_file {output} {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule unet:
    input:
        RESULTS + "/jobs/pretraining/model.pt" if "pretraining" in config else [],
    output:
        FOLD + "/unet/model.pt",
    log:
        FOLD + "/unet/log.txt",
    threads: THREADS
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w, input: flags(
            {**SEEN, **config["unet"], **({"pretrained_file": input[0]} if input else {})}
        ),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/feature_acgan_unet_train.json --fold {{wildcards.fold}} "
        "--output_dir {params.folder}/run --model_file {output} {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule extract:
    input:
        FOLD + "/unet/model.pt",
    output:
        FOLD + "/{space}/real/manifest.json",
    log:
        FOLD + "/{space}/real.txt",
    threads: THREADS
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags({**SEEN, **config["features"], **({"level": "image", "pooled_size": None} if w.space == "images" else {})}),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/feature_acgan_features.json --fold {{wildcards.fold}} "
        "--model_file {input} --output_dir {params.folder} {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule gan:
    priority: 10
    input:
        FOLD + "/{space}/real/manifest.json",
    output:
        FOLD + "/{space}/gan/generator.pt",
    log:
        FOLD + "/{space}/gan/log.txt",
    threads: THREADS
    params:
        real=lambda w, input: os.path.dirname(input[0]),
        folder=lambda w, output: os.path.dirname(output[0]),
        options=lambda w: flags(config[f"{w.space}_gan"]),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/feature_acgan_train.json --features_dir {{params.real}} "
        "--output_dir {params.folder}/run --generator_file {output} "
        "--discriminator_file {params.folder}/discriminator.pt {params.options} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule synthesise:
    input:
        generator=FOLD + "/{space}/gan/generator.pt",
        unet=lambda w: (FOLD + "/unet/model.pt").format(fold=w.fold) if w.space == "images" else [],
    output:
        FOLD + "/{space}/synthetic/manifest.json",
    log:
        FOLD + "/{space}/synthetic.txt",
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        discriminator=lambda w, input: input.generator.replace("generator.pt", "discriminator.pt"),
        feature_count=lambda w: COUNTS[w.space],
        options=flags(config.get("synthesis", {})),
        encoder=lambda w, input: f"--model_file {input.unet} {ENCODER}" if input.unet else "",
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/feature_acgan_inference.json --generator_file {{input.generator}} "
        "--discriminator_file {params.discriminator} --feature_count {params.feature_count} --output_dir {params.folder} "
        "{params.options} {params.encoder} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule compare_features:
    input:
        real=REAL + "/manifest.json",
        synthetic=FOLD + "/{space}/synthetic/manifest.json",
    output:
        FOLD + "/{space}/evaluation/nearest.json",
    log:
        FOLD + "/{space}/evaluation/log.txt",
    params:
        folders=lambda w, input, output: flags(
            {
                "features_dir": os.path.dirname(input.real),
                "synthetic_dir": os.path.dirname(input.synthetic),
                "output_dir": os.path.dirname(output[0]),
            }
        ),
        options=flags(config.get("comparison", {})),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/feature_acgan_evaluate.json {{params.folders}} {{params.options}} "
        "> {log} 2>&1 || (tail -n 30 {log}; false)"


rule classifier:
    input:
        real=REAL + "/manifest.json",
        synthetic=lambda w: f"{FOLD}/{ARMS[w.arm].generator}/synthetic/manifest.json".format(fold=w.fold)
        if ARMS[w.arm].generator
        else [],
    output:
        CLASSIFIER + "/model.pt",
    log:
        CLASSIFIER + "/log.txt",
    threads: THREADS
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        real=lambda w, input: os.path.dirname(input.real),
        synthetic=lambda w, input: flags({"synthetic_dir": os.path.dirname(input.synthetic)} if input.synthetic else {}),
        options=lambda w: flags({**config["classifier"], **ARMS[w.arm].options}),
    shell:
        f"OMP_NUM_THREADS={{threads}} {RUNNER} --config_file configs/feature_acgan_classifier_train.json --features_dir {{params.real}} "
        "--seed {wildcards.seed} --output_dir {params.folder}/run --model_file {output} "
        "{params.options} {params.synthetic} > {log} 2>&1 || (tail -n 30 {log}; false)"


rule evaluate_classifier:
    input:
        real=REAL + "/manifest.json",
        classifier=CLASSIFIER + "/model.pt",
    output:
        RESULTS + "/arms/{arm}/fold{fold}_seed{seed}/classification.json",
    log:
        CLASSIFIER + "/evaluation.txt",
    params:
        real=lambda w, input: os.path.dirname(input.real),
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        f"OMP_NUM_THREADS=1 {RUNNER} --config_file configs/feature_acgan_classifier_evaluate.json --features_dir {{params.real}} "
        "--model_file {input.classifier} --output_dir {params.folder} > {log} 2>&1 || (tail -n 30 {log}; false)"
