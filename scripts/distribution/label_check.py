"""A round trip of this bundle through a real MONAI Label server, on loopback and on computed images of no person.

    .venv-label/bin/python -m scripts.distribution.label_check dist/lesion_gan_augmentation

The environment comes from `label_environment.sh`; `make label-check` does both. Each kind of image goes through
the same steps over REST: infer, submit a label, train one epoch, submit another, train with a synthetic set beside the
model, infer again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests
from PIL import Image
from requests_toolbelt import MultipartDecoder

from scripts.data.contract import Dataset, read_dataset, write_dataset
from scripts.data.phantom import write_phantom
from scripts.distribution.adaptation import adapt_bundle

MODEL = "lesion_gan_augmentation"
TINY = {"image_size_pixels": 64, "encoder_widths": "[8,8,16,16]", "decoder_widths": "[16,8,8,8,8]"}
SOURCE = "source-of-the-synthetic-set"
LIMIT_SECONDS = 600


class CheckError(RuntimeError):
    """What the server answers or writes is not what it should be."""


def check_bundle(bundle: Path) -> None:
    """Runs the round trips of all kinds of images.

    Raises:
        CheckError: the first thing that is wrong, and the end of the server's log.
    """
    with tempfile.TemporaryDirectory(prefix="label_check.") as folder:
        work = Path(folder)
        four = read_dataset(write_phantom(work / "four", patients=6, slices=4))
        check_kind("volumes of 4 channels", bundle, four, work / "server_four", refusal=True)
        one = read_dataset(write_phantom(work / "one", kind="metastases", patients=6, image_size=32, slices=4))
        for_one = train_for(one, bundle, work)
        check_kind("volumes of 1 channel", for_one, one, work / "server_one")
        planes = write_planes(one, work / "planes")
        check_kind("2D images of 1 channel in NIfTI", for_one, planes, work / "server_planes")
        pictures = write_pictures(four, work / "pictures")
        check_kind(
            "2D images of 3 channels in PNG", train_for(pictures, bundle, work), pictures, work / "server_pictures"
        )


def check_kind(kind: str, bundle: Path, data: Dataset, work: Path, *, refusal: bool = False) -> None:
    """One round trip.

    Args:
        kind: of images, to be printed.
        bundle: with a model of fitting channels and labels.
        data: images with true labels, which stand for those that a reader draws.
        work: a new folder for this server.
        refusal: whether to try a synthetic set that does not fit, too.
    """
    start = time.monotonic()
    app, studies = make_app(bundle, work / "app"), work / "studies"
    model = app / "model" / MODEL
    studies.mkdir()
    items = data.items[:3]
    for item in items:
        shutil.copy(item["image"], studies)
    with serve(app, studies) as server:
        names = {name.lower(): n for n, name in enumerate(data.labels) if n}
        expect(server.get("/info/")["models"][MODEL]["labels"], names, "labels that the server offers")
        for item in items:
            check_answer(server.infer(item["image"]), item, data)
        server.submit(items[0]["image"], items[0]["label"])
        if refusal:
            write_synthetic_set(replace(data, modality=["another"]), model / "models" / "synthetic")
            status, log = server.train()
            expect(status, "ERROR", "a training with a synthetic set that does not fit")
            expect("Synthesise again" in log, True, f"the refusal in the log\n{log}")
            shutil.rmtree(model / "models" / "synthetic")
        trained = train_and_check(server, model, [items[0]], "one label, no image to validate on")
        write_synthetic_set(data, model / "models" / "synthetic")
        server.submit(items[1]["image"], items[1]["label"])
        trained |= train_and_check(server, model, items[:2], "two labels and a synthetic set")
        expect(SOURCE in trained, True, f"the synthetic set's source among those trained on, {sorted(trained)}")
        for item in items:
            check_answer(server.infer(item["image"]), item, data)
    print(f"{kind}: passed in {time.monotonic() - start:.0f} s", flush=True)


def train_and_check(server: Server, model: Path, labelled: list[dict[str, Any]], what: str) -> set[str]:
    """One epoch; returns whom the weights know, among them the labelled images and all that they knew before."""
    file = model / "models" / "model.pt"
    before, known = file.read_bytes(), read_patients(file)
    status, log = server.train()
    expect(status, "DONE", f"training on {what}\n{log}")
    expect(file.read_bytes() != before, True, f"new weights after training on {what}")
    now = read_patients(file)
    wanted = known | {Path(item["image"]).name.split(".")[0] for item in labelled}
    expect(sorted(wanted - now), [], f"whom 'trained_on' leaves out after training on {what}")
    return now


def read_patients(file: Path) -> set[str]:
    return set(json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["trained_on"])


def check_answer(
    answer: tuple[dict[str, Any], np.ndarray, np.ndarray | None], item: dict[str, Any], data: Dataset
) -> None:
    """A label map is on its image's grid, holds known labels only, and comes with their names."""
    result, label, affine = answer
    truth = read_array(Path(item["label"]))
    if truth[1] is not None and truth[0].ndim == 2:  # NIfTI stores one slice
        label = label.reshape(label.shape[:2])
    expect(label.shape, truth[0].shape, f"shape of the label of {item['image']}")
    expect(label.dtype.kind in "iu", True, f"whole numbers in the label of {item['image']}, {label.dtype}")
    expect(set(np.unique(label)) <= set(range(len(data.labels))), True, f"labels among {np.unique(label)}")
    if truth[1] is not None:
        expect(affine is not None and np.allclose(affine, truth[1], atol=1e-4), True, f"affine {affine}, {truth[1]}")
    expect(result["label_names"], {name.lower(): n for n, name in enumerate(data.labels) if n}, "names of labels")


def expect(found: Any, wanted: Any, what: str) -> None:
    if found != wanted:
        raise CheckError(f"{what}: found {found!r}, expected {wanted!r}")


class Server:
    """A running server and what a viewer asks of it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy stands before loopback

    def get(self, path: str) -> Any:
        answer = self.session.get(self.address + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def infer(self, image: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray | None]:
        """What the server says of an image, the label map, and its affine where the format has one."""
        name, suffix = _split(image)
        answer = self.session.post(
            f"{self.address}/infer/{MODEL}", params={"image": name, "output": "all"}, timeout=LIMIT_SECONDS
        )
        expect(answer.status_code, 200, f"status of the inference of {image} ({answer.text[:300]})")
        parts = {_part_name(part.headers): part.content for part in MultipartDecoder.from_response(answer).parts}
        with tempfile.NamedTemporaryFile(suffix=suffix) as stream:
            stream.write(parts["image"])
            stream.flush()
            return json.loads(parts["params"]), *read_array(Path(stream.name))

    def submit(self, image: str, label: str) -> None:
        """Sends the finished label of an image, as a viewer does."""
        with open(label, "rb") as stream:
            answer = self.session.put(
                f"{self.address}/datastore/label",
                params={"image": _split(image)[0], "tag": "final"},
                files={"label": (Path(label).name, stream)},
                timeout=60,
            )
        expect(answer.status_code, 200, f"status of the label of {image} ({answer.text[:300]})")

    def train(self) -> tuple[str, str]:
        """Trains one epoch; how that ended, and the last lines of its log."""
        options = {"max_epochs": 1, "multi_gpu": True}
        answer = self.session.post(f"{self.address}/train/{MODEL}", json=options, timeout=60)
        expect(answer.status_code, 200, f"status of the training ({answer.text[:300]})")
        end = time.monotonic() + LIMIT_SECONDS
        while (task := self.get("/train/"))["status"] in ("SUBMITTED", "RUNNING"):
            expect(time.monotonic() < end, True, f"a training within {LIMIT_SECONDS} s")
            time.sleep(1)
        return task["status"], "\n".join(task["details"])


def _split(image: str) -> tuple[str, str]:
    """A server's name of an image, and the suffix of its file."""
    name, _, suffix = Path(image).name.partition(".")
    return name, f".{suffix}"


def _part_name(headers: Any) -> str:
    return headers[b"Content-Disposition"].decode().split('name="')[1].split('"')[0]


@contextmanager
def serve(app: Path, studies: Path) -> Iterator[Server]:
    """A server in a process group of its own, which ends with the block, whatever happens in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", app, "--studies", studies]
    command += ["--host", "127.0.0.1", "--port", port, "--conf", "models", MODEL, "--conf", "zoo_source", "ngc"]
    command += ["--conf", "sam2", "false"]
    log = app.parent / "server.log"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=app.parent,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        server = Server(f"http://127.0.0.1:{port}")
        _wait_until_up(server, process)
        yield server
    except (CheckError, requests.RequestException) as error:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise CheckError("\n".join([str(error), f"--- end of the server's log ({log})", *lines[-40:]])) from error
    finally:
        _end_group(process)


def _wait_until_up(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while True:
        expect(process.poll(), None, "exit code of the server while it starts")
        expect(time.monotonic() < end, True, f"a server that answers within {LIMIT_SECONDS} s")
        try:
            server.get("/info/")
            return
        except requests.RequestException:
            time.sleep(0.5)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def make_app(bundle: Path, folder: Path) -> Path:
    """A copy of MONAI Label's app for bundles, with a bundle dropped into it."""
    shutil.copytree(Path(sysconfig.get_path("data")) / "monailabel" / "sample-apps" / "monaibundle", folder)
    shutil.copytree(bundle, folder / "model" / MODEL, symlinks=False)
    return folder


def train_for(data: Dataset, bundle: Path, work: Path) -> Path:
    """A copy of the bundle with a tiny segmenter of other images, trained for one epoch."""
    adapted = work / f"bundle_{data.root.name}"
    shutil.copytree(bundle, adapted)
    options = {
        **TINY,
        "dataset_dir": data.root,
        "runs_dir": work / f"runs_{data.root.name}",
        "cache_dir": work / "cache",
    }
    options |= {"model_file": work / data.root.name / "model.pt", "max_epochs": 1, "batch_size": 4}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/train.json"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    done = subprocess.run(command, cwd=adapted, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    expect(done.returncode, 0, f"exit code of a training on {data.root.name}\n{done.stderr[-3000:]}")
    return adapt_bundle(adapted, model_file=work / data.root.name / "model.pt")


def write_planes(volumes: Dataset, folder: Path) -> Dataset:
    """The middle slices of volumes as NIfTI files of two dimensions."""
    return _write_slices(volumes, folder, _write_plane)


def write_pictures(volumes: Dataset, folder: Path) -> Dataset:
    """The middle slices of volumes as RGB pictures of 8 bits with one label, 10 columns narrower than high."""
    names = {"modality": ["red", "green", "blue"], "labels": ["background", "lesion"]}
    return _write_slices(volumes, folder, _write_picture, **names, intensity_range=[0.0, 255.0])


def _write_slices(volumes: Dataset, folder: Path, write: Callable[..., dict[str, str]], **changes: Any) -> Dataset:
    folder.mkdir()
    splits = {
        split: [{"patient": item["patient"], **write(item, folder)} for item in items]
        for split, items in volumes.splits.items()
    }
    write_dataset(folder, replace(volumes, root=folder, splits=splits, classes=[], **changes))
    return read_dataset(folder)


def _write_plane(item: dict[str, Any], folder: Path) -> dict[str, str]:
    written = {}
    for key in ("image", "label"):
        volume: Any = nib.load(item[key])
        array = np.asarray(volume.dataobj)
        written[key] = str(folder / f"{item['patient']}{'' if key == 'image' else '_label'}.nii.gz")
        nib.save(nib.Nifti1Image(array[:, :, array.shape[2] // 2], volume.affine), written[key])
    return written


def _write_picture(item: dict[str, Any], folder: Path) -> dict[str, str]:
    image, label = (read_array(Path(item[key]))[0] for key in ("image", "label"))
    middle = image.shape[2] // 2
    plane = image[5:-5, :, middle, :3].astype(float)
    scaled = (255 * (plane - plane.min()) / np.ptp(plane)).astype(np.uint8)
    written = {key: str(folder / f"{item['patient']}{end}.png") for key, end in (("image", ""), ("label", "_label"))}
    Image.fromarray(scaled.transpose(1, 0, 2)).save(written["image"])
    Image.fromarray((label[5:-5, :, middle].T > 0).astype(np.uint8)).save(written["label"])
    return written


def write_synthetic_set(data: Dataset, folder: Path) -> None:
    """Two images of noise with a square lesion, in the form of this bundle's synthetic sets."""
    generator = np.random.default_rng(0)
    items = []
    for n in range(2):
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        image = generator.uniform(-1, 1, (32, 32, 1, len(data.modality))).astype(np.float32)
        label = np.zeros((32, 32, 1), dtype=np.uint8)
        label[8:16, 8:16] = 1
        files = {key: folder / f"{key}s" / f"{n:06d}.nii.gz" for key in ("image", "label")}
        nib.save(nib.Nifti1Image(image, np.eye(4)), files["image"])
        nib.save(nib.Nifti1Image(label, np.eye(4)), files["label"])
        provenance = {"system": "label_check", "source_patient": SOURCE, "source_split": "training"}
        items.append(
            {key: str(file) for key, file in files.items()} | {"patient": f"made-{n}", "synthetic": provenance}
        )
    write_dataset(folder, replace(data, root=folder, label_values={}, splits={"training": items}, trained_on=[SOURCE]))


def read_array(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of an image and, of NIfTI, the affine."""
    if file.name.endswith(".png"):
        return np.asarray(Image.open(file)), None
    image: Any = nib.load(file)
    return np.asarray(image.dataobj), image.affine


def main(arguments: list[str]) -> int:
    bundle = Path(arguments[0] if arguments else "dist/lesion_gan_augmentation").absolute()
    if not (bundle / "models" / "model.pt").is_file():
        print(f"error: no bundle with models/model.pt in {bundle}. Write one with `make bundle`.", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
    try:
        check_bundle(bundle)
    except CheckError as error:
        print(f"MONAI Label: {error}", file=sys.stderr)
        return 1
    print("MONAI Label: round trip passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
