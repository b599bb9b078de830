"""Synthetic pairs in pipelines of MONAI alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, PersistentDataset
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    RandFlipd,
    RandSpatialCropd,
    ScaleIntensityd,
    SqueezeDimd,
)
from monai.utils import set_determinism
from PIL import Image

from scripts.data.contract import DatasetError
from scripts.transforms.injection import RandInjectSyntheticd

SIDE = 8
CLASSES = ("A", "A", "A", "B")
KEYS = ("image", "label")


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    """Three images of class A, one of B; image n holds -1 and n / 4, its label map has the label 1 in one corner."""
    return write_synthetic(tmp_path / "synthetic")


def write_synthetic(folder: Path, channels: int = 1, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    items = []
    for n, name in enumerate(CLASSES):
        image = np.full((SIDE, SIDE, 1, channels), n / 4)
        image[0, 0] = -1
        label = np.zeros((SIDE, SIDE, 1), np.uint8)
        label[0, 1] = 1
        for kind, array in (("image", image.astype(np.float32)), ("label", label)):
            nib.save(nib.Nifti1Image(array, np.diag([-1.0, -1, 1, 1])), folder / f"{kind}{n}.nii.gz")
        item = {"image": f"image{n}.nii.gz", "label": f"label{n}.nii.gz", "patient": f"synthetic-{n}", "class": name}
        items.append({**item, "synthetic": {"system": "redgan", "source_patient": "p0"}} | changes)
    names = {"modality": {str(n): f"MR{n}" for n in range(channels)}, "labels": {"0": "background", "1": "tumour"}}
    content = {**names, "classes": ["A", "B"], "trained_on": ["p0", "p1"], "training": items}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> list[dict[str, str]]:
    """Sixteen real pictures of 8 bits: white, without a lesion."""
    Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)).save(tmp_path / "white.png")
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / "none.png")
    return [{"img": str(tmp_path / "white.png"), "seg": str(tmp_path / "none.png")} for _ in range(16)]


def real(**more: Any) -> dict[str, Any]:
    return {"image": torch.full((1, SIDE, SIDE), 9.0), "label": torch.zeros((1, SIDE, SIDE), dtype=torch.uint8), **more}


def pipeline(folder: Path, prob: float = 0.5, **options: Any) -> Compose:
    inject = RandInjectSyntheticd(["img", "seg"], folder, prob, intensity_range=(0, 255), **options)
    return Compose([LoadImaged(["img", "seg"]), EnsureChannelFirstd(["img", "seg"]), inject, RandFlipd(["img", "seg"])])


def lesions(batches: Any) -> list[bool]:
    """Which elements show a lesion, as only synthetic ones do."""
    return [bool(label.any()) for batch in batches for label in batch["seg"]]


def test_never_always_and_about_the_share(synthetic: Path) -> None:
    def count(prob: float, draws: int) -> int:
        inject = RandInjectSyntheticd(KEYS, synthetic, prob).set_random_state(0)
        return sum(bool(inject(real())["label"].any()) for _ in range(draws))

    assert count(0, 50) == 0
    assert count(1, 10) == 10
    assert abs(count(0.25, 100) - 25) < 3 * (100 * 0.25 * 0.75) ** 0.5  # three standard deviations


def test_pair_has_the_form_of_what_it_replaces(synthetic: Path) -> None:
    element = RandInjectSyntheticd(KEYS, synthetic, 1, only_class="B", intensity_range=(0, 8))(real(patient="p7"))
    assert element["patient"] == "p7"
    assert (element["image"].dtype, element["label"].dtype) == (torch.float32, torch.uint8)
    assert not isinstance(element["image"], MetaTensor)
    expected = torch.full((1, SIDE, SIDE), (0.75 + 1) * 4)  # the fourth image is 0.75 of [-1, 1]
    expected[0, 0, 0] = 0
    torch.testing.assert_close(element["image"], expected)
    assert element["label"].nonzero().tolist() == [[0, 0, 1]]
    arrays = RandInjectSyntheticd(KEYS, synthetic, 1)({key: value.numpy() for key, value in real().items()})
    assert isinstance(arrays["image"], np.ndarray)


def test_file_of_the_pair_is_named_in_its_meta_data(synthetic: Path) -> None:
    given = MetaTensor(torch.zeros(1, SIDE, SIDE), meta={"filename_or_obj": "real.png", "site": "X"})
    element = RandInjectSyntheticd("image", synthetic, 1, only_class="B")({"image": given})
    assert element["image"].meta["filename_or_obj"] == str(synthetic / "image3.nii.gz")
    assert element["image"].meta["site"] == "X"
    assert given.meta["filename_or_obj"] == "real.png"


@pytest.mark.parametrize(("options", "share_of_b"), [({}, 0.25), ({"balance_classes": True}, 0.5)])
def test_classes_are_drawn_by_images_or_alike(synthetic: Path, options: dict[str, bool], share_of_b: float) -> None:
    inject = RandInjectSyntheticd(KEYS, synthetic, 1, class_key="centre", **options).set_random_state(0)
    drawn = [inject(real(centre="A"))["centre"] for _ in range(60)]
    assert abs(drawn.count("B") / 60 - share_of_b) < 3 * (share_of_b * (1 - share_of_b) / 60) ** 0.5


def test_class_is_a_name_or_a_number_as_in_the_real_item(synthetic: Path) -> None:
    inject = RandInjectSyntheticd(KEYS, synthetic, 1, only_class="B", class_key="centre")
    assert inject(real(centre="A"))["centre"] == "B"
    assert inject(real(centre=0))["centre"] == 1


@pytest.mark.parametrize("kind", [Dataset, CacheDataset, PersistentDataset])
def test_each_epoch_draws_anew_from_any_dataset(
    kind: Any, synthetic: Path, pictures: list[dict[str, str]], tmp_path: Path
) -> None:
    folder = {"cache_dir": tmp_path / "cache"} if kind is PersistentDataset else {}
    dataset = kind(pictures, pipeline(synthetic).set_random_state(0), **folder)
    first, second = ([bool(element["seg"].any()) for element in dataset] for _ in range(2))
    assert len(first) == 16
    assert 0 < sum(first) < 16
    assert first != second


@pytest.mark.parametrize("workers", [0, 2])
def test_seed_decides_the_draws_and_workers_draw_differently(
    workers: int, synthetic: Path, pictures: list[dict[str, str]]
) -> None:
    def draws(seed: int) -> list[bool]:
        set_determinism(seed)
        loader = DataLoader(Dataset(pictures, pipeline(synthetic)), batch_size=4, num_workers=workers)
        return [*lesions(loader), *lesions(loader)]

    try:
        first = draws(1)
        assert first == draws(1)
        assert first != draws(2)
        assert first[:4] != first[4:8] or first[8:12] != first[12:16]  # the batches of two workers
        assert first[:16] != first[16:]  # epochs
    finally:
        set_determinism(None)


@pytest.mark.parametrize("tracked", [True, False])
def test_batches_of_real_and_synthetic_elements(tracked: bool, synthetic: Path, pictures: list[dict[str, str]]) -> None:
    inject = RandInjectSyntheticd(["img", "seg"], synthetic, 0.5, intensity_range=(0, 255)).set_random_state(0)
    load = [LoadImaged(["img", "seg"]), EnsureChannelFirstd(["img", "seg"])]
    load.append(EnsureTyped(["img", "seg"], track_meta=tracked))
    (batch,) = DataLoader(Dataset(pictures, Compose([*load, inject])), batch_size=16)
    assert batch["img"].shape == batch["seg"].shape == (16, 1, SIDE, SIDE)
    synthetic_ones = batch["seg"].flatten(1).any(dim=1)
    assert 0 < synthetic_ones.sum() < 16
    assert batch["img"].flatten(1).min(dim=1).values.eq(0).tolist() == synthetic_ones.tolist()  # real ones are white


def test_volumes_are_refused_with_the_remedy_which_works(synthetic: Path) -> None:
    inject = RandInjectSyntheticd(KEYS, synthetic, 0.5)
    volume = {key: torch.zeros(1, SIDE, SIDE, 5) for key in KEYS}
    with pytest.raises(DatasetError, match=r"'image' is \(1, 8, 8, 5\), expected \(1, X, Y\).*RandSpatialCropd"):
        inject(volume)
    cut = [RandSpatialCropd(KEYS, roi_size=(-1, -1, 1), random_size=False), SqueezeDimd(KEYS, dim=-1)]
    element = Compose([*cut, inject, ScaleIntensityd("image")])(volume)
    assert element["image"].shape == (1, SIDE, SIDE)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"image": "a.png"}, "'image' is 'a.png', expected"),
        ({"image": torch.zeros(3, SIDE, SIDE)}, r"'image' is \(3, 8, 8\), expected \(1, X, Y\)"),
        ({"label": torch.zeros(2, SIDE, SIDE)}, r"'label' is \(2, 8, 8\), expected \(1, X, Y\).*one-hot"),
    ],
)
def test_other_images_are_refused_even_where_none_is_drawn(synthetic: Path, changed: dict, found: str) -> None:
    with pytest.raises(DatasetError, match=found):
        RandInjectSyntheticd(KEYS, synthetic, 0)(real(**changed))


@pytest.mark.parametrize(("patient", "why"), [("p0", "made from patient 'p0'"), ("p1", "was trained on patient 'p1'")])
def test_held_out_patients_are_refused(synthetic: Path, patient: str, why: str) -> None:
    with pytest.raises(DatasetError, match=why):
        RandInjectSyntheticd(KEYS, synthetic, held_out=["p9", patient])
    RandInjectSyntheticd(KEYS, synthetic, held_out=["p9"])
    with pytest.raises(ValueError, match="held_out is 'p0', expected a collection"):  # of which each letter would count
        RandInjectSyntheticd(KEYS, synthetic, held_out="p0")


def test_a_set_that_does_not_say_whom_it_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no 'synthetic' provenance"):
        RandInjectSyntheticd(KEYS, write_synthetic(tmp_path / "a", synthetic=None))
    folder = write_synthetic(tmp_path / "b")
    content = json.loads((folder / "dataset.json").read_text())
    del content["trained_on"]
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="does not say which patients"):
        RandInjectSyntheticd(KEYS, folder, held_out=["p9"])


def test_sets_without_what_is_asked_for_are_refused(synthetic: Path, tmp_path: Path) -> None:
    boxed = write_synthetic(tmp_path / "boxed", label=None, boxes=[])
    with pytest.raises(DatasetError, match="boxes in place of label maps"):
        RandInjectSyntheticd(KEYS, boxed)
    assert RandInjectSyntheticd("image", boxed, 1)(real())["image"].min() == -1
    unclassed = write_synthetic(tmp_path / "unclassed", **{"class": None})
    with pytest.raises(DatasetError, match="images without a class"):
        RandInjectSyntheticd(KEYS, unclassed, balance_classes=True)
    with pytest.raises(DatasetError, match=r"no image of the class 'C'; its classes are \['A', 'B'\]"):
        RandInjectSyntheticd(KEYS, synthetic, only_class="C")
    with pytest.raises(ValueError, match="expected the image's, and the label map's"):
        RandInjectSyntheticd(["image", "label", "mask"], synthetic)
