"""The five published studies at the smallest sizes that run: each from its own file, which a second one shrinks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from scripts.experiments.jobs import Job
from scripts.experiments.planning import plan_study
from scripts.experiments.study import open_study
from scripts.experiments.workers import FORK, run_here

EXPERIMENTS = Path(__file__).parents[2] / "scripts" / "experiments"
SHORT = {"max_epochs": 1, "samples_per_epoch": 8, "batch_size": 4, "validation_interval_epochs": 1}
UNET = {
    **SHORT,
    "encoder_widths": [8, 8, 16, 16],
    "decoder_widths": [16, 8, 8, 8, 8],
    "learning_rate_drop_epochs": [],
}
GROWN = {
    "batch_size_at_4_8_16_pixels": [4, 4, 4, 4],
    "images_per_phase": 8,
    "iterations_per_epoch": 2,
    "latent_dim": 8,
    "feature_base": 64,
    "feature_max": 8,
}
FEATURES = {"width": 8, "batch_size": 4, "max_epochs": 1, "samples_per_epoch": 8}
SMALLER: dict[str, dict[str, Any]] = {
    "redgan_lgg": {
        "tasks": {
            "segmentation": {
                "arms": [
                    "real",
                    "real+copy_paste+oversampling",
                    "real+redgan",
                    "real+redgan:single+classical",
                    "real+redgan+pretraining",
                ]
            }
        },
        "patience_epochs": 1,
        "segmenters": {"unet": {**UNET, "max_epochs": 4}},
        "systems": {
            "redgan": {
                "target_class": "D",
                "limit_per_class": 3,
                "filter": {"minimum_novelty": 0.01, "minimum_presence": 0.01},
                "generator": {
                    **{key: value for key, value in SHORT.items() if key != "validation_interval_epochs"},
                    "generator_width": 2,
                    "embedding_dim": 8,
                    "discriminator_width": 4,
                },
            }
        },
    },
    "lcgan_covid_ct": {
        "fractions": [0.3, 1.0],
        "tasks": {
            "segmentation": {
                "arms": ["real", "real+classical", "real+lcgan+classical", "real+lcgan:new_masks+pretraining"]
            }
        },
        "segmenters": {"fcn8s": {**SHORT, "fcn_width": 2, "fcn_fc_width": 8}},
        "systems": {
            "lcgan": {
                "candidate_epochs": [1, 2],
                "generator": {"generator_width": 2, "discriminator_width": 2, "samples_per_epoch": 4},
                "classifier": {
                    "max_epochs": 1,
                    "samples_per_epoch": 8,
                    "batch_size": 4,
                    "classifier_width_multiplier": 0.05,
                },
            }
        },
    },
    "pggan_ensemble_lgg": {
        "tasks": {
            "segmentation": {
                "arms": [
                    "real+classical",
                    "real+pggan_ensemble:members=1+classical",
                    "real+pggan_ensemble:members=2+classical",
                    "synthetic:pggan_ensemble:snapshots=2+classical",
                    "synthetic:pggan_ensemble:greedy=1+classical",
                    "real+pggan_ensemble:members=1+pretraining",
                ]
            }
        },
        "slices": {"bright_share": 0.0},
        "segmenters": {"nnunet": {**SHORT, "filters": [4, 8, 8]}},
        "systems": {
            "pggan_ensemble": {
                "members": 2,
                "snapshots": 2,
                "image_count": 8,
                "filter": {"minimum_novelty": 0.01},
                "generator": {**GROWN, "total_images": 72},
            }
        },
    },
    "cpggan_lgg": {
        "folds": [0],
        "tasks": {
            "detection": {
                "arms": [
                    "real+classical",
                    "real+cpggan:1+classical",
                    "real+cpggan:all+copy_paste+classical_of_real",
                    "real+cpggan:1+pretraining",
                ],
                "training": {**SHORT, "width_multiplier": 0.125, "learning_rate_drop_epochs": []},
            }
        },
        "slices": {"bright_share": 0.0},
        "boxes": {"minimum_lesion_pixels": 1},
        "segmenters": {"unet": UNET},
        "systems": {
            "cpggan": {
                "image_count": 8,
                "generator": {**GROWN, "total_images": 56},
                "evaluation": {"minimum_contrast_quantile": 0.0},
            }
        },
        "turing": {"per_class": 2, "image_size_pixels": 32},
    },
    "feature_acgan_lgg": {
        "folds": [2],  # both grades in every split
        "tasks": {
            "grading": {
                "arms": [
                    "real",
                    "real+smote",
                    "real+feature_acgan:4",
                    "real+feature_acgan:images:4",
                    "real+feature_acgan:4+linear+pretraining",
                ],
                "unet": {**SHORT, "unet_widths": [4, 4, 8, 8, 8]},
                "features": {"class_key": "grade"},
                "training": {**SHORT, "classifier_widths": [4, 4]},
            }
        },
        "slices": {"minimum_lesion_pixels": 1},
        "systems": {
            "feature_acgan": {
                "features_generator": FEATURES,
                "images_generator": {**FEATURES, "halvings": 4},
                "synthesis": {"keep_all": True, "class_centre_quantile": 0.95},
            }
        },
    },
}


def shrink(name: str, folder: Path) -> dict[str, Any]:
    """What a second file says: small networks, a phantom of fifteen patients, one fold, two seeds."""
    kind = {"kind": "ct"} if name.startswith("lcgan") else {}
    return {
        "results_dir": str(folder / "results"),
        "jobs_dir": str(folder / "results" / "jobs"),
        "dataset_dir": "",
        "phantom": {"folder": str(folder / "phantom"), "patients": 15, "image_size": 32, "slices": 4, **kind},
        "cache_dir": str(folder / "cache"),
        "image_size_pixels": 32,
        "folds": [0],
        "seeds": [0, 1],
        **SMALLER[name],
    }


def run_jobs(content: dict[str, Any]) -> None:
    """Runs every job of a study in a fork of this process, which spares it the imports; then collects and reports."""
    plan = plan_study(open_study(content))
    waiting = list(plan.jobs)
    while waiting:
        ready = [job for job in waiting if all(file.exists() for file in job.reads)]
        assert ready, [job.name("/") for job in waiting]
        for job in ready:
            run_forked(job)
            waiting.remove(job)


def run_forked(job: Job) -> None:
    """Raises AssertionError where the job fails; the message is the end of its log."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    worker = FORK.Process(target=lambda: sys.exit(run_here(job.log, job.command)))
    worker.start()
    worker.join()
    assert worker.exitcode == 0, job.log.read_text(encoding="utf-8")[-3000:]
