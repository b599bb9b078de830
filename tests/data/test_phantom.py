"""The phantom: what its voxels look like, and how its folder comes into being."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from scripts.data import phantom
from scripts.data.atomic import WriteError
from scripts.data.contract import DatasetError, read_dataset
from scripts.data.phantom import default_dataset, draw_patient, write_phantom
from scripts.data.phantom_fields import Grid
from scripts.data.phantom_mr import draw_mr_patient

SMALL: dict[str, Any] = {"patients": 5, "image_size": 16, "slices": 3}
CROSS = ndimage.generate_binary_structure(2, 1)[:, :, None]  # the four neighbours in a slice


@pytest.fixture(scope="module")
def mr() -> list[Any]:
    return [draw_patient(index, kind="mr", image_size=64, slices=12, seed=0) for index in range(10)]


@pytest.fixture(scope="module")
def ct() -> list[Any]:
    return [draw_patient(index, kind="ct", image_size=64, slices=12, seed=0) for index in range(8)]


@pytest.fixture(scope="module")
def metastases() -> list[Any]:
    return [draw_patient(index, kind="metastases", image_size=64, slices=12, seed=0) for index in range(5)]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_voxels_follow_from_the_seed(mr: list[Any]) -> None:
    image, label, _ = draw_patient(3, kind="mr", image_size=64, slices=12, seed=0)
    assert np.array_equal(image, mr[3][0])
    assert np.array_equal(label, mr[3][1])
    assert not np.array_equal(image, draw_patient(3, kind="mr", image_size=64, slices=12, seed=1)[0])


def test_a_patient_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    few = write_phantom(tmp_path / "few", **{**SMALL, "patients": 3})
    many = write_phantom(tmp_path / "many", **{**SMALL, "patients": 7})
    for name in ("images", "labels"):
        pair = [np.asarray(nib.load(folder / name / "phantom_0002.nii.gz").dataobj) for folder in (few, many)]
        assert np.array_equal(*pair)


def test_mr_labels_lie_in_the_brain(mr: list[Any]) -> None:
    for image, label, _ in mr:
        brain = (image > 0).all(axis=-1)
        assert np.array_equal(brain, (image > 0).any(axis=-1))
        assert brain[label > 0].all()
        assert 0.15 < brain.mean() < 0.5
        assert (label > 0).sum() > 30
    assert set(np.unique(np.stack([label for _, label, _ in mr]))) == {0, 1, 2, 3}


def test_only_high_grades_enhance(mr: list[Any]) -> None:
    small = [draw_patient(index, kind="mr", image_size=32, slices=4, seed=5) for index in range(16)]
    for _, label, keys in mr + small:
        if keys["grade"] == "high":
            assert {1, 2, 3} <= set(np.unique(label))
        else:
            assert 3 not in label
            assert (label == 2).sum() > 0.7 * (label > 0).sum()
    assert {keys["grade"] for _, _, keys in mr} == {"high", "low"}


def test_the_rim_surrounds_the_core(mr: list[Any]) -> None:
    neighbours = []
    for _, label, keys in mr:
        if keys["grade"] == "high":
            core = label == 1
            neighbours.append(label[ndimage.binary_dilation(core, CROSS) & ~core])
    assert (np.concatenate(neighbours) == 3).mean() > 0.9


def test_some_high_grades_are_several_metastases(mr: list[Any]) -> None:
    foci = [ndimage.label(label == 3, np.ones((3, 3, 3)))[1] for _, label, keys in mr if keys["grade"] == "high"]
    assert max(foci) >= 3
    assert min(foci) == 1


def test_centres_render_the_same_head_differently() -> None:
    grid = Grid(64, 12)
    seen = {name: draw_mr_patient(np.random.default_rng(7), grid, centre=name) for name in "ABCD"}
    assert all(np.array_equal(seen["A"][1], label) for _, label, _ in seen.values())
    brain = seen["A"][0][..., 0] > 0
    median = {name: np.median(image[brain], axis=0) / 1000 for name, (image, _, _) in seen.items()}
    gain, gamma = np.array([0.8, 0.9, 1.6, 0.5]), np.array([0.6, 0.7, 0.65, 1.5])  # centre D; centre A has ones
    assert median["D"] == pytest.approx(gain * median["A"] ** gamma, rel=0.15)
    rough = {
        n: (i[..., 1] - ndimage.uniform_filter(i[..., 1] / 1.0, (3, 3, 1)))[brain].std()
        for n, (i, _, _) in seen.items()
    }
    assert len({round(float(r)) for r in rough.values()}) == 4


def test_no_threshold_segments_the_tumour(mr: list[Any]) -> None:
    """Even a threshold chosen for each patient with the label at hand falls short."""
    whole, rim = [], []
    for image, label, keys in mr:
        levels = np.percentile(image[image[..., 0] > 0], np.linspace(50, 99.8, 40), axis=0)
        whole.append(max(dice(image[..., 0] > level, label > 0) for level in levels[:, 0]))
        if keys["grade"] == "high":
            rim.append(max(dice(image[..., 2] > level, label == 3) for level in levels[:, 2]))
    assert np.mean(whole) < 0.7
    assert np.mean(rim) < 0.5


def test_every_metastases_patient_has_several_and_small_ones(metastases: list[Any]) -> None:
    diameters = []
    for image, label, keys in metastases:
        assert image.shape == label.shape == (64, 64, 12)
        assert "class" not in keys
        assert (image[label == 1] > 0).all()
        foci, count = ndimage.label(label, np.ones((3, 3, 3)))
        assert 2 <= count <= 9
        for n in range(1, count + 1):
            pixels = (foci == n).sum(axis=(0, 1)).max()  # 3 mm each, in the focus' largest slice
            diameters.append(2 * 3 * np.sqrt(pixels / np.pi))
    assert 3 < np.min(diameters) < 5 < np.median(diameters) < 14 < np.max(diameters) < 26


def test_metastases_are_bright_but_no_threshold_finds_them(metastases: list[Any]) -> None:
    """Vessels and the bias field are as bright, even for a threshold chosen with the label at hand."""
    contrast, best = [], []
    for image, label, _ in metastases:
        contrast.append(image[label == 1].mean() / np.median(image[(image > 0) & (label == 0)]))
        levels = np.percentile(image[image > 0], np.linspace(50, 99.8, 40))
        best.append(max(dice(image > level, label == 1) for level in levels))
    assert min(contrast) > 1.05
    assert np.mean(contrast) > 1.2
    assert np.mean(best) < 0.5


def test_ct_tissues_have_their_hounsfield_units(ct: list[Any]) -> None:
    for image, label, _ in ct:
        bone = image > 300
        inside = np.stack([ndimage.binary_fill_holes(s) for s in bone.transpose(2, 0, 1)], -1) & ~bone
        brain = ndimage.binary_erosion(inside, CROSS, iterations=3) & (label == 0)
        assert abs(np.median(image[0]) + 1000) < 10
        assert 800 < np.percentile(image[bone], 95) < 1300
        assert 28 < np.median(image[brain]) < 42
        assert -4 < np.percentile(image[brain], 0.5) < 22  # CSF, in part mixed with brain
        solid = ndimage.binary_erosion(label > 0, CROSS)
        blood = image[solid if solid.sum() > 20 else label > 0]
        assert 50 < np.median(blood) < 82
        assert inside[label > 0].mean() > 0.75


def test_ct_class_is_the_largest_bleeding(ct: list[Any]) -> None:
    names = ["IPH", "IVH", "SAH", "EDH", "SDH"]
    for _, label, keys in ct:
        assert names[int(np.bincount(label.ravel(), minlength=6)[1:].argmax())] == keys["class"]
    slices_with = np.array([(label > 0).any(axis=(0, 1)) for _, label, _ in ct])
    assert slices_with.any(axis=1).all()
    assert 0.2 < slices_with.mean() < 0.9  # slices without bleeding exist


def test_ct_bleedings_lie_where_they_belong(ct: list[Any]) -> None:
    touching: dict[str, list[float]] = {}
    spread: dict[str, list[float]] = {}
    for image, label, keys in ct:
        value = ["IPH", "IVH", "SAH", "EDH", "SDH"].index(keys["class"]) + 1
        mask = label == value
        near_bone = ndimage.binary_dilation(image > 300, CROSS, iterations=2)
        touching.setdefault(keys["class"], []).append((mask & near_bone).sum() / mask.sum())
        spread.setdefault(keys["class"], []).append(float(np.abs(np.nonzero(mask)[0] - 31.5).mean() * 3))
    assert min(touching["EDH"]) > 0.25
    assert min(touching["SDH"]) > 0.5  # thinner than an epidural bleeding
    assert max(touching["IPH"] + touching["IVH"]) == 0
    assert max(spread["IVH"]) < 32 < min(spread["EDH"] + spread["SDH"])  # mm from the midline


def test_every_fold_has_every_class_and_classes_are_imbalanced(tmp_path: Path) -> None:
    tiny = {"patients": 40, "image_size": 16, "slices": 1}
    counts = {"mr": {"A": 19, "B": 10, "C": 6, "D": 5}, "ct": {"IPH": 15, "SDH": 10, "SAH": 5, "IVH": 5, "EDH": 5}}
    for kind, expected in counts.items():
        items = read_dataset(write_phantom(tmp_path / kind, kind=kind, **tiny)).items
        assert Counter(item["class"] for item in items) == expected
        assert {(item["class"], item["fold"]) for item in items} == {(c, f) for c in expected for f in range(5)}


def test_a_sequence_is_rare_in_training_and_half_of_what_is_tested(tmp_path: Path) -> None:
    dataset = read_dataset(write_phantom(tmp_path / "p", kind="sequences", patients=30, image_size=16, slices=1))
    counts = {split: Counter(item["class"] for item in items) for split, items in dataset.splits.items()}
    assert counts == {
        "training": {"FLAIR": 12, "T1": 2},
        "validation": {"FLAIR": 6, "T1": 2},
        "test": {"FLAIR": 4, "T1": 4},
    }


@pytest.mark.parametrize("kind", ["mr", "metastases", "ct"])
def test_files_hold_what_was_drawn(tmp_path: Path, kind: str) -> None:
    dataset = read_dataset(write_phantom(tmp_path / "p", kind=kind, patients=3, image_size=64, slices=12, seed=2))
    assert [len(dataset.splits[s]) for s in ("training", "validation", "test")] == [1, 1, 1]
    assert dataset.channel_count == (4 if kind == "mr" else 1)
    for item in dataset.items:
        image, label = nib.load(item["image"]), nib.load(item["label"])
        drawn = draw_patient(int(item["patient"][-4:]), kind=kind, image_size=64, slices=12, seed=2)
        assert image.get_data_dtype() == label.get_data_dtype() == np.int16
        assert np.array_equal(np.asarray(image.dataobj), drawn[0])
        assert np.array_equal(np.asarray(label.dataobj), drawn[1])
        assert np.array_equal(image.affine, label.affine)
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        assert image.header.get_zooms()[:3] == (3.0, 3.0, 5.0)
        middle = image.affine @ [31.5, 31.5, 5.5, 1]
        assert middle == pytest.approx([0, 0, 14, 1])


def test_metastases_have_one_label_no_classes_and_known_scanners(tmp_path: Path) -> None:
    dataset = read_dataset(write_phantom(tmp_path / "p", kind="metastases", **SMALL))
    assert (dataset.modality, dataset.labels, dataset.classes) == (["T1Gd"], ["background", "metastasis"], [])
    assert {item["patient"]: item["centre"] for item in dataset.items} == {
        f"phantom_{n:04d}": centre for n, centre in enumerate("ABACA")
    }
    assert not any("boxes" in item for item in dataset.items)


def test_a_second_call_writes_nothing(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "p", **SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write_phantom(folder, **SMALL) == folder
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = write_phantom(tmp_path / "empty", **SMALL)
    with pytest.raises(DatasetError, match=r"'seed': 0.*'seed': 1.*delete it"):
        write_phantom(folder, **SMALL, seed=1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="no phantom"):
        write_phantom(tmp_path, **SMALL)
    with pytest.raises(WriteError, match=r"Not a directory.*writable folder"):
        write_phantom(tmp_path / "notes.txt", **SMALL)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "pet"), ("patients", 2), ("image_size", 8), ("slices", 0), ("seed", -1), ("slices", 2.5)],
)
def test_bad_arguments_are_named(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(DatasetError, match=rf"{name} is {value!r}, expected"):
        write_phantom(tmp_path / "p", **{name: value})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(phantom.nib, "save", fail)
    with pytest.raises(WriteError, match=r"Cannot write .*p: the disk is full"):
        write_phantom(tmp_path / "p", **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_leaves_no_folder(tmp_path: Path) -> None:
    code = f"from scripts.data.phantom import write_phantom; write_phantom({str(tmp_path / 'p')!r}, patients=2000)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(phantom.__file__).parents[2])
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("labels/*.nii.gz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [f".tmp-{process.pid}-p"]
    assert not list(tmp_path.rglob("dataset.json"))
    assert len(read_dataset(write_phantom(tmp_path / "p", **SMALL)).items) == 5
    assert os.listdir(tmp_path) == ["p"]


def test_writers_at_the_same_time_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: write_phantom(tmp_path / "p", **SMALL), range(3)))
    assert list(tmp_path.iterdir()) == list(folders) == [tmp_path / "p"]
    assert len(read_dataset(tmp_path / "p").items) == 5


def test_default_data_set_lies_in_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, str]] = []
    monkeypatch.setattr(phantom, "write_phantom", lambda folder, kind: asked.append((folder, kind)) or folder)
    assert default_dataset(str(tmp_path)) == str(tmp_path / "data" / "phantom_mr")
    assert default_dataset(str(tmp_path), "ct") == str(tmp_path / "data" / "phantom_ct")
    assert asked == [(tmp_path / "data" / f"phantom_{kind}", kind) for kind in ("mr", "ct")]
