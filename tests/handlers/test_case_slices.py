"""A slice of every patient is kept with its reference and prediction."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from scripts.handlers.case_slices import CaseSlices


def run(folder: Path | None, patients: dict[str, torch.Tensor]) -> None:
    """An evaluation in which every prediction is label 2 everywhere."""

    def step(engine: Any, batch: Any) -> Any:
        return [{"label": e["label"], "pred": torch.full_like(e["label"], 2)} for e in batch]

    image = MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": "a.nii.gz"})
    batches = [[{"patient": name, "image": image, "label": label}] for name, label in patients.items()]
    engine = Engine(step)
    CaseSlices(folder).attach(engine)
    engine.run(batches)


def read(folder: Path) -> dict[str, SimpleNamespace]:
    cases = [SimpleNamespace(**np.load(file)) for file in sorted(folder.iterdir())]
    return {str(case.patient): case for case in cases}


def test_of_a_volume_the_slice_with_most_lesion(tmp_path: Path) -> None:
    label = torch.zeros(1, 3, 2, 4)
    label[0, 0, 0, 1] = label[0, :2, 1, 3] = 1
    run(tmp_path, {"p": label})
    case = read(tmp_path)["p"]
    assert (int(case.z), str(case.image)) == (3, "a.nii.gz")
    assert case.label.tolist() == [[0, 1], [0, 1], [0, 0]]
    assert (case.pred == 2).all()


def test_of_several_images_of_a_patient_that_with_most_lesion_and_one_file_each(tmp_path: Path) -> None:
    small, large = torch.eye(2)[None], torch.ones(1, 2, 2)
    run(tmp_path, {"p": large, "q": small})
    assert {name: int(case.label.sum()) for name, case in read(tmp_path).items()} == {"p": 4, "q": 2}


def test_nothing_is_written_without_a_folder(tmp_path: Path) -> None:
    run(None, {"p": torch.ones(1, 2, 2)})
    assert not list(tmp_path.iterdir())
