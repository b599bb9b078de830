from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CastToTyped, Compose, Identityd, OneOf, RandGaussianNoised
from torch.utils.data import DataLoader

from scripts.data.contract import DatasetError
from scripts.data.slices import BrightRule, LesionRule, SliceDataset, check_classes
from scripts.transforms.augmentation import Augmentation, RandNoise
from scripts.transforms.geometry import FitInPlaned


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


@pytest.fixture
def items(tmp_path: Path) -> list[dict]:
    """A volume of four slices with 0, 1, 2 and 3 lesion pixels (class 1), and a plane image with 16 (class 0)."""
    volume, label = np.zeros((2, 4, 4, 4)), np.zeros((1, 4, 4, 4))
    for z in range(4):
        volume[:, ..., z] = z / 4
        label[0, 0, :z, z] = 2
    for name, image, mask in (("volume", volume, label), ("plane", np.ones((2, 4, 4)), np.ones((1, 4, 4)))):
        np.save(tmp_path / f"{name}_image.npy", image)
        np.save(tmp_path / f"{name}_label.npy", mask)
    return [
        {
            "image": str(tmp_path / f"{name}_image.npy"),
            "label": str(tmp_path / f"{name}_label.npy"),
            "patient": name,
            "class": "BA"[n],
            "class_index": 1 - n,
        }
        for n, name in enumerate(("volume", "plane"))
    ]


def load_padded(item):
    arrays = {key: MetaTensor(array) for key, array in load_arrays(item).items()}
    return FitInPlaned(["image", "label"], 8)(arrays)


def slices(items, tmp_path, **options) -> SliceDataset:
    return SliceDataset(items, load_arrays, tmp_path / "cache", **options)


def test_elements_of_volumes_and_plane_images(items, tmp_path):
    dataset = slices(items, tmp_path)
    assert len(dataset) == 5
    element = dataset[2]
    assert (element["image"].dtype, element["label"].dtype) == (torch.float32, torch.int64)
    assert torch.equal(element["image"], torch.full((2, 4, 4), 0.5))
    assert element["label"].shape == (1, 4, 4)
    assert element["label"].sum() == 4  # two pixels of label 2
    assert (element["class_index"], element["patient"]) == (1, "volume")
    assert element["source"] == f"{items[0]['image']}#2"
    assert torch.equal(dataset[4]["image"], torch.ones(2, 4, 4))
    assert dataset.class_indices.tolist() == [1, 1, 1, 1, 0]


def test_the_fingerprint_follows_pixels_patients_classes_and_choice_of_slices(items, tmp_path):
    first = slices(items, tmp_path).fingerprint
    assert slices(items, tmp_path).fingerprint == first
    assert slices(items[::-1], tmp_path).fingerprint != first
    assert slices(items, tmp_path, rule=LesionRule()).fingerprint != first
    for key, value in (("patient", "other"), ("class_index", 7), ("synthetic", {"seed": 1})):
        assert slices([{**items[0], key: value}, *items[1:]], tmp_path).fingerprint != first
    np.save(items[0]["label"], np.zeros((1, 4, 4, 4)))
    assert slices(items, tmp_path).fingerprint != first


def test_items_need_no_more_than_image_and_label(items, tmp_path):
    dataset = slices([{key: items[0][key] for key in ("image", "label")}], tmp_path)
    source = f"{items[0]['image']}#1"
    assert dataset.summary(1) == {"class_index": -1, "patient": "volume_image", "source": source}
    assert dataset.patients == ["volume_image"]
    assert dataset.class_indices.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (None, [0, 1, 2, 3, 4]),
        (LesionRule(minimum_pixels=0), [0, 1, 2, 3, 4]),
        (LesionRule(minimum_pixels=1), [1, 2, 3, 4]),
        (LesionRule(minimum_pixels=3), [3, 4]),
        (LesionRule(minimum_pixels=1, last_label=1), [4]),
        (BrightRule(channel=1, threshold=0.4), [2, 3, 4]),
        (BrightRule(threshold=0.4, share=1.0), []),
    ],
)
def test_rules(items, tmp_path, rule, kept):
    places = [f"{items[n // 4]['image']}#{n % 4}" for n in kept]
    for _ in range(2):  # the second time from the remembered choice
        if kept:
            dataset = slices(items, tmp_path, rule=rule)
            assert [dataset.summary(n)["source"] for n in range(len(dataset))] == places
        else:
            with pytest.raises(DatasetError, match=r"None of the 2 images has a slice that passes BrightRule.*Loosen"):
                slices(items, tmp_path, rule=rule)


def test_which_slices_have_a_lesion_and_which_are_synthetic(items, tmp_path):
    items[1]["synthetic"] = {"system": "redgan"}
    dataset = slices(items, tmp_path, rule=BrightRule(threshold=0.4))  # keeps slices 2 and 3 and the plane image
    dataset.index = [(0, 0), *dataset.index]  # slice 0 has no lesion pixel
    assert dataset.has_lesion.tolist() == [False, True, True, True]
    assert dataset.is_synthetic.tolist() == [False, False, False, True]


def test_a_share_counts_pixels_strictly():
    image = np.full((2, 1, 4, 5), -1.0)
    image[0, 0, 0, :3] = image[1, 0, 0, :4] = 1  # 15% and 20% of 20 pixels
    assert BrightRule(share=0.15)(image, image[:, 0]).tolist() == [False, True]


def test_padding_counts_in_no_share(items, tmp_path):
    """Of 4 x 4 pixels 3 are bright: 19% of the image, 5% of the square of 8 x 8 that it is padded to."""
    image = np.full((2, 4, 4), -1.0)
    image[:, 0, :3] = 1
    np.save(items[1]["image"], image)
    for share, expected in ((0.15, 1), (0.18, 1), (0.19, 0)):
        rule = BrightRule(threshold=0.9, share=share)
        if expected:
            assert len(SliceDataset(items, load_padded, tmp_path / "cache", rule=rule)) == expected
        else:
            with pytest.raises(DatasetError, match="None of the 2 images has a slice that passes BrightRule"):
                SliceDataset(items, load_padded, tmp_path / "cache", rule=rule)


def test_a_choice_is_made_once(items, tmp_path, monkeypatch):
    chosen = slices(items, tmp_path, rule=LesionRule()).index

    def refuse(*arguments, **options):
        raise AssertionError("an entry was read")

    monkeypatch.setattr(np, "load", refuse)
    assert slices(items, tmp_path, rule=LesionRule()).index == chosen


def noisy(items, tmp_path, **options) -> SliceDataset:
    transform = Compose([RandGaussianNoised("image", prob=1.0, std=1.0)])
    return slices(items, tmp_path, transform=transform, **{"seed": 3, **options})


def images(dataset: SliceDataset, epoch: int, workers: int = 0) -> torch.Tensor:
    dataset.set_epoch(epoch)
    return torch.cat([batch["image"] for batch in DataLoader(dataset, batch_size=2, num_workers=workers)])


def test_random_transforms_do_not_depend_on_workers_or_restarts(items, tmp_path):
    dataset = noisy(items, tmp_path)
    in_order = images(dataset, epoch=4)
    torch.rand(7)
    np.random.rand(7)
    assert torch.equal(images(dataset, epoch=4, workers=2), in_order)
    assert torch.equal(images(noisy(items, tmp_path), epoch=4), in_order)
    backwards = torch.stack([dataset[n]["image"] for n in reversed(range(5))])
    assert torch.equal(backwards.flip(0), in_order)


@pytest.mark.parametrize("workers", [0, 1])
def test_labels_keep_their_type_whatever_transforms_make_of_them(items, tmp_path, workers):
    halves = OneOf([Identityd("label"), CastToTyped("label", dtype=torch.float32)])
    batches = [*DataLoader(slices(items, tmp_path, transform=halves), batch_size=5, num_workers=workers)]
    assert {batch["label"].dtype for batch in batches} == {torch.int64}


def test_augmentation_depends_neither_on_the_batch_nor_on_workers(items, tmp_path):
    dataset = slices(items, tmp_path, augmentation=Augmentation(changes=[RandNoise(probability=0.5, deviation=1.0)]))
    alone = [dataset[n]["image"] for n in range(5)]
    for options in ({"batch_size": 5}, {"batch_size": 2, "num_workers": 2}):
        batched = torch.cat([batch["image"] for batch in DataLoader(dataset, **options)])
        assert torch.equal(batched, torch.stack(alone))
    dataset.set_epoch(1)
    assert not torch.equal(torch.stack([dataset[n]["image"] for n in range(5)]), torch.stack(alone))


def test_random_transforms_differ_by_epoch_seed_and_index(items, tmp_path):
    noise = [
        images(noisy(items, tmp_path, seed=seed), epoch) - images(slices(items, tmp_path), epoch)
        for seed, epoch in ((3, 1), (3, 2), (4, 1))
    ]
    drawn = torch.cat(noise).flatten(1)  # 3 x 5 slices
    assert torch.pdist(drawn).min() > 1


@pytest.mark.parametrize(
    ("augmented", "changed"), [("both", [True, True]), ("real", [True, False]), ("none", [False, False])]
)
def test_random_transforms_of_real_and_synthetic_slices(items, tmp_path, augmented, changed):
    items = [items[0], {**items[1], "synthetic": {"system": "cpggan"}}]
    plain, dataset = slices(items, tmp_path), noisy(items, tmp_path, augmented_slices=augmented)
    different = [not torch.equal(dataset[n]["image"], plain[n]["image"]) for n in range(5)]
    assert different == [changed[0]] * 4 + [changed[1]]


def test_other_words_for_what_is_augmented_are_refused(items, tmp_path):
    with pytest.raises(DatasetError, match="augmented_slices is True, expected one of both, real, none"):
        slices(items, tmp_path, augmented_slices=True)


def test_classes_in_range_pass(items, tmp_path):
    dataset = slices(items, tmp_path)
    assert check_classes(dataset, 2) is dataset
    assert check_classes(slices([{**items[0], "class_index": -1}], tmp_path), 0)


def test_a_class_that_is_missing_or_out_of_range_is_named(items, tmp_path):
    with pytest.raises(DatasetError, match=r"volume_image\.npy has class 'B', expected one of 1 classes\. Give each"):
        check_classes(slices(items, tmp_path), 1)
    nameless = slices([{**items[1], "class": None, "class_index": -1}], tmp_path)
    with pytest.raises(DatasetError, match=r"plane_image\.npy has class None"):
        check_classes(nameless, 2)


@pytest.fixture
def lesions(tmp_path: Path) -> list[dict]:
    """Bright 16 x 16 images, each with a square of its own label 1..3 in its own grey; the third patient has two."""
    made = []
    for n, patient in enumerate("abcc"):
        label = np.zeros((1, 16, 16))
        label[0, 3 * n : 3 * n + 4, 5:10] = min(n + 1, 3)
        np.save(tmp_path / f"{n}_image.npy", np.full((2, 16, 16), n / 4))
        np.save(tmp_path / f"{n}_label.npy", label)
        files = {"image": str(tmp_path / f"{n}_image.npy"), "label": str(tmp_path / f"{n}_label.npy")}
        made.append({**files, "patient": patient})
    return made


def test_pasted_pixels_and_labels_are_of_one_real_slice_of_another_patient(lesions, tmp_path):
    lesions[1]["synthetic"] = {"source_patient": "b"}
    plain = slices(lesions, tmp_path)
    dataset = slices(lesions, tmp_path, copy_paste_probability=1.0)
    donors: list[set[int]] = [set() for _ in lesions]
    for epoch in range(12):
        dataset.set_epoch(epoch)
        for n in range(4):
            element, old = dataset[n], plain[n]
            changed = (element["image"] != old["image"])[0]
            greys = element["image"][0][changed].unique().tolist()
            assert len(greys) == 1  # of one donor
            donor = int(greys[0] * 4)
            donors[n].add(donor)
            assert torch.equal(element["label"][0][changed], plain[donor]["label"][0][changed])
            assert torch.equal(element["label"][0][~changed], old["label"][0][~changed])
            assert element["patient"] == old["patient"]
    assert donors == [{2, 3}, {0, 2, 3}, {0}, {0}]


def test_what_is_pasted_depends_on_seed_epoch_and_index_alone(lesions, tmp_path):
    options = {"copy_paste_probability": 0.5, "transform": Compose([RandGaussianNoised("image", prob=1.0, std=1.0)])}
    dataset = slices(lesions, tmp_path, seed=3, **options)
    first = images(dataset, epoch=4)
    np.random.rand(7)
    assert torch.equal(images(dataset, epoch=4, workers=2), first)
    assert torch.equal(images(slices(lesions, tmp_path, seed=3, **options), epoch=4), first)
    assert torch.equal(dataset[2]["image"], first[2])


def test_so_many_slices_are_changed_before_the_random_transforms_see_them(lesions, tmp_path):
    seen: list[float] = []
    dataset = slices(
        lesions, tmp_path, copy_paste_probability=0.3, transform=lambda e: seen.append(len(e["image"].unique())) or e
    )
    for epoch in range(100):
        images(dataset, epoch)
    assert abs(np.mean(np.array(seen) == 2) - 0.3) < 3.3 * (0.21 / 400) ** 0.5  # 99.9% of a binomial


def test_copy_paste_without_lesions_or_with_another_share_is_refused(items, tmp_path):
    with pytest.raises(DatasetError, match=r"copy_paste_probability is 1\.5, expected a number from 0 to 1"):
        slices(items, tmp_path, copy_paste_probability=1.5)
    np.save(items[0]["label"], np.zeros((1, 4, 4, 4)))
    items[1]["synthetic"] = {"source_patient": "x"}
    with pytest.raises(DatasetError, match="no real training slice has a lesion to paste"):
        slices(items, tmp_path, copy_paste_probability=0.5)
    slices(items[1:], tmp_path, copy_paste_probability=0.5)  # all are synthetic: their own lesions will do


def test_lesions_labels_and_origins_of_slices(items, tmp_path):
    dataset = slices([items[0], {**items[1], "synthetic": {"source_patient": "x"}}], tmp_path)
    assert dataset.has_lesion.tolist() == [False, True, True, True, True]
    assert dataset.is_synthetic.tolist() == [False] * 4 + [True]
    dataset.data[1]["synthetic"]["anatomy_patient"] = "y"
    assert {"x", "y"} < set(dataset.patients)
    assert [inside.tolist() for inside in dataset.labels_inside] == [[], [2], [2], [2], [1]]


def test_slices_of_other_items_are_chosen_alike_with_nothing_random(items, tmp_path):
    options = {"rule": LesionRule(3), "transform": RandGaussianNoised("image", prob=1), "copy_paste_probability": 1}
    other = slices(items[:1], tmp_path, **options).of_items(items[1:])
    assert [other.summary(n)["source"] for n in range(len(other))] == [f"{items[1]['image']}#0"]
    assert torch.equal(other[0]["image"], torch.ones(2, 4, 4))
