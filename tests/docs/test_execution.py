"""The documentation's commands, run page by page as a newcomer would paste them, on a tiny phantom with tiny networks.

Left out are blocks with a study (run by tests/integration at small sizes), `make` and `pip`, the
pages of results, which record what was run on real data, and pages whose commands have tests of their own: the bundle
through MONAI's functions (tests/configs/test_workflows.py), the Model Zoo's checks (tests/distribution), exports
(tests/exports), MONAI Label (`make label-check`), the Turing test (tests/report).
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.data.phantom import write_phantom

ROOT = Path(__file__).resolve().parents[2]
PATIENTS = 10  # then every class of the phantom is in its training split, and either grade in every split
ELSEWHERE = (
    "git clone ",
    "source .venv/",
    "make ",
    "pip ",
    "python -m monai.bundle download_large_files",  # of a bundle without weights
    "python -m scripts export_network",
)
# What a page's commands are too large for, and what stands in its place.
SMALLER: dict[str, dict[str, str]] = {
    "README.md": {"background,tumour": "background,core,oedema,rim"},  # of the phantom
    "docs/README.md": {},
    "docs/own_data.md": {},
    "docs/questions.md": {},
    "docs/class_imbalance.md": {},
    "docs/many_gpus.md": {},
    "docs/systems/redgan.md": {},
    "docs/systems/lcgan.md": {"0010 0050 0100 0200": "0001 0002"},
    "docs/systems/pggan_ensemble.md": {},
    "docs/systems/cpggan.md": {},
    "docs/systems/feature_acgan.md": {"--synthetic_count 1200": "--synthetic_count 6"},
}
QUICK = ("README.md", "docs/README.md", "docs/own_data.md")  # in `make test`; the others in `make docs-check`


def documented_blocks(page: str) -> list[str]:
    """The shell blocks of a page that are run here, without prompts and what is run elsewhere."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = []
    for block in re.findall(r"```(?:bash|console)\n(.*?)```", text, re.DOTALL):
        if "python -m scripts study" in block:
            continue
        joined = block.replace("\\\n", " ")
        if "\n$ " in f"\n{joined}":  # a console: what is typed, not what is answered
            joined = "\n".join(line[2:] for line in joined.splitlines() if line.startswith("$ "))
        kept = [line for line in joined.splitlines() if not line.strip().startswith(ELSEWHERE)]
        if any(line.strip() and not line.strip().startswith("#") for line in kept):
            blocks.append("\n".join(kept))
    return blocks


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", patients=PATIENTS, image_size=32, slices=3)


@pytest.fixture
def newcomer(phantom: Path, tmp_path: Path) -> Path:
    """A bundle folder as cloned, beside whose configs lie the data sets that the pages name."""
    for name in ("configs", "scripts", "docs", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("D", "D1", "my_folder"):
        (tmp_path / name).symlink_to(phantom)
    write_graded(tmp_path / "D2", phantom)
    for name in ("images.csv", "my_images.csv"):
        write_table(tmp_path / name, phantom)
    sizes = json.loads((ROOT / "configs" / "smoke.json").read_text())
    sizes = {name: value for name, value in sizes.items() if "runs_dir" not in f"{name} {value}"}
    del sizes["device"]  # under torchrun that of multi_gpu_train.json joins the ranks
    sizes["keep_all"] = True  # a discriminator of two epochs may accept no feature
    (tmp_path / "sizes.json").write_text(json.dumps(sizes))
    for kind in ("python", "torchrun"):
        stand_in = tmp_path / "bin" / kind
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/docs/smoke_python.py" {kind} "$@"\n')
        stand_in.chmod(0o755)
    return tmp_path


def write_graded(folder: Path, phantom: Path) -> None:
    """The phantom, whose classes are its grades."""
    description = json.loads((phantom / "dataset.json").read_text())
    for split in ("training", "validation", "test"):
        for item in description[split]:
            item["class"] = item["grade"]
    folder.mkdir()
    for part in ("images", "labels"):
        (folder / part).symlink_to(phantom / part)
    (folder / "dataset.json").write_text(json.dumps({**description, "classes": ["low", "high"]}))


def write_table(file: Path, phantom: Path) -> None:
    items = json.loads((phantom / "dataset.json").read_text())["training"]
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "label", "class", "patient"])
        for item in items:
            writer.writerow([phantom / item["image"], phantom / item["label"], item["class"], item["patient"]])


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.documentation) for page in SMALLER]
)
def test_commands_of_a_page_run_in_their_order(page: str, newcomer: Path) -> None:
    script = "\n".join(documented_blocks(page))
    for large, small in SMALLER[page].items():
        assert large in script, f"{page} no longer says {large}"
        script = script.replace(large, small)
    path = f"{newcomer / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=newcomer,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-5000:]}"


@pytest.mark.slow
def test_the_page_of_python_runs_from_another_folder(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    assert len(list((tmp_path / "runs" / "python" / "images").iterdir())) == 16


@pytest.mark.slow
@pytest.mark.documentation
@pytest.mark.parametrize("name", ["own_data", "sampling"])
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, tmp_path: Path) -> None:
    cells = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    program = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "models").symlink_to(ROOT / "models")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
