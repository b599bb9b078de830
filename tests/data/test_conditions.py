"""What CPGGAN is asked for: training boxes, slightly changed, inside the head, the same in every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data.boxes import BoxedSlices
from scripts.data.conditions import BoxChanges, PlannedBoxes
from scripts.data.contract import DatasetError
from scripts.data.synthesis import synthetic_files

SIZE = 64
STILL = {"flip_axes": (), "shift": 0, "zoom": 0}


def head_image() -> np.ndarray:
    """A disc of radius 24 about (28, 32), so that a flip along x moves the head."""
    x, y = np.mgrid[:SIZE, :SIZE]
    return np.where((x - 28) ** 2 + (y - 32) ** 2 <= 24**2, 0.2, -1.0)[None]


def load_arrays(item: dict[str, Any]) -> dict[str, np.ndarray]:
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


def make_slices(folder: Path, classes: tuple[int, ...] = (-1, -1), **options: Any) -> BoxedSlices:
    """Slices with one lesion, two lesions, and one slice without any; all but the last get the given classes."""
    lesions = [[(20, 30, 30, 36)], [(12, 30, 16, 34), (40, 24, 46, 34)], []]
    items = []
    for n, boxes in enumerate(lesions):
        label = np.zeros((1, SIZE, SIZE))
        for x0, y0, x1, y1 in boxes:
            label[0, x0:x1, y0:y1] = 1
        files = {"image": str(folder / f"image_{n}.npy"), "label": str(folder / f"label_{n}.npy")}
        np.save(files["image"], head_image())
        np.save(files["label"], label)
        name = ["A", "B"][classes[n]] if n < 2 and classes[n] >= 0 else None
        items.append({**files, "patient": f"p{n}", "class": name})
    return BoxedSlices(items, load_arrays, folder / "cache", class_count=1, most_boxes=3, **options)


def change(boxes: list[list[int]], seed: int = 0, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    return BoxChanges(**options)(np.array(boxes, dtype=np.float32), head_image(), np.random.default_rng(seed))


def test_flips_take_all_boxes_along() -> None:
    boxes = [[20, 30, 30, 36], [12, 40, 14, 44]]
    flipped = [[SIZE - 30, 30, SIZE - 20, 36], [SIZE - 14, 40, SIZE - 12, 44]]
    seen = [change(boxes, seed, **{**STILL, "flip_axes": [0]})[0].tolist() for seed in range(20)]
    assert boxes in seen
    assert all(each in (boxes, flipped) for each in seen)
    assert flipped in seen


def test_both_axes_can_be_flipped() -> None:
    box = [20, 30, 30, 36]
    seen = {tuple(change([box], seed, **{**STILL, "flip_axes": [0, 1]})[0][0].tolist()) for seed in range(40)}
    assert seen == {(20, 30, 30, 36), (34, 30, 44, 36), (20, 28, 30, 34), (34, 28, 44, 34)}


def test_shift_and_zoom_stay_within_a_tenth() -> None:
    drawn = np.array([change([[22, 28, 32, 36]], seed, flip_axes=())[0][0] for seed in range(300)])
    middle = (drawn[:, :2] + drawn[:, 2:]) / 2 - [27, 32]
    sides = drawn[:, 2:] - drawn[:, :2]
    assert np.abs(middle).max() <= 6.4 + 0.5  # a tenth of 64 pixels, and rounding
    assert (middle.min(axis=0) < -5).all()
    assert (middle.max(axis=0) > 5).all()
    assert set(sides[:, 0]) == {9, 10, 11}
    assert sides[:, 1].min() >= 7


def test_no_more_of_a_box_leaves_the_head_than_before() -> None:
    head = head_image()[0] > -1
    corner = [5, 26, 11, 32]  # on the left rim
    before = head[5:11, 26:32].mean()
    assert before > 0
    for seed in range(100):
        boxes, _ = change([corner], seed, flip_axes=(), shift=0.2)
        x0, y0, x1, y1 = boxes[0]
        assert 4 <= x0 < x1 <= 53  # the disc's columns
        assert y0 < y1
        assert head[x0:x1, y0:y1].mean() >= before


def test_a_box_that_finds_no_place_stays_as_it_was() -> None:
    whole_head = [4, 8, 53, 57]
    boxes, moved = change([whole_head], flip_axes=(), zoom=0, shift=0.9, tries=3)
    assert (boxes[0].tolist(), moved.tolist()) == (whole_head, [False])


def test_a_small_box_keeps_a_pixel() -> None:
    for seed in range(50):
        box = change([[28, 32, 29, 33]], seed, zoom=0.9)[0][0]
        assert box[0] < box[2]
        assert box[1] < box[3]


def test_an_image_without_head_allows_all_places() -> None:
    changes = BoxChanges(flip_axes=())
    boxes, moved = changes(np.array([[0.0, 0, 4, 4]]), np.full((1, 16, 16), -1.0), np.random.default_rng(1))
    assert moved.all()
    assert boxes.min() >= 0


@pytest.mark.parametrize("options", [{"shift": 1}, {"zoom": -0.1}, {"flip_axes": [2]}, {"tries": 0}])
def test_changes_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=f"{next(iter(options))} "):
        BoxChanges(**options)


def test_every_slice_with_boxes_comes_once_before_any_comes_again(tmp_path: Path) -> None:
    planned = PlannedBoxes(make_slices(tmp_path), 4, tmp_path / "made")
    sources = [image["source_patient"] for image in planned.images]
    assert sorted(sources[:2]) == sorted(sources[2:]) == ["p0", "p1"]
    assert all(len(image["boxes"]) == (1 if image["source_patient"] == "p0" else 2) for image in planned.images)


def test_what_an_image_is_asked_for_depends_on_its_number_and_the_seed_alone(tmp_path: Path) -> None:
    slices = make_slices(tmp_path)
    few, many, other = (PlannedBoxes(slices, n, tmp_path, seed=s).images for n, s in ((3, 0), (8, 0), (8, 1)))
    assert few == many[:3]
    assert {image["noise_seed"] for image in many}.isdisjoint(image["noise_seed"] for image in other)
    assert [image["boxes"] for image in many] != [image["boxes"] for image in other]
    assert len({image["noise_seed"] for image in many}) == 8


def test_boxes_move_into_another_head_at_the_same_place_of_it() -> None:
    anatomy = np.full((1, SIZE, SIZE), -1.0)
    anatomy[0, 30:60, 20:50] = 0.2  # 30 pixels wide, the disc of `head_image` 49, from (4, 8)
    still = BoxChanges(**STILL)
    boxes, moved = still(np.array([[20, 30, 30, 36]]), head_image(), np.random.default_rng(0), anatomy)
    # the middle (25, 33): 30 + 30 (25 - 4) / 49 = 42.9 and 20 + 30 (33 - 8) / 49 = 35.3, 18 and 2 pixels further
    assert (boxes.tolist(), moved.tolist()) == ([[38, 32, 48, 38]], [True])


def test_new_boxes_lie_in_another_patients_head_and_overlap_no_more_than_their_own() -> None:
    anatomy = np.full((1, SIZE, SIZE), -1.0)
    anatomy[0, 36:60, 30:54] = 0.2
    boxes = np.array([[20, 20, 28, 30], [30, 24, 38, 34], [20, 36, 30, 44]])  # apart
    changes, placed = BoxChanges(zoom=0.4), 0
    for seed in range(60):
        drawn, moved = changes(boxes, head_image(), np.random.default_rng(seed), anatomy)
        if not moved.all():
            continue
        placed += 1
        pixels = np.zeros((SIZE, SIZE), dtype=int)
        for x0, y0, x1, y1 in drawn:
            pixels[x0:x1, y0:y1] += 1
        assert pixels.max() == 1
        assert not pixels[(anatomy[0] < 0) & (anatomy[0, ::-1] < 0)].any()
    assert placed > 20


def test_a_share_of_the_images_has_new_boxes_and_says_whose_head_they_are_in(tmp_path: Path) -> None:
    own, new = (PlannedBoxes(make_slices(tmp_path), 8, tmp_path / "made", new_masks=share) for share in (0, 0.5))
    assert new.images[::2] == own.images[::2]
    for image in new.images[1::2]:
        assert image["anatomy_patient"] in {"p0", "p1", "p2"} - {image["source_patient"]}
        said = new.provenance(image)
        assert (said["anatomy"], said["anatomy_patient"]) == (image["anatomy"], image["anatomy_patient"])
    all_new = PlannedBoxes(make_slices(tmp_path), 8, tmp_path, new_masks=1).images
    assert "p2" in {image["anatomy_patient"] for image in all_new}  # who has no box
    with pytest.raises(DatasetError, match="new_masks is 2, expected a share"):
        PlannedBoxes(make_slices(tmp_path), 8, tmp_path, new_masks=2)


def test_elements_are_padded_and_written_images_left_out(tmp_path: Path) -> None:
    slices = make_slices(tmp_path)
    planned = PlannedBoxes(slices, 2, tmp_path / "made")
    image, _ = synthetic_files(tmp_path / "made", planned.images[0]["name"])
    image.parent.mkdir(parents=True)
    image.touch()
    again = PlannedBoxes(slices, 2, tmp_path / "made")
    assert (len(planned), len(again)) == (2, 1)
    element = again[0]
    count = len(planned.images[1]["boxes"])
    assert element["name"] == planned.images[1]["name"]
    assert element["boxes"].shape == (3, 4)
    assert element["boxes"][:count].tolist() == planned.images[1]["boxes"]
    assert element["box_classes"].tolist() == [0] * count + [-1] * (3 - count)
    assert torch.is_floating_point(element["boxes"])


def test_images_have_the_class_that_all_slices_share(tmp_path: Path) -> None:
    def names(*classes: int) -> set[str | None]:
        slices = make_slices(tmp_path, classes, minimum_boxes=1)
        return {image["class"] for image in PlannedBoxes(slices, 2, tmp_path).images}

    assert names(1, 1) == {"B"}
    assert names(0, 1) == {None}


def test_nothing_to_ask_for_is_refused(tmp_path: Path) -> None:
    slices = make_slices(tmp_path)
    with pytest.raises(DatasetError, match="image_count is 0"):
        PlannedBoxes(slices, 0, tmp_path)
    empty = BoxedSlices(slices.data[2:], load_arrays, tmp_path / "cache", class_count=1, most_boxes=3)
    with pytest.raises(DatasetError, match="No training slice has a box"):
        PlannedBoxes(empty, 1, tmp_path)
