from __future__ import annotations

import logging
from pathlib import Path

import pytest

from scripts.data.contract import read_dataset
from scripts.data.held_out import held_out_slices
from scripts.data.phantom import write_phantom
from scripts.data.slices import BrightRule, LesionRule, SliceDataset
from scripts.data.training import real_items, training_items
from scripts.transforms.preprocessing import slice_preprocessing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("held_out") / "phantom", patients=12, image_size=32, slices=6)


def training(folder: Path, tmp_path: Path, rule=None, **options) -> SliceDataset:
    preprocessing = slice_preprocessing(description=read_dataset(folder), image_size=32)
    return SliceDataset(training_items(folder, **options), preprocessing, tmp_path / "cache", rule=rule)


def test_they_are_the_validation_patients_slices_of_the_classes_trained_on(folder, tmp_path):
    slices = training(folder, tmp_path, LesionRule())
    held_out = held_out_slices(slices, folder)
    items = real_items(folder, "validation")
    assert held_out.patients == sorted({item["patient"] for item in items})
    assert held_out.has_lesion.all()
    name = items[0]["class"]
    of_class = held_out_slices(training(folder, tmp_path, only_class=name), folder)
    assert of_class.patients == sorted({item["patient"] for item in items if item["class"] == name})


def test_where_no_slice_passes_the_log_says_that_the_last_weights_are_kept(folder, tmp_path, caplog):
    slices = training(folder, tmp_path)
    slices.options["rule"] = BrightRule(share=2)
    with caplog.at_level(logging.WARNING):
        assert held_out_slices(slices, folder) is None
    assert "No slices are held out, so the last weights are kept" in caplog.text
