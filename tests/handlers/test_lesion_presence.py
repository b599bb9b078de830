from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.data.boxes import BoxedSlices
from scripts.data.contract import Dataset, DatasetError, read_dataset, write_dataset
from scripts.data.synthesis import ComparedSlices
from scripts.handlers.lesion_presence import LesionPresence

BOX, OTHER = [2, 4, 6, 8], [2, 10, 6, 14]  # of 16 pixels; their rings hold columns of both kinds alike


def picture(*lesions: tuple[list[int], float]) -> np.ndarray:
    """Columns of 0 and 0.2 (median 0.1, deviation 0.1), with lesions `contrast` deviations above the mean."""
    image = np.zeros((1, 16, 16), dtype=np.float32)
    image[:, :, 1::2] = 0.2
    for (x0, y0, x1, y1), contrast in lesions:
        image[:, x0:x1, y0:y1] = 0.1 + 0.1 * contrast
    return image


def load_arrays(item):
    image = np.asarray(nib.load(item["image"]).dataobj, dtype=np.float32)[None, :, :, 0]
    return {"image": image, "label": np.zeros((1, 16, 16), dtype=np.uint8)}


def write(folder: Path, name: str, image: np.ndarray, boxes: list[list[int]], **more: Any) -> dict[str, Any]:
    file = folder / f"{name}.nii"
    file.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(image[0, :, :, None], np.diag([-1.0, -1.0, 1.0, 1.0])), file)
    item = {"image": str(file), "label": None, "patient": name, "class": None}
    return {**item, "boxes": boxes, "box_classes": [0] * len(boxes), **more}


def compare(folder: Path, *contrasts: list[float], most_images: int | None = None) -> ComparedSlices:
    """Real boxes of contrast 1, 2, 3, 4 and 5, and a synthetic image with boxes of each list of contrasts."""

    def slices(items: list[dict[str, Any]]) -> BoxedSlices:
        return BoxedSlices(items, load_arrays, folder / "cache", class_count=1, most_boxes=3, minimum_boxes=1)

    real = [write(folder / "real", f"p{n}", picture((BOX, n)), [BOX]) for n in range(1, 6)]
    held_out = write(folder / "real", "h", picture((BOX, 4)), [BOX])
    made = []
    for n, values in enumerate(contrasts):
        lesions = list(zip((BOX, OTHER), values, strict=False))
        provenance = {"system": "cpggan", "source_patient": "p1"}
        boxes = [box for box, _ in lesions]
        made.append(write(folder / "made", f"s{n}", picture(*lesions), boxes, synthetic=provenance))
    splits = {"training": made}
    write_dataset(folder / "made", Dataset(folder / "made", "made", ["T1"], ["none", "tumour"], [], splits=splits))
    return ComparedSlices(slices(real), slices([held_out]), slices(made), most_images=most_images)


def run(folder: Path, dataset: ComparedSlices, **options: Any) -> dict[str, Any]:
    options = {"synthetic_dir": folder / "made", "output_dir": folder / "out", **options}
    handler = LesionPresence(dataset=dataset, **options)
    handler.start(None)  # type: ignore[arg-type]
    batch = [dataset[n] for n in range(len(dataset))]
    handler.add(SimpleNamespace(state=SimpleNamespace(batch=batch, device=torch.device("cpu"))))
    handler.finish(None)  # type: ignore[arg-type]
    return json.loads((folder / "out" / "presence.json").read_text(encoding="utf-8"))


def kept(folder: Path) -> list[str]:
    return [Path(item["image"]).stem for item in read_dataset(folder / "out" / "kept").items]


def test_images_below_the_quantile_of_real_boxes_are_dropped(tmp_path):
    said = run(tmp_path, compare(tmp_path, [1.9], [2.1], [-3.0]), minimum_contrast_quantile=0.25)
    assert said["threshold"] == pytest.approx(2, abs=0.01)  # of 1, 2, 3, 4, 5
    assert (said["criterion"], said["images"], said["kept"]) == ("contrast", 3, 1)
    assert [entry["name"] for entry in said["dropped"]] == ["s0", "s2"]
    assert said["dropped"][1]["contrast"] == [pytest.approx(-3, abs=0.01)]  # darker, where lesions are brighter
    assert said["dropped"][1]["detection"] == [None]
    assert kept(tmp_path) == ["s1"]


def test_parts_say_how_many_boxes_pass(tmp_path):
    parts = run(tmp_path, compare(tmp_path, [1.9], [2.1]), minimum_contrast_quantile=0.25)["parts"]
    assert [parts[part]["boxes"] for part in ("training", "held_out", "synthetic", "training_mirrored")] == [5, 1, 2, 5]
    assert parts["training"]["present"]["value"] == pytest.approx(4 / 5)
    assert parts["training_mirrored"]["present"]["value"] == 0
    assert parts["training_mirrored"]["contrast"]["0.5"] == pytest.approx(0, abs=0.01)
    assert parts["synthetic"]["present"]["n"] == 1  # both from the same patient
    assert parts["training"]["contrast"]["0.5"] == pytest.approx(3, abs=0.01)


def test_one_box_with_a_lesion_is_enough_unless_every_one_is_required(tmp_path):
    dataset = compare(tmp_path, [0.0, 3.0], [3.0, 3.0])
    assert run(tmp_path, dataset)["kept"] == 2
    assert run(tmp_path, dataset, require_every_box=True)["kept"] == 1
    assert kept(tmp_path) == ["s1"]


def test_kept_items_keep_their_files_and_gain_their_scores(tmp_path):
    dataset = compare(tmp_path, [0.0], [3.0])
    run(tmp_path, dataset)
    (item,) = read_dataset(tmp_path / "out" / "kept").items
    assert item["image"] == str(tmp_path / "made" / "s1.nii")
    assert (item["boxes"], item["synthetic"]["source_patient"]) == ([BOX], "p1")
    assert item["synthetic"]["presence"] == {"contrast": [pytest.approx(3, abs=0.01)], "detection": [None]}
    assert Image.open(tmp_path / "out" / "dropped.png").width > 2 * 160


def test_a_set_without_any_lesion_is_an_error_that_leaves_the_scores(tmp_path):
    with pytest.raises(ValueError, match="No synthetic image shows a lesion"):
        run(tmp_path, compare(tmp_path, [0.0]))
    assert json.loads((tmp_path / "out" / "presence.json").read_text(encoding="utf-8"))["kept"] == 0
    assert not (tmp_path / "out" / "kept").exists()


def find_shifted(images: torch.Tensor, network: nn.Module) -> list[dict[str, torch.Tensor]]:
    """A sure detection beside the lesion (IoU 1/3) and an unsure one on it, in images brighter than 0.12."""
    boxes = torch.tensor([[4.0, 4.0, 8.0, 8.0], [2.0, 4.0, 6.0, 8.0]])
    found = {"pred_boxes": boxes, "pred_scores": torch.tensor([0.8, 0.3])}
    nothing = {"pred_boxes": torch.zeros(0, 4), "pred_scores": torch.zeros(0)}
    return [found if image.mean() > 0.12 else nothing for image in images]


@pytest.mark.parametrize(("minimum_iou", "score"), [(0.25, 0.8), (0.5, 0.3)])
def test_a_detector_finds_lesions_that_overlap_enough(tmp_path, minimum_iou, score):
    detector = {"detector": nn.Identity(), "inferer": find_shifted}
    said = run(tmp_path, compare(tmp_path, [1.0], [5.0]), **detector, minimum_iou=minimum_iou)
    assert (said["criterion"], said["threshold"], said["quantile"]) == ("detector", 0.1, None)
    assert said["dropped"][0]["detection"] == [0]
    (item,) = read_dataset(tmp_path / "out" / "kept").items
    assert item["synthetic"]["presence"]["detection"] == [pytest.approx(score)]


class SeesBright(nn.Module):
    """A segmenter of one label: what is brighter than 0.5."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images - 0.5


def test_a_segmenter_must_find_a_lesion_of_its_own_in_every_box(tmp_path):
    dataset = compare(tmp_path, [5.0, 0.0], [5.0, 6.0])
    options = {"segmenter": SeesBright(), "by_segmenter": True, "require_every_box": True}
    said = run(tmp_path, dataset, **options)
    assert (said["criterion"], said["threshold"], said["kept"]) == ("segmenter", 0.25, 1)
    assert said["dropped"][0]["detection"] == [1, 0]
    assert said["filters"]["rejected"] == {"segmenter": 1}
    assert kept(tmp_path) == ["s1"]
    with pytest.raises(ValueError, match="filter_by_segmenter is True without a segmenter"):
        run(tmp_path, dataset, by_segmenter=True)


def test_part_of_the_set_or_anothers_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"1 of the 2 images of .* are compared, expected all"):
        run(tmp_path, compare(tmp_path, [5.0], [5.0], most_images=1))
    dataset = compare(tmp_path, [5.0])
    (tmp_path / "out" / "kept").mkdir(parents=True)
    (tmp_path / "out" / "kept" / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match="kept holds another data set"):
        run(tmp_path, dataset)


@pytest.mark.parametrize(
    "options", [{"minimum_contrast_quantile": 1.0}, {"minimum_score": 0.0}, {"minimum_iou": 1.5}], ids=str
)
def test_numbers_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="expected"):
        run(tmp_path, compare(tmp_path, [5.0]), **options)
