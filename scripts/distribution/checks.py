"""What the Model Zoo's continuous integration asks of a bundle in full mode, offline.

`Project-MONAI/model-zoo` says it in CONTRIBUTING.md and does it in ci/verify_bundle.py. Exports to TensorRT, which the
zoo tries for the bundles that it lists, need an NVIDIA GPU and are not run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from scripts.distribution.adaptation import read_bundle_config

FILES = (
    *("LICENSE", "docs/README.md", "docs/data_license.txt"),
    *("configs/metadata.json", "configs/inference.json", "models/model.pt"),
)
LARGEST_FILE_MB = 25  # of the zoo's repository; larger ones are named in large_files.yml
SCHEMA = "eval/schema.json"
KEYS = {
    "inference": "bundle_root device dataset_dir network_def inferer output_dir dataset evaluator",
    "train": (
        "bundle_root device dataset_dir output_dir network_def val_interval train#trainer train#trainer#max_epochs "
        "train#dataset train#dataset#data train#inferer train#handlers validate#evaluator validate#handlers "
        "validate#dataset validate#dataset#data validate#inferer"
    ),
}
_NETWORK = "--net_id network_def --meta_file configs/metadata.json --config_file configs/inference.json"
_WEIGHTS = "--ckpt_file models/model.pt"
DOWNLOAD = "python -m monai.bundle download_large_files --bundle_path ."
# What the zoo runs, from the bundle's folder: Python then finds the bundle's `scripts` there.
COMMANDS = {
    "metadata": f"python -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath {SCHEMA}",
    "network": f"python -m monai.bundle verify_net_in_out {_NETWORK}",
    "TorchScript": f"python -m monai.bundle ckpt_export {_NETWORK} {_WEIGHTS} --filepath models/model.ts",
    "ONNX": f"python -m monai.bundle onnx_export {_NETWORK} {_WEIGHTS} --filepath models/model.onnx",
}


class BundleError(ValueError):
    """A bundle that the Model Zoo would refuse."""


def check_bundle(bundle_dir: str = "dist/lesion_gan_augmentation", *, schema: str | None = None) -> None:
    """Runs every check on a copy of a bundle and prints a line for each.

    Args:
        bundle_dir: the unpacked bundle.
        schema: the file that the metadata's `schema` names; by default the environment's MONAI_META_SCHEMA.

    Raises:
        BundleError: no bundle or schema, or a check that failed; the others ran nevertheless.
    """
    bundle = Path(bundle_dir)
    metadata = bundle / "configs" / "metadata.json"
    if not metadata.is_file():
        raise BundleError(f"No configs/metadata.json in {bundle}, expected a bundle. Make one with `make bundle`.")
    file = Path(schema or os.environ.get("MONAI_META_SCHEMA", ""))
    if not file.is_file():
        raise BundleError(
            f"No file {str(schema or '')!r}, expected the metadata's schema. Download "
            f"{read_bundle_config(bundle, 'metadata')['schema']} and name it with --schema, or in MONAI_META_SCHEMA."
        )
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / bundle.resolve().name
        shutil.copytree(bundle, copy)
        (copy / SCHEMA).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy / SCHEMA)
        faults = list(_run_all(copy))
    if faults:
        raise BundleError(f"{bundle} failed {len(faults)} checks: {'; '.join(faults)}. Mend these and make it again.")


def _run_all(bundle: Path) -> Iterator[str]:
    checks: dict[str, Callable[[], str]] = {"size": partial(find_large_files, bundle)}
    if (bundle / "large_files.yml").is_file():
        checks["download"] = partial(run, DOWNLOAD, bundle)
    checks |= {"files": partial(find_missing_files, bundle), "version": partial(find_version_faults, bundle)}
    checks |= {f"keys of {name}.json": partial(find_missing_keys, bundle, name) for name in KEYS}
    checks |= {name: partial(run, command, bundle) for name, command in COMMANDS.items()}
    for name, check in checks.items():
        fault = check()
        print(f"{'FAILED' if fault else 'ok':<6} {name}{': ' if fault else ''}{fault}", flush=True)
        if fault:
            yield f"{name}: {fault}"


def run(command: str, bundle: Path) -> str:
    """Runs a command in the bundle's folder; the last line of what it said where it failed."""
    words = [sys.executable, "-W", "ignore", *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=bundle, capture_output=True, text=True)
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "" if done.returncode == 0 else said[-1] if said else f"exit code {done.returncode}"


def find_large_files(bundle: Path) -> str:
    """Names of files above the zoo's limit."""
    large = [file for file in bundle.rglob("*") if file.is_file() and file.stat().st_size > LARGEST_FILE_MB * 2**20]
    if not large:
        return ""
    names = ", ".join(str(file.relative_to(bundle)) for file in sorted(large))
    return f"{names} above {LARGEST_FILE_MB} MB: publish them and name them with --weights_url"


def find_missing_files(bundle: Path) -> str:
    """Names of files that must be there, and of weights that nothing describes."""
    missing = [name for name in FILES if not (bundle / name).is_file()]
    others = [file for file in bundle.rglob("*.pt") if file.name != "model.pt"]
    extra = [file for file in others if not file.with_suffix(".json").is_file()]
    shown = ", ".join(str(file.relative_to(bundle)) for file in extra)
    faults = [f"missing {', '.join(missing)}"] * bool(missing) + [f"weights without a .json: {shown}"] * bool(extra)
    return "; ".join(faults)


def find_version_faults(bundle: Path) -> str:
    """Whether the changelog lacks the version."""
    metadata = read_bundle_config(bundle, "metadata")
    version, known = metadata.get("version"), list(metadata.get("changelog", {}))
    return "" if version in known else f"version {version!r} is not in the changelog {known}"


def find_missing_keys(bundle: Path, name: str) -> str:
    """Keys that a config lacks of those that the zoo and its applications look for."""
    config, missing = read_bundle_config(bundle, name), []
    for key in KEYS[name].split():
        node: Any = config
        for part in key.split("#"):
            node = node.get(part, ...) if isinstance(node, dict) else ...
        if node is ...:
            missing.append(key)
    return f"missing {', '.join(missing)}" if missing else ""
