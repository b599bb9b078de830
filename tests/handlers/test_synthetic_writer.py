from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch.utils.data import DataLoader

from scripts.data.atomic import WriteError
from scripts.data.boxes import BoxedSlices
from scripts.data.conditions import BoxChanges, PlannedBoxes
from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.slices import SliceDataset
from scripts.data.synthesis import PlannedMasks
from scripts.handlers.synthetic_writer import SyntheticSetWriter, synthesise
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd
from tests.known_weights import write_known

CLASSES = ["A", "B"]


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


class Synthesis:
    """Two channels, one label and the outline class 2; the "generator" draws noise of the given seed."""

    def __init__(self, folder: Path, *, wanted: str = "BA", weights: bytes = b"weights") -> None:
        self.folder = folder / "made"
        np.save(folder / "image.npy", np.zeros((2, 5, 4, 3)))
        label = np.zeros((1, 5, 4, 3))
        label[0, 1:3, 1], label[0, 3:] = 1, 2
        np.save(folder / "label.npy", label)
        generator = write_known(folder / "generator.pt", ["p0"])
        generator.file.write_bytes(weights)
        item = {"image": str(folder / "image.npy"), "label": str(folder / "label.npy"), "patient": "p0"}
        slices = SliceDataset([item], load_arrays, folder / "cache")
        images = [
            {"class": name, "source": slices.summary(z)["source"], "source_patient": "p0"}
            for z, name in enumerate(wanted)
        ]
        self.planned = PlannedMasks(slices, images, CLASSES, self.folder)
        real = Dataset(folder, "real", ["T1", "T2"], ["background", "tumour"], CLASSES)
        self.writer = SyntheticSetWriter(self.planned, real, self.folder, system="redgan", weights=generator, seed=4)
        self.made: dict[str, torch.Tensor] = {}

    def run(self, *, stop_after: int | None = None) -> int:
        """Makes what is missing, one image per batch; returns how many were made."""
        self.made = {}

        def step(engine: Engine, n: int) -> list[dict[str, torch.Tensor]]:
            if len(self.made) == stop_after:
                raise KeyboardInterrupt
            element = self.planned[n]
            engine.state.batch = [element]
            self.made[element["name"]] = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(n)) * 2.2 - 1.1
            return [{"pred": self.made[element["name"]]}]

        engine = Engine(step)
        self.writer.attach(engine)
        engine.data_loader = DataLoader(self.planned)
        engine.run = lambda plain=engine.run: plain(list(range(len(self.planned))))
        synthesise(engine, self.writer)
        return len(self.made)


def test_images_and_labels_come_back_as_they_were_made(tmp_path):
    synthesis = Synthesis(tmp_path)
    assert synthesis.run() == 2
    made = read_dataset(synthesis.folder)
    load = LoadItemd(["image", "label"], channel_count=2, foreground_count=1)
    for item, (name, image) in zip(made.splits["training"], synthesis.made.items(), strict=True):
        loaded = ToSignedRanged("image", [0, 255])(load(item))
        assert Path(item["image"]).name == f"{name}.nii.gz"
        assert loaded["image"].shape == (2, 5, 4, 1)
        np.testing.assert_allclose(loaded["image"][..., 0], image.clamp(-1, 1), atol=2.2 / 2**16)
        expected = np.zeros((5, 4))
        expected[1:3, 1] = 1  # without the outline class
        np.testing.assert_array_equal(loaded["label"][0, ..., 0], expected)
        assert nib.load(item["image"]).get_data_dtype() == np.int16


def test_padding_is_cut_off(tmp_path):
    synthesis = Synthesis(tmp_path)
    synthesis.writer.plane = (4, 2)  # the slices of (5, 4) had nothing before them in x, and one pixel in y
    synthesis.run()
    for name, image in synthesis.made.items():
        written = nib.load(synthesis.folder / "images" / f"{name}.nii.gz").get_fdata()
        label = nib.load(synthesis.folder / "labels" / f"{name}.nii.gz").get_fdata()
        assert np.allclose(written[:, :, 0].transpose(2, 0, 1), image[:, :4, 1:3].clamp(-1, 1), atol=1e-4)
        assert label.shape == (4, 2, 1)


def test_the_description_tells_where_each_image_comes_from(tmp_path):
    synthesis = Synthesis(tmp_path)
    synthesis.run()
    made = read_dataset(synthesis.folder)
    assert made.trained_on == ["p0"]
    assert (made.modality, made.labels, made.classes) == (["T1", "T2"], ["background", "tumour"], CLASSES)
    assert [item["class"] for item in made.items] == ["B", "A"]
    assert [item["patient"] for item in made.items] == ["synthetic-000000_B", "synthetic-000001_A"]
    assert made.items[0]["synthetic"] == {
        "system": "redgan",
        "generator": "generator.pt",
        "generator_sha256": hashlib.sha256(b"weights").hexdigest(),
        "seed": 4,
        "asked_class": "B",
        "source": f"{tmp_path}/image.npy#0",
        "source_patient": "p0",
        "source_split": "training",
        "draw": 0,
    }


def test_a_finished_set_is_not_made_again_and_a_stopped_one_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Synthesis(tmp_path).run(stop_after=1)
    assert not (tmp_path / "made" / "dataset.json").exists()
    assert Synthesis(tmp_path).run() == 1
    assert len(read_dataset(tmp_path / "made").items) == 2
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "made").rglob("*.nii.gz")}
    assert Synthesis(tmp_path).run() == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "made").rglob("*.nii.gz")} == written


def test_a_stopped_set_goes_on_with_the_batches_of_a_whole_one(tmp_path):
    synthesis = Synthesis(tmp_path, wanted="BAB")
    synthesis.writer.claim_folder()
    synthesis.planned.missing = [synthesis.planned.images[1]]
    batches = []
    engine = Engine(lambda engine, batch: batches.append(batch["name"]))
    engine.data_loader = DataLoader(synthesis.planned, batch_size=2)
    engine.state.max_epochs, run = 1, engine.run
    engine.run = lambda: run(engine.data_loader)
    synthesise(engine, synthesis.writer)
    assert batches == [["000000_B", "000001_A"]]


@pytest.mark.parametrize("change", [{"weights": b"other weights"}, {"wanted": "BB"}])
def test_another_generator_or_plan_makes_all_images_anew(tmp_path, change):
    Synthesis(tmp_path).run()
    assert Synthesis(tmp_path, **change).run() == 2
    (sums,) = {item["synthetic"]["generator_sha256"] for item in read_dataset(tmp_path / "made").items}
    assert sums == hashlib.sha256(change.get("weights", b"weights")).hexdigest()


def test_a_set_stopped_after_the_change_does_not_keep_old_images(tmp_path):
    Synthesis(tmp_path).run()
    with pytest.raises(KeyboardInterrupt):
        Synthesis(tmp_path, weights=b"other weights").run(stop_after=1)
    assert not (tmp_path / "made" / "dataset.json").exists()
    assert Synthesis(tmp_path, weights=b"other weights").run() == 1


def test_the_folder_of_another_data_set_is_refused(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"made holds another data set\. Name another --output_dir"):
        Synthesis(tmp_path).run()
    assert (tmp_path / "made" / "dataset.json").read_text() == "{}"


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "made").write_text("a file")
    with pytest.raises(WriteError, match=r"Cannot write .*made: .*Name a writable folder"):
        Synthesis(tmp_path).run()


def test_a_full_disk_is_one_clear_error_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(image, file):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    synthesis = Synthesis(tmp_path)
    monkeypatch.setattr(nib, "save", full)
    with pytest.raises(WriteError, match=r"Cannot write .*nii\.gz: the disk is full, .*free\. Free space, or name"):
        synthesis.run()
    assert [file.name for file in synthesis.folder.rglob("*") if file.is_file()] == ["provenance.json"]
    assert json.loads((synthesis.folder / "provenance.json").read_text())["system"] == "redgan"


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_generator_of_constant_images_is_refused(tmp_path, value):
    synthesis = Synthesis(tmp_path)
    outputs = [{"pred": torch.full((2, 5, 4), value)}] * 2
    engine = SimpleNamespace(state=SimpleNamespace(batch=[synthesis.planned[n] for n in range(2)], output=outputs))
    with pytest.raises(DatasetError, match=r"generator\.pt: all 2 images of a batch are constant, .*has collapsed"):
        synthesis.writer._write_batch(engine)
    assert not list(tmp_path.rglob("*.nii.gz"))


@pytest.mark.parametrize("plane", [None, (6, 5)])
def test_images_that_boxes_were_asked_for_have_these_boxes_and_no_label(tmp_path, plane):
    synthesis = Synthesis(tmp_path)
    label = np.zeros((1, 8, 8))
    label[0, 2:4, 1:3] = 1  # of a slice of 6 x 5 pixels with 1 pixel before them, and 1 and 2 behind
    np.save(tmp_path / "label.npy", label)
    np.save(tmp_path / "image.npy", np.ones((2, 8, 8)))
    item = {"image": str(tmp_path / "image.npy"), "label": str(tmp_path / "label.npy"), "patient": "p0"}
    slices = BoxedSlices([item], load_arrays, tmp_path / "cache", class_count=1, most_boxes=2)
    still = BoxChanges(flip_axes=(), shift=0, zoom=0)
    planned = PlannedBoxes(slices, 2, synthesis.folder, changes=still, seed=1)
    synthesis.planned = synthesis.writer.planned = planned
    synthesis.writer.plane = plane

    def step(engine: Engine, n: int) -> list[dict[str, torch.Tensor]]:
        engine.state.batch = [planned[n]]
        return [{"pred": torch.linspace(-1, 1, 128).reshape(2, 8, 8)}]

    engine = Engine(step)
    synthesis.writer.attach(engine)
    engine.data_loader = DataLoader(planned)
    engine.run = lambda plain=engine.run: plain(list(range(len(planned))))
    synthesise(engine, synthesis.writer)
    items = read_dataset(synthesis.folder).items
    assert [item["boxes"] for item in items] == [[[1, 0, 3, 2]] if plane else [[2, 1, 4, 3]]] * 2
    assert [(item["box_classes"], item["label"]) for item in items] == [([0], None)] * 2
    assert items[0]["synthetic"]["source_patient"] == "p0"
    assert nib.load(items[0]["image"]).shape == ((6, 5, 1, 2) if plane else (8, 8, 1, 2))
    assert not list((synthesis.folder / "labels").iterdir())
    assert len(PlannedBoxes(slices, 2, synthesis.folder, changes=still, seed=1)) == 0


def test_a_box_that_a_flip_puts_beside_the_image_is_moved_back(tmp_path):
    synthesis = Synthesis(tmp_path)
    label = np.zeros((1, 8, 8))
    label[0, 1, 3] = 1  # the first column of a slice of 5 x 8 pixels: 1 pixel before it, 2 behind
    np.save(tmp_path / "label.npy", label)
    np.save(tmp_path / "image.npy", np.full((2, 8, 8), -1.0))
    item = {"image": str(tmp_path / "image.npy"), "label": str(tmp_path / "label.npy"), "patient": "p0"}
    slices = BoxedSlices([item], load_arrays, tmp_path / "cache", class_count=1, most_boxes=2)
    planned = PlannedBoxes(slices, 20, synthesis.folder, changes=BoxChanges(shift=0, zoom=0))
    assert {image["boxes"][0][0] for image in planned.images} == {1, 6}
    synthesis.writer.planned, synthesis.writer.plane = planned, (5, 8)
    synthesis.writer.finish(Engine(lambda engine, batch: None))
    items = json.loads((synthesis.folder / "dataset.json").read_text())["training"]
    assert {tuple(item["boxes"][0]) for item in items} == {(0, 3, 1, 4), (4, 3, 5, 4)}
