"""The bundle in Python, see docs/python.md: what its commands do, as functions that return and raise.

In a clone this file lies beside `scripts`; installed, it is the package that holds `scripts`, `configs` and `models`.
"""

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.doctor import Diagnosis, doctor
from scripts.data.phantom import write_phantom
from scripts.data.plan import Plan, plan
from scripts.data.prepare import prepare
from scripts.experiments.command import study
from scripts.exports.export import Exported, export
from scripts.inferers.generation import (
    Generated,
    GeneratedImages,
    Generator,
    generate,
    load_generator,
    read_masks,
    synthesise,
)
from scripts.nearest_name import OptionError
from scripts.scores.results import Results
from scripts.transforms.injection import RandInjectSyntheticd

__all__ = [
    "Dataset",
    "DatasetError",
    "Diagnosis",
    "Exported",
    "Generated",
    "GeneratedImages",
    "Generator",
    "OptionError",
    "Plan",
    "RandInjectSyntheticd",
    "Results",
    "doctor",
    "export",
    "generate",
    "load_generator",
    "plan",
    "prepare",
    "read_dataset",
    "read_masks",
    "study",
    "synthesise",
    "write_phantom",
]
