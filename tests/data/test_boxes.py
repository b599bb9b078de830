"""Boxes: found, brought to the slices' grid and back, given out, drawn, and refused where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.apps.detection.transforms.dictionary import RandFlipBoxd
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose, EnsureTyped, Randomizable
from PIL import Image

from scripts.data.boxes import BoxedSlices, add_boxes, draw_boxes, find_boxes, fit_boxes, restore_boxes
from scripts.data.contract import Dataset, DatasetError
from scripts.networks.pggan import PGGANGenerator
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.loading import LoadItemd


def preprocessing(size: int = 16, labels: int = 3) -> Compose:
    keys = ["image", "label"]
    load = LoadItemd(keys, channel_count=1, foreground_count=labels)
    return Compose([load, CanonicalOrientationd(keys), FitInPlaned(keys, size)])


def write_item(folder: Path, label: np.ndarray, name: str = "item", **extra: Any) -> dict[str, Any]:
    """A picture or volume of zeros with the label map (X, Y[, Z])."""
    files = [str(folder / f"{name}_{kind}{'.png' if label.ndim == 2 else '.nii.gz'}") for kind in ("image", "label")]
    for file, array in zip(files, (np.zeros_like(label), label), strict=True):
        if label.ndim == 2:
            Image.fromarray(array.T.astype(np.uint8)).save(file)
        else:
            nib.save(nib.Nifti1Image(array.astype(np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0])), file)
    return {"image": files[0], "label": files[1], "patient": name, **extra}


def boxed(items: list[dict[str, Any]], folder: Path, size: int = 16, **options: Any) -> BoxedSlices:
    return BoxedSlices(items, preprocessing(size), folder / "cache", **{"class_count": 3, "most_boxes": 4, **options})


def two_lesions() -> np.ndarray:
    """16x16: a core of label 2 in a rim of label 1, and a single pixel of label 3, away from them."""
    label = np.zeros((16, 16), np.uint8)
    label[2:7, 3:6] = 1
    label[3:6, 4] = 2
    label[10, 12] = 3
    return label


def test_lesions_have_the_box_of_their_pixels_and_the_most_frequent_label() -> None:
    boxes, classes = find_boxes(two_lesions())
    assert boxes.tolist() == [[2, 3, 7, 6], [10, 12, 11, 13]]
    assert classes.tolist() == [0, 2]
    assert find_boxes(two_lesions(), minimum_pixels=2)[0].tolist() == [[2, 3, 7, 6]]


def test_pixels_that_touch_at_a_corner_are_one_lesion_and_equal_labels_give_the_lower() -> None:
    boxes, classes = find_boxes(np.diag([2, 1]))
    assert (boxes.tolist(), classes.tolist()) == ([[0, 0, 2, 2]], [0])


def test_a_label_map_without_lesion_has_no_box() -> None:
    boxes, classes = find_boxes(np.zeros((4, 4), np.uint8))
    assert (boxes.shape, classes.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("plane", [(16, 16), (10, 7), (32, 24), (8, 64)])
def test_boxes_go_where_the_fitted_label_map_goes(plane: tuple[int, int]) -> None:
    label = torch.zeros(1, *plane)
    label[:, 4:8, 2:6] = 1  # on pixels that the halves and quarters below keep whole
    fitted = FitInPlaned("label", 16)({"label": MetaTensor(label)})["label"]
    expected, _ = find_boxes(np.asarray(fitted)[0].astype(int))
    boxes = np.array([[4.0, 2, 8, 6]])
    moved = fit_boxes(boxes, plane, 16)
    assert np.abs(moved - expected).max() <= 0.5
    np.testing.assert_allclose(restore_boxes(moved, plane, 16), boxes)


def test_a_shrunk_box_by_hand() -> None:
    assert fit_boxes(np.array([[8, 6, 32, 24]]), (32, 24), 16).tolist() == [[4, 5, 16, 14]]  # halved, 2 pixels above


def test_elements_have_padded_boxes_and_collate(tmp_path: Path) -> None:
    volume = np.stack([two_lesions(), np.zeros((16, 16), np.uint8)], axis=-1)
    dataset = boxed([write_item(tmp_path, volume)], tmp_path)
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert (batch["boxes"].shape, batch["boxes"].dtype) == ((2, 4, 4), torch.float32)
    assert batch["box_classes"].tolist() == [[0, 2, -1, -1], [-1] * 4]
    assert batch["boxes"][0].tolist() == [[2, 3, 7, 6], [10, 12, 11, 13], [0] * 4, [0] * 4]
    assert dataset.all_boxes.tolist() == [[2, 3, 7, 6], [10, 12, 11, 13]]


def test_an_items_boxes_come_before_its_label_and_are_fitted(tmp_path: Path) -> None:
    item = write_item(tmp_path, np.ones((32, 24), np.uint8), boxes=[[8, 6, 32, 24]], box_classes=[1])
    boxes, classes = boxed([item], tmp_path).boxes_of(0)
    assert (boxes.tolist(), classes.tolist()) == ([[4, 5, 16, 14]], [1])


def test_items_with_boxes_need_no_label_map(tmp_path: Path) -> None:
    picture = write_item(tmp_path, np.zeros((32, 24), np.uint8), boxes=[[8, 6, 32, 24]], box_classes=[1])
    dataset = boxed([{**picture, "label": None}, write_item(tmp_path, two_lesions(), "other")], tmp_path)
    assert dataset[0]["boxes"][0].tolist() == [4, 5, 16, 14]
    assert dataset[0]["label"].sum() == 0
    assert dataset[1]["boxes"][1].tolist() == [10, 12, 11, 13]


def test_classes_can_be_merged_and_small_lesions_left_out(tmp_path: Path) -> None:
    dataset = boxed([write_item(tmp_path, two_lesions())], tmp_path, merge_classes=True)
    assert (dataset.class_count, dataset.boxes_of(0)[1].tolist()) == (1, [0, 0])
    assert len(boxed([write_item(tmp_path, two_lesions())], tmp_path, minimum_pixels=2).boxes_of(0)[0]) == 1


def test_negative_images_stay_unless_a_box_is_asked_for(tmp_path: Path) -> None:
    items = [write_item(tmp_path, two_lesions()), write_item(tmp_path, np.zeros((16, 16)), "empty", boxes=[])]
    assert boxed(items, tmp_path).has_lesion.tolist() == [True, False]
    kept = boxed(items, tmp_path, minimum_boxes=1)
    assert [kept.summary(n)["patient"] for n in range(len(kept))] == ["item"]
    with pytest.raises(DatasetError, match=r"None of the 1 slices has 1 boxes or more\. Lower minimum_boxes"):
        boxed(items[1:], tmp_path, minimum_boxes=1)


def one_class_each(folder: Path) -> list[dict[str, Any]]:
    """Pictures with a core alone (b), a rim alone (a), both apart, and none."""
    labels = np.zeros((4, 16, 16), np.uint8)
    labels[[0, 2], 2:5, 2:5], labels[[1, 2], 9:12, 9:12] = 2, 1
    return [
        write_item(folder, label, name) for label, name in zip(labels, ("core", "rim", "both", "none"), strict=True)
    ]


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize(("name", "number", "kept"), [("a", 0, ["rim"]), ("b", 1, ["core"])])
def test_slices_of_one_box_class_keep_its_index(
    tmp_path: Path, name: str, number: int, kept: list[str], merge: bool
) -> None:
    options = {"only_box_class": name, "class_names": ["a", "b", "c"], "minimum_boxes": 1, "merge_classes": merge}
    dataset = boxed(one_class_each(tmp_path), tmp_path, **options)
    assert [dataset.summary(n)["patient"] for n in range(len(dataset))] == kept
    assert dataset.boxes_of(0)[1].tolist() == [0 if merge else number]
    assert dataset.class_count == (1 if merge else 3)


def test_a_box_class_that_is_unknown_or_nowhere_alone_is_one_clear_error(tmp_path: Path) -> None:
    items, names = one_class_each(tmp_path), ["a", "b", "c"]
    with pytest.raises(
        DatasetError, match=r"only_box_class is 'd', expected one of \['a', 'b', 'c'\], or None for all"
    ):
        boxed(items, tmp_path, only_box_class="d", class_names=names)
    with pytest.raises(
        DatasetError, match=r"None of the 4 slices has 1 boxes or more, all of class 'c'\. .*another class"
    ):
        boxed(items, tmp_path, only_box_class="c", class_names=names, minimum_boxes=1)


class ShiftByChance(Randomizable):
    """Shifts boxes to the right by a random number of pixels."""

    def __call__(self, element: dict[str, Any]) -> dict[str, Any]:
        assert len(element["boxes"]) == len(element["box_classes"]) == 2  # not padded yet
        return {**element, "boxes": element["boxes"] + self.R.randint(1, 1000)}


def test_random_transforms_get_unpadded_boxes_and_leave_the_next_element_alone(tmp_path: Path) -> None:
    items = [write_item(tmp_path, two_lesions()), write_item(tmp_path, two_lesions(), "other")]
    dataset = boxed(items, tmp_path, transform=ShiftByChance(), seed=5)
    first = dataset[0]["boxes"]
    assert not torch.equal(dataset[1]["boxes"], first)
    assert torch.equal(dataset[0]["boxes"], first)
    assert dataset.boxes_of(0)[0].tolist() == [[2, 3, 7, 6], [10, 12, 11, 13]]


def test_flipped_real_slices_and_plain_synthetic_ones_make_a_batch(tmp_path: Path) -> None:
    flip = {"image_keys": ["image", "label"], "box_keys": "boxes", "box_ref_image_keys": "image", "spatial_axis": 0}
    transform = Compose([RandFlipBoxd(**flip, prob=1), EnsureTyped(["image", "label", "boxes"], track_meta=False)])
    made = write_item(tmp_path, two_lesions(), "made", synthetic={"system": "cpggan"})
    items = [write_item(tmp_path, two_lesions()), made]
    dataset = boxed(items, tmp_path, transform=transform, augmented_slices="real")
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert batch["boxes"][0].tolist() == [[9, 3, 14, 6], [5, 12, 6, 13], [0] * 4, [0] * 4]
    assert batch["boxes"][1].tolist() == [[2, 3, 7, 6], [10, 12, 11, 13], [0] * 4, [0] * 4]
    assert torch.equal(batch["label"][0].flip(1), batch["label"][1])


def test_too_many_boxes_name_the_slice_and_the_knob(tmp_path: Path) -> None:
    volume = np.stack([np.zeros((16, 16)), two_lesions()], axis=-1)
    with pytest.raises(
        DatasetError, match=r"item_image\.nii\.gz#1 has 2 boxes, more than most_boxes \(1\)\. Pass --most"
    ):
        boxed([write_item(tmp_path, volume)], tmp_path, most_boxes=1)


def test_a_label_beyond_the_classes_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"item_image\.png#0 has a lesion of label 3, expected 1\.\.2"):
        boxed([write_item(tmp_path, two_lesions())], tmp_path, class_count=2)


@pytest.mark.parametrize(
    ("boxes", "classes", "message"),
    [
        ([[3, 3, 3, 5]], [0], r"box without size: \[3, 3, 3, 5\], expected x0 < x1"),
        ([[3, 5, 4, 2]], [0], "box without size"),
        ([[0, 0, 13, 4]], [0], r"box not inside the image: \[0, 0, 13, 4\] in 12x16"),
        ([[0, 0, 4, 4]], [3], r"unknown box class: 3, expected 0\.\.2"),
        ([[0, 0, 4, 4]], [0, 1], "boxes without class"),
    ],
)
def test_wrong_boxes_are_refused_before_anything_is_prepared(
    tmp_path: Path, boxes: list[Any], classes: list[int], message: str
) -> None:
    item = write_item(tmp_path, np.zeros((12, 16), np.uint8), boxes=boxes, box_classes=classes)
    with pytest.raises(DatasetError, match=rf"item_image\.png: {message}"):
        boxed([write_item(tmp_path, two_lesions(), "sound"), item], tmp_path)
    assert not (tmp_path / "cache").exists()


def test_boxes_of_a_volume_are_refused(tmp_path: Path) -> None:
    item = write_item(tmp_path, np.zeros((8, 8, 3), np.uint8), boxes=[[0, 0, 2, 2]], box_classes=[0])
    with pytest.raises(DatasetError, match=r"has boxes but is a volume of 3 slices\. Give it a label map"):
        boxed([item], tmp_path)
    assert not (tmp_path / "cache").exists()


def test_label_maps_become_boxes_of_items(tmp_path: Path) -> None:
    plain = write_item(tmp_path, two_lesions())
    description = Dataset(tmp_path, "test", ["image"], ["background", "a", "b", "c"])
    first, second = add_boxes([plain, {**plain, "boxes": [], "box_classes": []}], description)
    assert (first["boxes"], first["box_classes"]) == ([[2, 3, 7, 6], [10, 12, 11, 13]], [0, 2])
    assert second["boxes"] == []  # what somebody has written is kept
    with pytest.raises(DatasetError, match="is a volume of 2 slices; boxes are of 2D images"):
        add_boxes([write_item(tmp_path, np.zeros((4, 4, 2)), "volume")], description)


def test_drawn_boxes_by_hand() -> None:
    boxes = torch.tensor([[[1.0, 0, 3, 2], [2, 1, 4, 2], [0, 3.5, 0.5, 4]], [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]])
    classes = torch.tensor([[0, 0, 1], [1, -1, -1]])
    drawn = draw_boxes(boxes, classes, 4, 2)
    expected = torch.zeros(2, 2, 4, 4)
    expected[0, 0, 1:3, 0:2] = expected[0, 0, 2:4, 1] = 1  # overlapping boxes are one area
    expected[0, 1, 0, 3] = expected[1, 1, 0, 0] = 1
    assert torch.equal(drawn, expected)
    assert torch.equal(draw_boxes(boxes[0], classes[0], 4, 2), expected[0])


def test_wrong_boxes_are_not_drawn() -> None:
    with pytest.raises(ValueError, match=r"The box \[1\.0, 2\.0, 1\.0, 3\.0\] has no size"):
        draw_boxes(torch.tensor([[1.0, 2, 1, 3]]), torch.tensor([0]), 4)
    with pytest.raises(ValueError, match=r"class 1: expected 0\.\.0"):
        draw_boxes(torch.tensor([[1.0, 2, 2, 3]]), torch.tensor([1]), 4)


def four_pixel_image(box: list[float] | None) -> torch.Tensor:
    """The 4x4 image (1, 4, 4) that one generator makes under a box in a 256x256 image."""
    torch.manual_seed(0)
    generator = PGGANGenerator(1, image_size=256, latent_dim=8, feature_base=128, feature_max=8, condition_channels=1)
    classes = torch.tensor([[0 if box else -1]])
    condition = draw_boxes(torch.tensor([[box or [0.0] * 4]]), classes, 256)
    with torch.no_grad():
        return generator(torch.ones(1, 8), resolution=4, alpha=1, condition=condition)[0]


def test_a_box_of_one_pixel_still_shows_at_four_pixels() -> None:
    change = (four_pixel_image([130, 60, 131, 61]) - four_pixel_image(None)).abs()[0]
    assert change.amax() > 1e-3
    near = torch.zeros(4, 4, dtype=torch.bool)
    near[1:4, 0:2] = True  # a 3x3 convolution around pixel (2, 0), which holds x 128..191 and y 0..63
    assert change[near].min() > 0
    assert change[~near].max() == 0


def test_the_place_of_a_box_shows_at_four_pixels() -> None:
    without = four_pixel_image(None)[0]
    left, right = (four_pixel_image([x, 100, x + 1, 101])[0] - without for x in (10, 240))
    assert left[:2].abs().max() > 1e-3
    assert left[2:].abs().max() == 0  # x is the first axis
    assert right[2:].abs().max() > 1e-3
    assert right[:2].abs().max() == 0


def square_item(folder: Path, name: str, first: int, label: int, *, boxed: bool = False) -> dict[str, Any]:
    """24 x 24 with a square lesion of 6 pixels at (first, first), as a label map or as a box."""
    plane = np.zeros((24, 24), np.uint8)
    plane[first : first + 6, first : first + 6] = label
    box = {"boxes": [[first, first, first + 6, first + 6]], "box_classes": [label - 1]} if boxed else {}
    item = write_item(folder, plane * (not boxed), name, **box)
    return {**item, "label": None} if boxed else item


def pasted(items: list[dict[str, Any]], folder: Path, epochs: int = 20, **options: Any) -> list[dict[str, Any]]:
    """The first slice in several epochs, with lesions of the others pasted into it."""
    dataset = boxed(items, folder, 24, copy_paste_probability=1.0, **options)
    elements = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        elements.append(dataset[0])
    return elements


@pytest.mark.parametrize("merge", [False, True])
def test_boxes_of_pasted_masks_are_those_of_the_new_label_map(tmp_path: Path, merge: bool) -> None:
    items = [square_item(tmp_path, "a", 4, 1), square_item(tmp_path, "b", 8, 2)]
    counts = set()
    for element in pasted(items, tmp_path, merge_classes=merge, minimum_pixels=3):
        boxes, classes = find_boxes(element["label"][0].numpy(), minimum_pixels=3)
        count = len(boxes)
        counts.add(count)
        assert element["boxes"].tolist() == [*boxes.tolist(), *[[0] * 4] * (4 - count)]
        assert element["box_classes"].tolist() == [*([0] * count if merge else classes.tolist()), *[-1] * (4 - count)]
        assert element["label"].max() == 2
    assert counts == {1, 2}  # the lesions overlap unless a small one was carved


def test_a_pasted_box_comes_with_its_class_and_covers_others(tmp_path: Path) -> None:
    items = [square_item(tmp_path, "a", 4, 1, boxed=True), square_item(tmp_path, "b", 8, 2, boxed=True)]
    found = set()
    for element in pasted(items, tmp_path):
        kept = element["box_classes"] >= 0
        found.add((*map(tuple, element["boxes"][kept].tolist()), *element["box_classes"][kept].tolist()))
    # margins of 0..3 pixels cover 4, 9, 16 or 25 of the 36 pixels of the first box, whose rest is an L
    assert found == {((4, 4, 10, 10), (8, 8, 14, 14), 0, 1), ((8, 8, 14, 14), 1)}


def test_boxes_go_into_slices_with_label_maps(tmp_path: Path) -> None:
    items = [square_item(tmp_path, "a", 2, 1), square_item(tmp_path, "b", 14, 2, boxed=True)]
    for element in pasted(items, tmp_path, 3):
        assert element["boxes"][:2].tolist() == [[2, 2, 8, 8], [14, 14, 20, 20]]
        assert element["box_classes"].tolist() == [0, 1, -1, -1]


def test_what_would_have_too_many_boxes_is_left_as_it_is(tmp_path: Path) -> None:
    items = [square_item(tmp_path, "a", 2, 1), square_item(tmp_path, "b", 14, 2)]
    for element in pasted(items, tmp_path, 3, most_boxes=1):
        assert element["boxes"].tolist() == [[2, 2, 8, 8]]
        assert element["label"].max() == 1


def test_labels_inside_are_those_of_the_boxes(tmp_path: Path) -> None:
    items = [square_item(tmp_path, "a", 2, 3), write_item(tmp_path, np.zeros((24, 24), np.uint8), "empty")]
    dataset = boxed(items, tmp_path, 24)
    assert [inside.tolist() for inside in dataset.labels_inside] == [[3], []]
    assert dataset.has_lesion.tolist() == [True, False]


def test_slices_of_other_items_have_their_boxes_found_alike(tmp_path):
    items = [write_item(tmp_path, two_lesions(), name) for name in ("first", "second")]
    options = {"minimum_pixels": 2, "minimum_boxes": 1, "merge_classes": True}
    other = boxed(items[:1], tmp_path, **options).of_items(items[1:])
    boxes, classes = other.boxes_of(0)
    assert (boxes.tolist(), classes.tolist()) == ([[2, 3, 7, 6]], [0])
    assert other.class_count == 1
    assert other.patients == ["second"]
