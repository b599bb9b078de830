"""Options and files that cannot be so: each is refused in one line, before any work, and no text of a file is run."""

from __future__ import annotations

import copy
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from torch import nn

from scripts.command_options import check_arguments
from scripts.config_files import check_value, own_configs
from scripts.data.cache import CacheIndex, VolumeCache
from scripts.data.contract import read_dataset
from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet
from scripts.data.json_models import read_object
from scripts.data.phantom import write_phantom
from scripts.data.plan import plan, read_plan
from scripts.distribution.adaptation import adapt_bundle
from scripts.experiments.study import open_study, read_study
from scripts.handlers.curves import read_rows
from scripts.handlers.training_state import TrainingState
from scripts.inferers.members import choose_files
from scripts.nearest_name import OptionError
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights
from scripts.networks.knowledge import Knowledge, write_weights
from scripts.networks.resnet_unet import ResNetUNet
from scripts.networks.weights import open_weights
from scripts.option_kinds import KINDS, is_expression
from scripts.path_options import ENDINGS, keep_paths_as_typed
from scripts.transforms.loading import LoadItemd
from scripts.transforms.reading import read_image
from scripts.untrusted import CODE, PATH_KEYS
from scripts.user_errors import find_user_error, tell_error

CONFIGS = Path(__file__).parents[1] / "configs"
NAN, INF = float("nan"), float("inf")
FLAGS = (0, 1, "yes", "false", 0.5, [True], None)
SIZES = (0, -1, 1.5, "ten", True, NAN, INF, [2], {}, 2**31)
COUNTS = (-1, 0.5, "a", False, NAN, [0], -(10**30))
SHARES = (-0.1, 1.1, "a", True, NAN, INF, [0.5], 10**400)
RATES = (0, -1, 2, 1e30, "fast", NAN, INF, True, [0.1])
WEIGHTS = (-5, "x", NAN, INF, True, [1], 1e300)
LISTS = ("wide", 5, [], [0, 8], [8, -1], [1.5], ["a"], [True], {}, None)
WRONG: dict[str, dict[str, tuple[Any, ...]]] = {  # config -> option -> values that it cannot take
    "train": {
        "augment": FLAGS,
        "use_real": FLAGS,
        "max_epochs": SIZES,
        "batch_size": SIZES,
        "samples_per_epoch": SIZES,
        "image_size_pixels": SIZES,
        "validation_interval_epochs": SIZES,
        "seed": (*COUNTS, 2**32),
        "fold": COUNTS,
        "minimum_lesion_pixels": COUNTS,
        "worker_count": (*COUNTS, 1000),
        "copy_paste_probability": SHARES,
        "learning_rate": RATES,
        "jaccard_smooth": WEIGHTS,
        "encoder_widths": LISTS,
        "learning_rate_drop_epochs": tuple(each for each in LISTS if each != []),  # which drops it never
        "synthetic_ratio": (0, -1, "most", NAN, True, None),
        "left_out_part": (2, -1, 0.5, "a", True),
    },
    "redgan_train": {
        "generator_width": SIZES,
        "embedding_dim": SIZES,
        "checkpoint_interval_epochs": SIZES,
        "feature_matching_weight": WEIGHTS,
        "ema_half_life_images": WEIGHTS,
        "adaptive_augmentation": (1, -0.1, "x", NAN),
        "outline_threshold": (-2, 2, "x", NAN),
        "flip_probability": (2, "x", [0.5], [0.5, 2], [0.5] * 3, [NAN, 0], None),
        "only_class": (1.5, True, ["A"], "", "a\0b"),
        "output_shift": ("x", NAN, INF, None),
    },
    "cpggan_train": {"mismatch_weight": (1, -1, "x"), "batch_size_at_4_8_16_pixels": LISTS},
    "cpggan_detector_train": {
        "anchors": ("x", 5, [], [1, 2], [[1, 2, 3]], [[0, 1]]),
        "width_multiplier": (0, -1, "x"),
        "norm_momentum": (0, 5, "x"),
        "objectness_prior": (0, 1, "x"),
        "aspect_jitter": (1, -1, "x"),
    },
    "inference": {"intensity_range": ("x", [1], [1, 0], [0, INF], [False, True], 5, [0, 10**400])},
    "feature_acgan_train": {"dropout": (1, -1, "x", True), "latent_dim": SIZES, "class_weight": WEIGHTS},
    "feature_acgan_inference": {"feature_count": (0, -1, 1.5, "x", {"A": -1}, {"A": "x"})},
}
TRIED = [
    (config, name, value) for config, options in WRONG.items() for name, values in options.items() for value in values
]


@pytest.mark.parametrize(("config", "name", "value"), TRIED, ids=lambda value: str(value)[:30])
def test_a_value_that_an_option_cannot_take(config: str, name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"--{name} is .*expected ") as caught:
        check_value(name, value, own_configs()[f"{config}.json"][name])
    assert "\n" not in str(caught.value)


def test_every_plain_option_of_every_config_has_a_kind_that_its_default_fits() -> None:
    parts = {"imports", "initialize", "run", "finalize", "handlers", "feature_extractor"}
    for file, content in own_configs().items():
        for name, value in content.items():
            plain = not isinstance(value, dict) and not is_expression(value)
            if plain and name not in parts and not name.endswith((*ENDINGS, "_files")):
                assert name in KINDS, f"{file}: add {name} to option_kinds.KINDS"
                check_value(name, value, value)


@pytest.mark.parametrize(
    "arguments",
    ["--seed -1", "--draws_per_mask 1.5", "--draws_per_mask 0", "--beta x", "--beta 1", "--fold -1", "--new_masks 2"],
)
def test_options_of_commands_have_the_same_kinds(arguments: str) -> None:
    with pytest.raises(OptionError, match="expected a"):
        check_arguments(plan, "plan", ["data", "--output", "plan.json", *arguments.split()])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One valid file of each kind that is read."""
    folder = tmp_path_factory.mktemp("files")
    data = write_phantom(folder / "data", patients=6, image_size=32, slices=2)
    dataset = read_dataset(data)
    item = dataset.splits["training"][0]
    image = {"class": item["class"], "source": "a#0", "source_patient": item["patient"], "draw": 0}
    numbers = {"turn_degrees": 0, "scale": 1, "shift_x": 0, "shift_y": 0, "mirrored": False, "elastic_seed": 0}
    new = {**image, "anatomy": "b#0", "anatomy_patient": item["patient"], "transplant": numbers}
    (folder / "plan.json").write_text(json.dumps({"fold": None, "images": [image, new]}))
    images = {"modality": dataset.modality, "labels": dataset.labels, "classes": dataset.classes}
    images |= {"label_values": {"255": 1}, "intensity_range": [0, 1], "slice_axis": "axial"}
    network = ResNetUNet(
        dataset.channel_count, dataset.foreground_count, encoder_widths=[8] * 4, decoder_widths=[8] * 5
    )
    write_weights(folder / "model.pt", network, Knowledge(["p1"], ["p2"], images, {"image_size_pixels": 32}))
    description = FeatureDescription("image", (1, 2, 2), "a" * 64, "model.pt", ["p"], "d", ["A"], 32, ["T1"])
    with FeatureWriter(folder / "features", description, 1) as writer:
        row = {"source": "a#0", "patient": "p", "class": "A", "split": "training"}
        writer.append(np.ones((1, 1, 2, 2)), [row])
        writer.finish()
    (folder / "choice.json").write_text(json.dumps({"sha256": ["a" * 64]}))
    study = json.loads((CONFIGS.parent / "scripts/experiments/demo.json").read_text())
    del study["phantom"]
    (folder / "study.json").write_text(json.dumps({**study, "dataset_dir": str(data)}))
    return {
        "dataset": data / "dataset.json",
        "plan": folder / "plan.json",
        "model": folder / "model.json",
        "features": folder / "features/manifest.json",
        "choice": folder / "choice.json",
        "study": folder / "study.json",
    }


def read(kind: str, file: Path, files: dict[str, Path]) -> Any:
    """Reads a file as the program does."""
    readers: dict[str, Callable[[], Any]] = {
        "dataset": lambda: read_dataset(file.parent),
        "plan": lambda: read_plan(file, files["dataset"].parent, None),
        "model": lambda: open_weights(
            file.with_suffix(".pt"), network="scripts.networks.resnet_unet.ResNetUNet", purpose="prediction"
        ),
        "features": lambda: FeatureSet(file.parent),
        "choice": lambda: choose_files([], file),
        "study": lambda: open_study(read_study([file])),
    }
    return readers[kind]()


def walk(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in JSON."""
    if place:
        yield place
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield from walk(node[key], (*place, key))


def put(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of JSON with another value at a place."""
    changed = copy.deepcopy(content)
    node = changed
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return changed


@pytest.fixture
def write(files: dict[str, Path], tmp_path: Path) -> Callable[[str, Any], Path]:
    """A function that writes a content of a kind, with the files that belong to it beside it."""
    links = {"model": "model.pt", "features": "features.npy"}

    def write(kind: str, content: Any) -> Path:
        file = tmp_path / files[kind].name
        if kind in links and not (tmp_path / links[kind]).exists():
            (tmp_path / links[kind]).symlink_to(files[kind].parent / links[kind])
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


@pytest.mark.parametrize("kind", ["dataset", "plan", "model", "features", "choice", "study"])
def test_no_text_of_a_file_is_code(kind: str, files: dict[str, Path], write: Any, tmp_path: Path) -> None:
    if kind != "choice":  # whose members are not there
        read(kind, files[kind], files)
    content = json.loads(files[kind].read_text())
    ran = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{ran}').touch()"
    values = [(*place, None) for place in walk(content) if isinstance(_at(content, place), str)]
    assert values
    for *place, _ in values:
        for sign in CODE:
            file = write(kind, put(content, tuple(place), sign + code))
            if place[-1] in PATH_KEYS:  # put behind a folder, or compared with what is there
                opened = read(kind, file, files)
                assert kind != "dataset" or not any(str(item["image"]).startswith(CODE) for item in opened.items)
                continue
            with pytest.raises(ValueError, match=r"reads as code|expected") as caught:
                read(kind, file, files)
            assert "\n" not in str(caught.value)
    keyed = {**content, "x": {"_target_": "os.system", "command": f"touch {ran}"}}
    with pytest.raises(ValueError, match="_target_"):
        read(kind, write(kind, keyed), files)
    assert not ran.exists()


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        content = content[key]
    return content


def test_code_in_a_networks_arguments_never_comes_into_a_bundle(
    files: dict[str, Path], write: Any, tmp_path: Path
) -> None:
    for name in ("train", "metadata"):
        (tmp_path / "configs").mkdir(exist_ok=True)
        (tmp_path / "configs" / f"{name}.json").write_text((CONFIGS / f"{name}.json").read_text())
    before = (tmp_path / "configs/train.json").read_text()
    content = json.loads(files["model"].read_text())
    code = f"$__import__('os').system('touch {tmp_path}/ran') or [8, 8, 8, 8]"
    for place, value in ((("network", "arguments", "encoder_widths"), code), (("settings", "image_size_pixels"), code)):
        file = write("model", put(content, place, value))
        with pytest.raises(ValueError, match="reads as code"):
            adapt_bundle(tmp_path, model_file=file.with_suffix(".pt"))
    assert (tmp_path / "configs/train.json").read_text() == before
    assert not (tmp_path / "ran").exists()


FIRST = ("training", 0)
FAULTS: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [  # kind of file, place in it, values that cannot be there
    ("dataset", ("modality",), (5, "x", None, [], {"²": "a"}, {"0": ["a"]}, {"0": {}})),
    ("dataset", ("labels",), (5, "x", {"0": "a", "1": "a"}, {"0": "a", "2": "b"}, {"0": None}, ["a", ""])),
    ("dataset", ("label_values",), ({"1": 0.9}, {"1": True}, {"1": "1"}, {"1": INF}, [1], {"a": 1}, {"1": -1})),
    ("dataset", ("intensity_range",), ([0, INF], [NAN, 1], [False, True], [1], [1, 1], "x", {}, [0, 10**400])),
    ("dataset", ("classes",), (5, "A", [1], ["A", "A"], {"A": 1})),
    ("dataset", ("training",), (5, "x", {"a": 1}, [5], [None], [[]])),
    ("dataset", (*FIRST, "image"), (5, {}, [5], [""], "a\0b", "\ud800", None)),
    ("dataset", (*FIRST, "label"), (5, {"a": 1}, "a\0b", ["a", "b"])),
    ("dataset", (*FIRST, "fold"), (-1, True, [1], "a", 1.5, 10**9, "²", {})),
    ("dataset", (*FIRST, "synthetic"), ("x", 5, [1], {"source_patient": [1]}, {"source_patient": {}})),
    ("dataset", (*FIRST, "patient"), ([1], {"a": 1}, "a\0b", "\udfff")),
    ("dataset", (*FIRST, "class"), (5, ["A"], "no class", {})),
    ("dataset", ("slice_axis",), (0, "x", ["axial"])),
    ("dataset", ("ignore_geometry",), (1, "true", None)),
    ("dataset", ("memorisation",), ("x", 5, [1])),
    ("dataset", ("trained_on",), ("x", 5, {"a": 1}, [["a"]], [None], [1.5])),
    ("dataset", ("patients_guessed",), (5, [], {"source": 5}, {"source": "a", "examples": "b"}, {"x": 1})),
    ("plan", ("images",), (5, "x", {}, [5], [None], [[]], [{}], None)),
    ("plan", ("images", 0, "class"), (5, ["A"], {}, True)),
    ("plan", ("images", 0, "source"), (5, None, ["a"], {})),
    ("plan", ("images", 0, "source_patient"), (5, None, ["a"], {})),
    ("plan", ("images", 0, "draw"), ("x", -1, 1.5, True, None, [0])),
    ("plan", ("images", 1, "transplant"), (5, None, {}, {"scale": 1}, [1])),
    ("plan", ("images", 1, "transplant", "scale"), ("x", NAN, None, True, [1])),
    ("plan", ("images", 1, "anatomy_patient"), (5, None, [])),
    ("plan", ("fold",), ("x", 1.5, [0], True)),
    ("model", ("images",), (5, "x", [])),
    ("model", ("images", "labels"), (5, "x", [5], {}, None)),
    ("model", ("images", "modality"), (5, "x", [["a"]], {})),
    ("model", ("images", "label_values"), ([1], "x", {"1": "x"}, {"1": 0.5})),
    ("model", ("images", "intensity_range"), ("x", [1], [0, NAN], ["a", "b"], 5)),
    ("model", ("images", "slice_axis"), ("x", 5, [])),
    ("model", ("settings",), (5, "x", [], None)),
    ("model", ("settings", "image_size_pixels"), ("big", 0, -1, 1.5, True, [32], {})),
    ("model", ("network",), (5, "x", [], {}, None)),
    ("model", ("network", "name"), (5, "os.system", "torch.load", ["a"], None)),
    ("model", ("network", "arguments"), (5, "x", [], None)),
    ("model", ("network", "arguments", "encoder_widths"), ("wide", 5, [0, 8, 8, 8], [NAN], {"a": 1})),
    ("model", ("trained_on",), ("p1", 5, [1], {}, None)),
    ("model", ("memorised_sets",), ("x", [1], {})),
    ("features", ("mean",), (["a"], "x", 5, [NAN], [1, 2], [], None)),
    ("features", ("std",), ([0.0], [-1], [NAN], [INF], ["a"], [])),
    ("features", ("items",), (5, "x", [5], [[]], [{}], None)),
    ("features", ("items", 0, "class"), (5, ["A"], {})),
    ("features", ("items", 0, "split"), ("x", ["training"], None, 5)),
    ("features", ("items", 0, "synthetic"), ("x", 5, [1])),
    ("features", ("feature_shape",), (["a", "b", "c"], [1, 2], [0, 2, 2], "x", 5, [1, 2, 2.5])),
    ("features", ("recipe",), (5, None, [])),
    ("features", ("trained_on",), ("x", [1], None)),
    ("features", ("dtype",), ("float64", 5, "object")),
    ("choice", ("sha256",), ([1, 2], "x", 5, None, {}, [["a"]])),
    ("study", ("seeds",), ("x", 5, [], ["a"], [1.5])),
    ("study", ("image_size_pixels",), ("x", [64], True)),
    ("study", ("segmenters", "unet", "max_epochs"), (0, -1, "ten", 1.5, True)),
    ("study", ("segmenters", "unet", "learning_rate"), (0, 2, "fast", NAN)),
    ("study", ("systems", "redgan", "generator", "generator_width"), (0, "x", [8])),
]
CHANGES = [(kind, place, value) for kind, place, values in FAULTS for value in values]


@pytest.mark.parametrize(("kind", "place", "value"), CHANGES, ids=lambda value: str(value)[:40])
def test_a_file_that_misstates_something(
    kind: str, place: tuple[Any, ...], value: Any, files: dict[str, Path], write: Any
) -> None:
    file = write(kind, put(json.loads(files[kind].read_text()), place, value))
    with pytest.raises(ValueError, match=r"\w") as caught:
        read(kind, file, files)
    cause = find_user_error(caught.value)
    assert cause is not None
    assert "\n" not in str(cause)
    assert str(place[-1]) in str(cause) or str(value) in str(cause)


@pytest.mark.parametrize("kind", ["dataset", "plan", "model", "features", "choice", "study"])
@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a": 1, "a": 2}', '{"a": ' + "9" * 5000 + "}", "[]", "3", "null", '{"a": "\\ud800"}'],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_no_such_object(kind: str, text: str, files: dict[str, Path], write: Any) -> None:
    file = write(kind, text)
    with pytest.raises(ValueError, match=str(file)) as caught:
        read(kind, file, files)
    assert "\n" not in str(caught.value)
    file.write_bytes(b"\x80\x81{")
    with pytest.raises(ValueError, match=str(file)):
        read(kind, file, files)


def test_an_image_may_stand_once_in_a_data_set(files: dict[str, Path], write: Any) -> None:
    content = json.loads(files["dataset"].read_text())
    content["validation"] = [*content.get("validation", []), content["training"][0]]
    with pytest.raises(ValueError, match="is listed twice"):
        read("dataset", write("dataset", content), files)


@pytest.fixture(params=["FIFO", "socket", "device", "folder"])
def irregular(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("it")
    if request.param == "FIFO":
        os.mkfifo(path)
    elif request.param == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    elif request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize(
    "use",
    [
        lambda path: read_object(path, "Name a file."),
        load_checkpoint,
        lambda path: CacheIndex(Path()).hash_file(str(path)),
    ],
)
def test_what_is_no_file_is_refused_and_not_waited_for(use: Callable[[Path], Any], irregular: Path) -> None:
    with pytest.raises(ValueError, match=r"it is a (FIFO|socket|device|folder), expected a"):
        use(irregular)


def test_an_image_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match="is a FIFO, expected a file"):
        read_image(str(tmp_path / "a.nii.gz"))


@pytest.mark.parametrize(
    "array", [np.array([[{"a": 1}]], dtype=object), np.ones((4, 4), complex), np.array([["a"]]), np.ones(())]
)
def test_an_array_that_holds_no_pixels_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy"):
        read_image(str(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    "value", [torch.ones(2, 3, dtype=torch.complex64), torch.ones(3, 3), 5, "x", None, [1.0], {"a": 1}]
)
def test_weights_of_another_form_are_refused(value: Any) -> None:
    network = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="'weight' is"):
        load_weights(network, {**network.state_dict(), "weight": value}, "model.pt")


def test_memory_and_files_of_the_system_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [MemoryError(), RuntimeError("CUDA out of memory. Tried to"), IsADirectoryError(21, "Is a directory", "x")]
    for error in errors:
        assert tell_error(error) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error"] * 3
    assert tell_error(KeyboardInterrupt("2 of 3 jobs are done.")) == 130
    assert capsys.readouterr().err == "stopped. 2 of 3 jobs are done.\n"
    tell_error(KeyboardInterrupt(), stopped="Go on.")
    assert capsys.readouterr().err == "stopped. Go on.\n"


def test_a_fault_of_the_program_says_where_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_error(ZeroDivisionError("division by zero")) == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in said
    assert said.splitlines()[-1].startswith("This is a fault of the program")


def test_numbers_are_finite() -> None:
    assert all(not KINDS["learning_rate"].fits(value) for value in (math.nan, math.inf, -math.inf))


def test_a_damaged_entry_of_the_cache_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read_dataset(write_phantom(tmp_path / "data", patients=3, image_size=32, slices=2))
    item, cache = data.items[0], tmp_path / "cache"
    whole = VolumeCache(cache, LoadItemd.of(data, ["image", "label"])).entry(item)
    before = {file.name: file.read_bytes() for file in whole.iterdir()}
    for name, content in (("image.npy", before["image.npy"][:-9]), ("label.npy", b""), ("unpadded.npy", None)):
        (whole / name).unlink()
        if content is not None:
            (whole / name).write_bytes(content)
        assert VolumeCache(cache, LoadItemd.of(data, ["image", "label"])).entry(item) == whole
        assert {file.name: file.read_bytes() for file in whole.iterdir()} == before
        assert f"{whole}: " in caplog.records[-1].message
    caplog.clear()
    VolumeCache(cache, LoadItemd.of(data, ["image", "label"])).entry(item)
    assert caplog.messages == []


class Part:
    """A part of a training with a state of some form."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"count": 0, "seen": {"a": [1]}, "best": None}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


DAMAGED = [
    ((), 5), ((), {}), ((), torch.ones(2)), ((), {"weight": torch.ones(2)}),
    (("progress",), {}), (("progress",), 5), (("progress", "epoch"), "x"), (("progress", "epoch"), 2.5),
    (("progress", "epoch"), 10**9), (("progress", "epoch"), -1), (("progress", "epoch_length"), None),
    (("options",), 5), (("knowledge",), [1]), (("kept",), 5),
    (("part",), 5), (("part",), {}), (("part", "count"), "x"), (("part", "seen"), 5), (("part", "seen"), {}),
    (("part", "seen", "a"), "x"), (("optimizer",), 5), (("optimizer",), {}), (("optimizer", "param_groups"), []),
    (("optimizer", "param_groups"), 5), (("network",), 5), (("network", "weight"), torch.ones(9)),
    (("network", "weight"), torch.full((2, 3), float("nan"))), (("network", "weight"), "x"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value"), DAMAGED, ids=lambda value: str(value)[:30])
def test_a_damaged_checkpoint_is_one_line(place: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    def start() -> None:
        network = nn.Linear(3, 2)
        parts = {"network": network, "optimizer": torch.optim.Adam(network.parameters()), "part": Part()}
        engine = Engine(lambda engine, batch: None)
        TrainingState(tmp_path / "checkpoint.pt", parts, [], Knowledge(["p"])).attach(engine)
        engine.run([0], max_epochs=2)

    start()
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    torch.save(put(content, place, value) if place else value, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt") as caught:
        start()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("output_dir", Path.touch),
        ("cache_dir", os.mkfifo),
        ("model_file", Path.mkdir),
        ("model_file", os.mkfifo),
        ("generator_files", os.mkfifo),
    ],
)
def test_a_place_of_another_kind_is_refused(name: str, make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "it")
    value = [str(tmp_path / "it")] if name.endswith("s") else str(tmp_path / "it")
    parser = ConfigParser({name: value})
    parser.parse()
    with pytest.raises(OptionError, match=f"--{name} is .*expected a"):
        keep_paths_as_typed(parser, [])
    (tmp_path / "file").touch()
    for path in (str(tmp_path / "file" / "x"), "a\0b", "\ud800", ""):
        parser = ConfigParser({name: [path] if name.endswith("s") else path})
        parser.parse()
        with pytest.raises(OptionError, match=f"--{name} is "):
            keep_paths_as_typed(parser, [])


def test_a_table_of_curves_that_is_another_is_named(tmp_path: Path) -> None:
    for text in ("a,b\n1,2\n", "epoch\nx\n", "epoch\n-1\n"):
        (tmp_path / "curves.csv").write_text(text)
        with pytest.raises(ValueError, match=r"curves\.csv is no table"):
            read_rows(tmp_path / "curves.csv")


@pytest.mark.parametrize("command", ["", "prepare decathlon DATA --output OUT"])
def test_a_pipe_that_nobody_reads_ends_quietly(command: str, files: dict[str, Path], tmp_path: Path) -> None:
    words = command.replace("DATA", str(files["dataset"].parent)).replace("OUT", str(tmp_path)).split()
    reading, writing = os.pipe()
    os.close(reading)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "scripts", *words], cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr
