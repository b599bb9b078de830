from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.__main__ import main
from scripts.data.contract import Dataset, DatasetError, read_dataset, write_dataset
from scripts.pictures.single_slices import load_slice
from scripts.report.turing import Turing
from scripts.report.turing_images import _frame, _outline, check_channel
from scripts.report.turing_scores import read_answers, read_key

NAMES = ["background", "tumour"]
Pair = Callable[..., tuple[Path, Path]]


@pytest.fixture
def make_pair(tmp_path: Path) -> Pair:
    """A function that writes a real set (test patients only) and a synthetic one; counts by class.

    Real images are 32 x 32, two per patient; synthetic ones 16 x 16. The last image of each real class has no lesion.
    """

    def make(
        real: dict[str, int], made: dict[str, int], *, trained_on: tuple[str, ...] = ("x",), copies: bool = False
    ) -> tuple[Path, Path]:
        rng = np.random.default_rng(0)
        folders = tmp_path / "truth", tmp_path / "model"
        items: dict[str, list[dict[str, Any]]] = {"training": [], "test": []}
        train = _write_png(folders[0], "known", rng, True)
        items["training"].append({**train, "patient": "x", "class": next(iter(real)) or None})
        for name, count in real.items():
            for n in range(count + 1):
                files = _write_png(folders[0], f"secret{name[:1]}{n}", rng, n < count)
                items["test"].append({**files, "patient": f"patient{name[:1]}{n // 2}", "class": name or None})
        common = (["FLAIR"], NAMES, [name for name in real if name], {255: 1}, [0, 255])
        dataset = Dataset(folders[0], "study", *common, splits=items)
        write_dataset(folders[0], dataset)
        written = []
        for name, count in made.items():
            own = [item for item in items["test"] if item["class"] == (name or None)]
            for n in range(count):
                picture = (
                    load_slice(dataset, own[n]).fit(16).image.numpy() if copies else rng.uniform(-1, 1, (1, 16, 16))
                )
                files = _write_synthetic(folders[1], f"made{name[:1]}{n}", picture)
                written.append({**files, "class": name or None, "synthetic": {"source_patient": "x"}})
        synthetic = Dataset(folders[1], "made", *common[:3], splits={"training": written}, trained_on=list(trained_on))
        write_dataset(folders[1], synthetic)
        return folders

    return make


def _write_png(folder: Path, name: str, rng: np.random.Generator, lesion: bool) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    label = np.zeros((32, 32), np.uint8)
    label[8:20, 8:16] = 255 if lesion else 0
    Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(label).save(folder / f"{name}_mask.png")
    return {"image": str(folder / f"{name}.png"), "label": str(folder / f"{name}_mask.png")}


def _write_synthetic(folder: Path, name: str, picture: np.ndarray) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    label = np.zeros((16, 16, 1), np.uint8)
    label[4:8, 4:8] = 1
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    volume = nib.Nifti1Image(picture.astype(np.float32).transpose(1, 2, 0)[:, :, None], affine)
    nib.save(volume, folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), folder / f"{name}_label.nii.gz")
    return {"image": str(folder / f"{name}.nii.gz"), "label": str(folder / f"{name}_label.nii.gz")}


def make_page(folders: tuple[Path, Path], **options: Any) -> tuple[Path, dict[str, Any]]:
    page = folders[0].parent / "turing.html"
    Turing.make(str(folders[0]), str(folders[1]), output=str(page), **options)
    return page, read_key(page.with_name("turing_key.json"))


def read_content(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    assert found
    return json.loads(found[1])


def read_chunks(png: bytes) -> list[str]:
    names, place = [], 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        names.append(png[place + 4 : place + 8].decode())
        place += 12 + length
    return names


def test_as_many_real_as_synthetic_of_each_class(make_pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    page, key = make_page(make_pair({"A": 4, "B": 6, "C": 1}, {"A": 6, "B": 2}), per_class=3)
    counts = Counter((entry["class"], entry["truth"]) for entry in key["images"].values())
    assert counts == {("A", "real"): 3, ("A", "synthetic"): 3, ("B", "real"): 2, ("B", "synthetic"): 2}
    printed = capsys.readouterr().out
    assert "Class B: slices with lesion: 2 synthetic; it shows 2 of each." in printed
    assert "Class C: slices with lesion: 1 real and no synthetic; it is left out." in printed
    assert "Class A" not in printed
    shown = read_content(page)["images"]
    assert [entry["id"] for entry in shown] == list(key["images"]) == [f"i{n:03d}" for n in range(1, 11)]
    assert [entry["class"] for entry in shown] == [entry["class"] for entry in key["images"].values()]


def test_images_of_an_unconditional_generator_are_shown_without_class(make_pair: Pair) -> None:
    folders = make_pair({"A": 4, "B": 6}, {"A": 3, "B": 3})
    file = folders[1] / "dataset.json"
    content = json.loads(file.read_text())
    for item in content["training"]:
        item["class"] = None
    file.write_text(json.dumps(content))
    _, key = make_page(folders, per_class=5)
    counts = Counter((entry["class"], entry["truth"]) for entry in key["images"].values())
    assert counts == {("", "real"): 5, ("", "synthetic"): 5}


def test_each_patient_comes_once_before_any_comes_twice(make_pair: Pair) -> None:
    _, key = make_page(make_pair({"": 9}, {"": 9}), per_class=5)
    real = [entry["patient"] for entry in key["images"].values() if entry["truth"] == "real"]
    assert sorted(real) == [f"patient{n}" for n in range(5)]  # of 9 images, two per patient
    assert all(entry["class"] == "" for entry in key["images"].values())


def test_slices_without_lesion_are_not_shown(make_pair: Pair) -> None:
    folders = make_pair({"": 3}, {"": 9})
    shown = [entry["file"] for entry in make_page(folders)[1]["images"].values() if entry["truth"] == "real"]
    assert sorted(shown) == ["secret0.png", "secret1.png", "secret2.png"]
    assert (folders[0] / "secret3.png").exists()


def test_page_does_not_hold_the_truth(make_pair: Pair) -> None:
    page, key = make_page(make_pair({"A": 4, "B": 4}, {"A": 4, "B": 4}))
    html = page.read_text(encoding="utf-8")
    for word in ("secret", "patient", ".nii", "truth", "model", str(page.parent)):
        assert word not in html
    content = read_content(page)
    assert set(content) == {"page", "images"}
    assert all(set(entry) == {"id", "class", "png"} for entry in content["images"])
    pictures = [base64.b64decode(entry["png"]) for entry in content["images"]]
    assert len({len(picture) for picture in pictures}) == 1
    assert {tuple(read_chunks(picture)) for picture in pictures} == {("IHDR", "IDAT", "IEND")}
    assert len({picture[:33] for picture in pictures}) == 1  # size, depth, colour
    truths = [entry["truth"] for entry in key["images"].values()]
    assert truths not in (sorted(truths), sorted(truths, reverse=True))


def test_real_and_synthetic_images_go_the_same_way(make_pair: Pair) -> None:
    page, key = make_page(make_pair({"": 6}, {"": 6}, copies=True), image_size_pixels=64)
    pictures = [base64.b64decode(entry["png"]) for entry in read_content(page)["images"]]
    assert Image.open(io.BytesIO(pictures[0])).size == (16, 16)
    by_truth: dict[str, set[bytes]] = {"real": set(), "synthetic": set()}
    for picture, entry in zip(pictures, key["images"].values(), strict=True):
        by_truth[entry["truth"]].add(picture)
    assert len(by_truth["real"]) == 6
    assert by_truth["real"] == by_truth["synthetic"]


def test_same_input_same_page_and_the_seed_alone_does_not_tell_the_order(make_pair: Pair) -> None:
    folders = make_pair({"": 8}, {"": 8})
    first, key = make_page(folders)
    before = first.read_bytes()
    assert make_page(folders)[0].read_bytes() == before
    other = make_pair({"": 8}, {"": 8}, copies=True)  # other synthetic pixels, same names and numbers
    changed = make_page(other)[1]
    assert [e["truth"] for e in changed["images"].values()] != [e["truth"] for e in key["images"].values()]
    assert changed["page"] != key["page"]


def test_page_needs_nothing_else(make_pair: Pair) -> None:
    html = make_page(make_pair({"A</script>": 2}, {"A</script>": 2}))[0].read_text(encoding="utf-8")
    assert not re.search(r"""(src|href|url|@import)\s*[=(:]?\s*["']?\s*(https?:)?//""", html)
    assert not re.search(r"<(link|iframe|object)\b", html)
    assert "default-src 'none'" in html
    assert html.count("</script>") == 2


def test_boxes_are_framed_and_masks_outlined() -> None:
    picture = np.zeros((6, 6, 3), np.uint8)
    _frame(picture, np.array([[2.0, 1.0, 4.0, 9.0]]))
    drawn = picture.any(axis=2).astype(int)
    assert drawn.tolist() == [[0, 1, 1, 1, 1, 0]] + [[0, 1, 0, 0, 1, 0]] * 4 + [[0, 1, 1, 1, 1, 0]]
    picture = np.zeros((5, 5, 3), np.uint8)
    _outline(picture, np.pad(np.ones((3, 3)), 1))
    assert picture.any(axis=2).sum() == 8


def test_overlays_make_all_pictures_coloured(make_pair: Pair) -> None:
    page, _ = make_page(make_pair({"": 2}, {"": 2}), show_boxes=True, show_masks=True)
    pictures = [Image.open(io.BytesIO(base64.b64decode(e["png"]))) for e in read_content(page)["images"]]
    assert {picture.mode for picture in pictures} == {"RGB"}
    assert all((np.ptp(np.asarray(picture, dtype=int), axis=2) > 0).sum() >= 16 for picture in pictures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "training"}, "split is 'training', expected test or validation"),
        ({"per_class": 0}, "per_class is 0"),
        ({"image_size_pixels": 4}, "image_size_pixels is 4"),
        ({"seed": -1}, "seed is -1"),
        ({"channel": 1}, "channel is 1, expected one of 0 FLAIR"),
        ({"split": "validation"}, "validation split"),
    ],
)
def test_wrong_options_are_explained(make_pair: Pair, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make_page(make_pair({"": 2}, {"": 2}), **options)


def test_colour_is_shown_whole_else_the_first_channel() -> None:
    grey, colour = (Dataset(Path(), "d", names, NAMES) for names in (["T1", "T2", "FLAIR"], ["red", "green", "blue"]))
    assert (check_channel(grey, None), check_channel(grey, 2), check_channel(colour, None)) == (0, 2, None)
    with pytest.raises(DatasetError, match="channel is 0, expected no --channel, since the images are in colour"):
        check_channel(colour, 0)


def test_sets_that_do_not_belong_together_or_leak(make_pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    for known, message in ((("patient0",), "trained on patient 'patient0' of the test split"), ((), "does not say")):
        folders = make_pair({"": 2}, {"": 2}, trained_on=known)
        assert main(["turing", "make", *map(str, folders)]) == 1
        assert message in capsys.readouterr().err
    real, _ = make_pair({"": 2}, {"": 2})
    with pytest.raises(DatasetError, match="no 'synthetic' provenance"):
        make_page((real, real))
    other = json.loads((real / "dataset.json").read_text())
    (real / "dataset.json").write_text(json.dumps({**other, "modality": {"0": "T1"}}))
    with pytest.raises(DatasetError, match=r"has the channels \['FLAIR'\]"):
        make_page((real, real.parent / "model"))


def test_no_pair_at_all(make_pair: Pair) -> None:
    with pytest.raises(
        DatasetError,
        match=r"No real and synthetic slices to compare\. Class A: slices with lesion: 1 real and no synthetic",
    ):
        make_page(make_pair({"A": 1, "B": 0}, {"B": 2}))
    assert read_dataset(make_pair({"A": 1}, {"A": 1})[1]).trained_on == ["x"]


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[Path, str], str]:
    """A function that opens a page in Chromium, runs a script at its end, and returns what became of it, as HTML.

    Calls share the browser's profile, and with it what pages keep.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    options = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync --disable-dev-shm-usage --virtual-time-budget=2000"
    command = [chromium, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]

    def run(page: Path, script: str = "") -> str:
        opened = page.with_name("opened.html")
        html = page.read_text(encoding="utf-8")
        opened.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
        done = subprocess.run([*command, str(opened)], capture_output=True, text=True, timeout=120, check=True)
        return re.sub(r'<script type="application/json".*?</script>', "", done.stdout, flags=re.S)

    return run


PRESS = "function press(keys) { for (const key of keys) document.dispatchEvent(new KeyboardEvent('keydown', {key})); }"


def saved(dom: str) -> list[dict[str, str]]:
    """The rows of the CSV behind the page's link."""
    link = re.search(r'href="data:text/csv;charset=utf-8,([^"]*)"', dom)
    assert link
    return list(csv.DictReader(io.StringIO(unquote(unescape(link[1])))))


def text(dom: str, name: str) -> str:
    found = re.search(rf'id="{name}"[^>]*>(.*?)<', dom)
    assert found
    return found[1]


@pytest.mark.slow
def test_keys_answer_and_answers_outlive_a_reload(make_pair: Pair, browse: Callable[..., str], tmp_path: Path) -> None:
    page, key = make_page(make_pair({"A": 2, "B": 2}, {"A": 2, "B": 2}))
    enter = "element('name').value = ' Kim, \"A\" '; document.querySelector('form button').click();"
    # the keys R S S; then back twice, which changes the second answer to real, and once forward
    first = browse(
        page, PRESS + "press('r');" + enter + "press('rss'); press(['ArrowLeft', 'ArrowLeft', 'R', 'ArrowRight']);"
    )
    assert [row["answer"] for row in saved(first)] == ["real", "real", "synthetic"]
    assert text(first, "place") == "Image 4 of 8"

    again = browse(page)
    assert [row["answer"] for row in saved(again)] == ["real", "real", "synthetic"]
    assert "3 of 8 answered" in again
    assert "Image 4 of 8" in again
    assert re.search(r'<section id="start"[^>]*hidden', again)

    last = browse(page, PRESS + "press('rs'); element('real').click(); element('next').click(); press('sr');")
    assert text(last, "status").startswith("All 8 answered")
    rows = saved(last)
    assert [row["image"] for row in rows] == list(key["images"])
    assert [row["class"] for row in rows] == [entry["class"] for entry in key["images"].values()]
    (tmp_path / "answers.csv").write_text("page,reader,image,class,answer,seconds\n" + _lines(rows), encoding="utf-8")
    (given,) = read_answers([tmp_path / "answers.csv"], key).items()
    assert given[0] == 'Kim, "A"'
    assert [answer for answer, _ in given[1].values()] == ["real" if key == "r" else "synthetic" for key in "rrsrsrrs"]


def _lines(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows(row.values() for row in rows)
    return stream.getvalue()


@pytest.mark.slow
def test_readers_have_their_own_answers(make_pair: Pair, browse: Callable[..., str]) -> None:
    page, _ = make_page(make_pair({"": 2}, {"": 2}))
    begin = "element('name').value = '{}'; element('form').requestSubmit();"
    first = browse(page, PRESS + begin.format("Anna") + "press('rr'); element('leave').click();")
    assert re.search(r'<section id="reading"[^>]*hidden', first)
    second = browse(page, PRESS + begin.format("Ben") + "press('s');")
    assert [(row["reader"], row["answer"]) for row in saved(second)] == [("Ben", "synthetic")]
    back = browse(page, "element('leave').click();" + begin.format("Anna"))
    assert [(row["reader"], row["answer"]) for row in saved(back)] == [("Anna", "real"), ("Anna", "real")]
