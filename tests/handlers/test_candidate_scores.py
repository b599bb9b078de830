from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.handlers.candidate_scores import CandidateScores
from scripts.metrics.selection import CRITERIA, Rules
from scripts.metrics.sharpness import laplacian_variance
from tests.known_weights import write_known

LABEL = np.zeros((1, 8, 8), np.int64)
LABEL[:, 2:6, 2:6] = 1  # 16 pixels
CHECKS = np.indices((8, 8)).sum(0)[None] % 2 * 2.0 - 1  # as sharp as can be
OTHER = np.random.default_rng(0).choice([-1.0, 1.0], (1, 8, 8))  # what makes an image another one


class Finds(nn.Module):
    """A segmenter that sees so many columns of the lesion in one image of the batch after the other."""

    def __init__(self, found: Sequence[int]) -> None:
        super().__init__()
        self.found = found

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = torch.stack([prediction(count)[0] for count in self.found])
        return nn.functional.one_hot(seen, 2).permute(0, 3, 1, 2).float()  # (B, 2, 8, 8)


class Constant(nn.Module):
    """A classifier that gives every image one logit."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(math.log(probability / (1 - probability))))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logit.expand(len(image), 1)


def prediction(found: int) -> torch.Tensor:
    """The first columns of the lesion: `found` of 4, so Dice 2 * 4 found / (4 found + 16)."""
    label = torch.from_numpy(LABEL).clone()
    label[:, :, 2 + found :] = 0
    return label


def show(
    part: str, file: str, patient: str, *, found: int = 4, contrast: float = 1.0, other: float = 0.0
) -> tuple[dict, int]:
    image = torch.from_numpy(contrast * CHECKS + other * OTHER).float()
    element = {"part": part, "file": file, "source_patient": patient, "image": image, "label": torch.from_numpy(LABEL)}
    return element, found


def items(folder: Path, name: str, count: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "image": str(folder / name / f"{n}.nii.gz"),
            "label": str(folder / name / f"{n}_label.nii.gz"),
            "patient": f"{name}-{n}",
            "class": "AB"[n],
            "synthetic": {"source_patient": f"p{n}"},
        }
        for n in range(count)
    ]


class Part(SimpleNamespace):
    """A part of `ComparedSlices` of two images."""

    def __getitem__(self, n: int) -> dict[str, Any]:
        return {"image": torch.from_numpy(CHECKS), "label": torch.from_numpy(LABEL)}


def run(folder: Path, shown: list[tuple[dict, int]], **options: Any) -> dict[str, Any]:
    candidates = {name: items(folder, name) for name in ("early", "late")}
    for made in (item[key] for items in candidates.values() for item in items for key in ("image", "label")):
        Path(made).parent.mkdir(exist_ok=True)
        Path(made).write_text(made)
    real = {"training": [("a.png", "p0"), ("b.png", "p1")], "held_out": [("c.png", "h")]}
    parts = {part: [{"image": file, "patient": who} for file, who in files] for part, files in real.items()}
    batch, found = zip(*shown, strict=True)
    given = {"scorers": [Finds(found)], "rules": Rules(0.25, 0.5, 0.1, kept_share=0.0), **options}
    given.setdefault("scorer_weights", [write_known(folder / "fcn.pt", ["p0", "p1"])])
    handler = CandidateScores(
        dataset=SimpleNamespace(parts={part: Part(data=data) for part, data in {**parts, **candidates}.items()}),
        description=Dataset(folder, "CT", ["CT"], ["background", "blood"], ["A", "B"]),
        output_dir=folder / "out",
        **given,
    )
    engine = SimpleNamespace(state=SimpleNamespace(batch=batch, device=torch.device("cpu")))
    for step in (handler.start, handler.add, handler.finish):
        step(engine)
    return json.loads((folder / "out" / "selection.json").read_text())


def made(folder: Path, name: str, n: int, **looks: Any) -> tuple[dict, int]:
    return show(name, str(folder / name / f"{n}.nii.gz"), f"p{n}", **looks)


REAL = [show("training", "a.png", "p0"), show("training", "b.png", "p1"), show("held_out", "c.png", "h", found=2)]


def test_the_better_candidate_is_chosen_and_its_poor_image_left_out(tmp_path):
    early = [made(tmp_path, "early", n, found=1, contrast=0.2) for n in (0, 1)]
    late = [made(tmp_path, "late", 0), made(tmp_path, "late", 1, contrast=0.5)]  # a quarter of the real variance
    found = run(tmp_path, [*REAL, *early, *late])
    first, second = found["candidates"]
    assert (first["name"], first["chosen"], first["mean_rank"]) == ("early", False, 2)
    assert (second["name"], second["chosen"], second["mean_rank"]) == ("late", True, 1)
    assert first["fcn_score"]["value"] == pytest.approx(2 * 4 / 20)
    assert found["real"]["held_out"]["fcn_score"]["value"] == pytest.approx(2 * 8 / 24)
    assert second["laplacian_variance"] == pytest.approx(laplacian_variance(CHECKS) * (1 + 0.25) / 2)
    assert second["called_real"] is None
    for entry in (first, second, found["real"]["training"]):  # copies, whatever their contrast
        assert entry["nearest_training"] == pytest.approx(0, abs=2e-3)
    assert found["filters"] == {
        "images": 2,
        "kept": 1,
        "rejected": {"fcn_score": 0, "sharpness": 1, "realness": 0, "novelty": 0, "presence": 0},
        "by_class": {
            name: {"images": 1, "kept": 1 - dull, "rejected": {**dict.fromkeys(CRITERIA, 0), "sharpness": dull}}
            for name, dull in (("A", 0), ("B", 1))
        },
    }
    assert found["scorer"].startswith("LEAKS: trained on the training patients")
    (kept,) = read_dataset(tmp_path / "out").items
    assert kept["image"] == str(tmp_path / "out" / "images" / "0.nii.gz")
    assert Path(kept["image"]).read_text() == str(tmp_path / "late" / "0.nii.gz")  # a copy
    assert read_dataset(tmp_path / "out").trained_on == ["p0", "p1"]
    assert kept["synthetic"]["candidate"] == "late"
    assert kept["synthetic"]["source_patient"] == "p0"
    assert kept["synthetic"]["scores"]["fcn_score"] == 1
    picture = np.asarray(Image.open(tmp_path / "out" / "selection.png"))
    assert picture.shape[0] == 18 + 2 * 98  # mask and image, under the titles


def test_an_image_is_judged_by_the_classifier_that_did_not_see_its_patient(tmp_path):
    shown = [*REAL, *(made(tmp_path, name, n) for name in ("early", "late") for n in (0, 1))]
    classifiers = [Constant(0.3), Constant(0.04)]
    known = [
        write_known(tmp_path / f"c{part}.pt", [own, "taught"], settings={"own_patients": [own]})
        for part, own in enumerate(("p1", "p0"))
    ]
    found = run(tmp_path, shown, classifiers=classifiers, classifier_weights=known)
    assert found["filters"]["rejected"]["realness"] == 1  # p1's .04 is below .1
    (kept,) = read_dataset(tmp_path / "out").items
    assert kept["synthetic"]["scores"]["realness"] == pytest.approx(0.3, abs=1e-4)
    assert found["candidates"][0]["called_real"] == 0.5
    assert found["real"]["held_out"]["called_real"] == 1  # the mean of both, .17
    assert found["notes"] == []
    with pytest.raises(ValueError, match="all trained on patient 'p0', whom one of them is to judge"):
        run(tmp_path, shown, classifiers=classifiers, classifier_weights=known[1:])


def test_a_copy_is_scored_by_the_segmenter_that_did_not_see_it(tmp_path):
    shown = [*REAL, *(made(tmp_path, name, n) for name in ("early", "late") for n in (0, 1))]
    found = {"p0": (4, 1), "p1": (2, 4), "h": (0, 4)}  # columns by each segmenter: all of what it was trained on
    scorers = [Finds([found[element["source_patient"]][k] for element, _ in shown]) for k in (0, 1)]
    known = [write_known(tmp_path / f"fcn{k}.pt", [patient]) for k, patient in enumerate(("p0", "p1"))]
    said = run(tmp_path, shown, scorers=scorers, scorer_weights=known)
    dice = {columns: 2 * 4 * columns / (4 * columns + 16) for columns in range(5)}
    for entry in (*said["candidates"], said["real"]["training"]):
        assert entry["fcn_score"]["value"] == pytest.approx((dice[1] + dice[2]) / 2)
    assert said["real"]["held_out"]["fcn_score"]["value"] == pytest.approx((dice[0] + dice[4]) / 2)
    assert said["scorer"].startswith("cross-fitted")
    assert read_dataset(tmp_path / "out").trained_on == ["p0", "p1"]


def test_copies_are_dropped_where_held_out_images_lie_farther(tmp_path):
    copy, new = made(tmp_path, "late", 0), made(tmp_path, "late", 1, other=0.9)
    early = [made(tmp_path, "early", n, other=0.1, found=3) for n in (0, 1)]
    held_out = show("held_out", "c.png", "h", other=0.4)
    rules = Rules(sharpness=0.1, novelty=0.05, kept_share=0.0)
    said = run(tmp_path, [*REAL[:2], held_out, *early, copy, new], rules=rules)
    assert [entry["novelty"] for entry in said["candidates"]] == [0, 0.5]
    assert said["candidates"][1]["chosen"]
    assert said["filters"]["by_class"]["A"]["rejected"]["novelty"] == 1
    assert [item["class"] for item in read_dataset(tmp_path / "out").items] == ["B"]


def test_part_of_a_set_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="1 of the 2 images of early are judged, expected all"):
        run(tmp_path, [*REAL, made(tmp_path, "early", 0)])


def test_what_had_to_be_bent_is_said(tmp_path):
    poor = [made(tmp_path, name, n, found=0) for name in ("early", "late") for n in (0, 1)]
    found = run(
        tmp_path,
        [*REAL, *poor],
        rules=Rules(0.25, realness=0.1, kept_share=0.5),
        scorer_weights=[write_known(tmp_path / "all.pt", ["p0", "p9"])],
    )
    assert found["scorer"].startswith("LEAKS: trained on more patients")
    assert len(read_dataset(tmp_path / "out").items) == 1
    assert read_dataset(tmp_path / "out").trained_on == ["p0", "p1", "p9"]
    assert "best by mean rank were kept" in " ".join(found["notes"])
    assert "realness was not judged" in " ".join(found["notes"])


def test_an_unknown_measure_of_blur_is_refused(tmp_path):
    with pytest.raises(ValueError, match="blurriness is 'eye', expected one of laplacian, fourier"):
        run(tmp_path, REAL, blurriness="eye")


def test_when_no_image_passes_the_scores_remain_and_no_set_is_written(tmp_path):
    poor = [made(tmp_path, name, n, found=0) for name in ("early", "late") for n in (0, 1)]
    with pytest.raises(ValueError, match="No image of early passes the filters"):
        run(tmp_path, [*REAL, *poor])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["selection.json", "selection.png"]


def test_a_folder_with_another_data_set_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match="out holds another data set"):
        run(tmp_path, REAL)
