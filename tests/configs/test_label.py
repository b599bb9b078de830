"""What MONAI Label does to the bundle's configs, without its server; `make label-check` runs that."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run
from monai.transforms import SaveImaged
from PIL import Image

from scripts.data.contract import DatasetError, read_dataset, write_dataset
from scripts.data.label_server import AddSyntheticSet

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = {"image_size_pixels": 32, "encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8], "batch_size": 4}
Train = Callable[..., Path]


@pytest.fixture
def train(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """A training as `monailabel.tasks.train.bundle` starts it; returns the bundle's `models` folder."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which the run replaces

    def start(training: list[Any], validation: list[Any] | None, pretrained: bool = True, **options: Any) -> Path:
        parser = ConfigParser()
        parser.read_config(str(CONFIGS / "train.json"))
        handlers = parser.get("train#handlers")
        file = tmp_path / "models" / "model.pt"
        if pretrained and file.exists():
            load = {"model": "$@network"}
            handlers.insert(
                0, {"_target_": "CheckpointLoader", "load_path": str(file), "load_dict": load, "strict": False}
            )
        overrides = {
            "bundle_root": str(tmp_path),
            "train#trainer#max_epochs": 1,
            "train#dataset#data": training,
            "device": "cpu",
            "train#handlers": handlers,
            "dataset_dir": str(phantom),  # else it would be written into the bundle's folder
            **TINY,
            **options,
        }
        if validation is not None:
            overrides["validate#dataset#data"] = validation
        run(
            run_id="run",
            config_file=str(CONFIGS / "train.json"),
            meta_file=str(CONFIGS / "metadata.json"),
            logging_file=False,
            **overrides,
        )
        return file.parent

    return start


@pytest.fixture
def labelled(phantom: Path) -> list[dict[str, str]]:
    return [{key: item[key] for key in ("image", "label")} for item in read_dataset(phantom).items]


def patients(models: Path) -> list[str]:
    return json.loads((models / "model.json").read_text(encoding="utf-8"))["trained_on"]


def names(items: list[dict[str, str]]) -> list[str]:
    return sorted(Path(item["image"]).name.removesuffix(".nii.gz") for item in items)


def write_synthetic(phantom: Path, folder: Path) -> None:
    """The first training image of the phantom as if a generator had made it."""
    real = read_dataset(phantom)
    source = real.splits["training"][0]
    image = nib.load(source["image"])
    scaled = np.asarray(image.dataobj, dtype=np.float32)
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(scaled / np.abs(scaled).max(), image.affine), folder / "made.nii.gz")
    provenance = {"system": "redgan", "source_patient": "the source"}
    made = {"image": str(folder / "made.nii.gz"), "label": source["label"], "patient": "made", "synthetic": provenance}
    changes = {"root": folder, "splits": {"training": [made]}, "trained_on": [source["patient"]]}
    write_dataset(folder, type(real)(**{**vars(real), **changes}))


def test_one_epoch_names_the_images_that_it_saw(train: Train, labelled: list[dict[str, str]]) -> None:
    assert patients(train(labelled[:2], labelled[2:3])) == names(labelled[:2])


def test_each_training_goes_on_with_the_weights_and_forgets_no_patient(
    train: Train, labelled: list[dict[str, str]], tmp_path: Path
) -> None:
    models = train(labelled[:1], labelled[2:3], learning_rate=1e-30)
    first = torch.load(models / "model.pt", weights_only=True)
    train(labelled[1:2], labelled[2:3], learning_rate=1e-30)
    second = torch.load(models / "model.pt", weights_only=True)
    assert all(torch.allclose(first[name], second[name]) for name in first if name.endswith(("weight", "bias")))
    assert patients(models) == names(labelled[:2])
    assert not list(tmp_path.rglob("checkpoint.pt"))  # which a later training would take for its own


@pytest.mark.parametrize("validation", [[], None], ids=["no validation", "the bundle's own validation"])
def test_one_image_is_enough(train: Train, labelled: list[dict[str, str]], validation: list[Any] | None) -> None:
    assert patients(train(labelled[:1], validation)) == names(labelled[:1])


def test_labels_of_any_type_and_shape_a_viewer_writes(
    train: Train, labelled: list[dict[str, str]], tmp_path: Path
) -> None:
    label = nib.load(labelled[0]["label"])
    values = np.asarray(label.dataobj)
    nib.save(nib.Nifti1Image(values.astype(np.float64) + 1e-7, label.affine), tmp_path / "float.nii.gz")
    nib.save(nib.Nifti1Image(values.astype(np.int32), label.affine), tmp_path / "int.nii.gz")
    items = [{**labelled[0], "label": str(tmp_path / f"{kind}.nii.gz")} for kind in ("float", "int")]
    assert (train(items, []) / "model.pt").is_file()


def test_plane_images(train: Train, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(tmp_path / "label.png")
    description = {
        "_target_": "scripts.data.contract.Dataset",
        "root": str(tmp_path),
        "name": "pictures",
        "modality": ["red", "green", "blue"],
        "labels": ["background", "lesion"],
    }
    item = {"image": str(tmp_path / "slide.png"), "label": str(tmp_path / "label.png")}
    options = {
        "description": description,
        "image_size_pixels": 64,
    }  # of 32 pixels a batch of one leaves batch norm none
    assert patients(train([item], [], **options)) == ["slide"]


def test_a_synthetic_set_beside_the_model_is_mixed_in_once(
    train: Train, labelled: list[dict[str, str]], phantom: Path, tmp_path: Path
) -> None:
    write_synthetic(phantom, tmp_path / "models" / "synthetic")
    held_out = {item["patient"] for item in read_dataset(phantom).splits["validation"]}
    items = [item for item in labelled if not held_out & set(names([item]))][:1]
    assert patients(train(items, [])) == sorted([*names(items), "the source"])


def test_a_training_on_a_data_set_leaves_it_alone(phantom: Path, cache: Path, tmp_path: Path) -> None:
    write_synthetic(phantom, tmp_path / "models" / "synthetic")
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "train.json"))
    parser.update({"bundle_root": str(tmp_path), "dataset_dir": str(phantom), "cache_dir": str(cache), **TINY})
    items = parser.get_parsed_content("train#dataset").data
    assert [item["patient"] for item in items] == [i["patient"] for i in read_dataset(phantom).splits["training"]]
    parser.update({"synthetic_dir": str(tmp_path / "models" / "synthetic")})
    parser.parse()
    assert [item["patient"] for item in parser.get_parsed_content("train#dataset").data].count("made") == 1


def test_a_set_of_other_channels_stops_the_training_before_it_starts(
    train: Train, labelled: list[dict[str, str]], phantom: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "synthetic"
    write_synthetic(phantom, folder)
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**content, "modality": {"0": "CT"}}))
    with pytest.raises(DatasetError, match=r"modality .* differ"):
        AddSyntheticSet(folder, read_dataset(phantom))(labelled[:1])
    with pytest.raises(RuntimeError):
        train(labelled[:1], [])
    assert not (tmp_path / "models" / "model.pt").exists()


def infer(image: Path, **overrides: Any) -> Any:
    """The label map that the inference config's transforms hand to Label, which leaves `SaveImaged` out."""
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / "inference.json"))
    untrained = {"model_file": "none.pt", "device": torch.device("cpu")}
    parser.update({**TINY, **untrained, **overrides})
    pre, post = (parser.get_parsed_content(f"{name}processing") for name in ("pre", "post"))
    data = pre({"image": str(image)})
    network = parser.get_parsed_content("network_def").eval()
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    for transform in post.transforms:
        if not isinstance(transform, SaveImaged):
            data = transform(data)
    return data["pred"]


def test_label_maps_of_pictures_have_no_channel(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), dtype=np.uint8)).save(tmp_path / "picture.png")
    assert infer(tmp_path / "picture.png", image_channels=3, label_count=1).shape == (30, 20)


def test_label_maps_of_plane_nifti_files_become_volumes_of_one_slice(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((20, 30), dtype=np.float32), np.eye(4)), tmp_path / "plane.nii.gz")
    assert infer(tmp_path / "plane.nii.gz", image_channels=1, label_count=1).shape == (1, 20, 30, 1)


def test_label_maps_of_volumes_keep_it(labelled: list[dict[str, str]]) -> None:
    label = infer(Path(labelled[0]["image"]), image_channels=4, label_count=3)
    assert label.shape == (1, *nib.load(labelled[0]["label"]).shape)
    assert label.dtype == torch.uint8
