from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.phantom import write_phantom
from scripts.data.plan import classes_of_few, count_synthetic, make_plan, plan, plan_table, read_plan
from scripts.nearest_name import OptionError

COUNTS = {"A": 10, "B": 4, "C": 1}


class Slices:
    """Slices of known classes, five to a patient."""

    def __init__(self, classes: list[int]) -> None:
        self.class_indices = np.array(classes)

    def summary(self, n: int) -> dict:
        return {"source": f"image{n // 5}#{n % 5}", "patient": f"p{n // 5}", "class_index": int(self.class_indices[n])}


SLICES = Slices([0] * 10 + [1] * 4 + [2])


@pytest.mark.parametrize(
    ("strategy", "options", "expected"),
    [
        ("own_class", {}, {"A": 10, "B": 4, "C": 1}),
        ("single", {"target_class": "C"}, {"A": 0, "B": 0, "C": 14}),
        ("balanced", {}, {"A": 5, "B": 11, "C": 14}),  # every class reaches 15
        ("balanced_authors", {}, {"A": 0, "B": 6, "C": 9}),  # every class reaches 10
        # E(n) at beta 0.5 is 2 - 2^(1-n): E(10) = 1.99805, E(4) = 1.875, E(1) = 1; 4 * 1.0656 = 4.26, 1 * 1.998 = 2
        ("effective_number", {"beta": 0.5}, {"A": 0, "B": 0, "C": 1}),
        # E(n) at beta 0.9 is 10 (1 - 0.9^n): 6.5132, 3.4390, 1; 4 * 1.8939 = 7.58, 1 * 6.51 = 6.51
        ("effective_number", {"beta": 0.9}, {"A": 0, "B": 4, "C": 6}),
    ],
)
def test_counts_by_hand(strategy, options, expected):
    assert count_synthetic(COUNTS, strategy, **options) == expected


def test_the_limits_of_the_effective_number():
    assert count_synthetic(COUNTS, "effective_number", beta=0.0) == {"A": 0, "B": 0, "C": 0}
    near_one = count_synthetic({"A": 9000, "B": 40, "C": 1}, "effective_number", beta=1 - 1e-9)
    assert near_one == count_synthetic({"A": 9000, "B": 40, "C": 1}, "balanced_authors")


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("doubled", {}, "strategy is 'doubled', expected one of own_class, single"),
        ("single", {"target_class": "Z"}, r"target_class is 'Z', expected one of \['A', 'B', 'C'\]"),
        ("single", {}, "target_class is None"),
        ("effective_number", {"beta": 1.0}, r"beta is 1\.0, expected a number in \[0, 1\)"),
    ],
)
def test_wrong_options(strategy, options, message):
    with pytest.raises(DatasetError, match=message):
        count_synthetic(COUNTS, strategy, **options)


@pytest.mark.parametrize("strategy", ["balanced", "balanced_authors", "effective_number"])
def test_a_class_without_sample_is_refused(strategy):
    with pytest.raises(DatasetError, match="Class 'C' has no training image here, so nothing can learn its look"):
        count_synthetic({"A": 10, "C": 0}, strategy)


def test_a_class_without_sample_does_not_matter_where_it_is_not_asked_for():
    assert count_synthetic({"A": 2, "B": 3, "C": 0}, "single", target_class="A") == {"A": 3, "B": 0, "C": 0}
    assert count_synthetic({"A": 2, "C": 0}, "own_class") == {"A": 2, "C": 0}


def test_masks_come_from_other_classes_each_at_most_once():
    images = make_plan(SLICES, ["A", "B", "C"], "balanced", seed=1)
    class_of = {SLICES.summary(n)["source"]: "ABC"[SLICES.class_indices[n]] for n in range(15)}
    for name, count in (("A", 5), ("B", 11), ("C", 14)):
        sources = [image["source"] for image in images if image["class"] == name]
        assert len(sources) == len(set(sources)) == count
        assert name not in {class_of[source] for source in sources}
    assert all(image["source_patient"] == f"p{image['source'][5]}" for image in images)


def test_own_class_takes_each_mask_in_its_own_class():
    images = make_plan(SLICES, ["A", "B", "C"], "own_class")
    assert [(i["class"], i["source"]) for i in images] == [
        ("ABC"[SLICES.class_indices[n]], SLICES.summary(n)["source"]) for n in range(15)
    ]


def test_the_seed_chooses_the_masks_and_a_limit_takes_the_first_of_them():
    def sources(**options) -> set[str]:
        return {i["source"] for i in make_plan(SLICES, ["A", "B", "C"], "balanced_authors", **options)[:6]}

    assert sources(seed=1) == sources(seed=1)
    assert len({frozenset(sources(seed=seed)) for seed in range(8)}) > 1
    limited = make_plan(SLICES, ["A", "B", "C"], "balanced", seed=1, limit_per_class=3)
    whole = {(i["class"], i["source"]) for i in make_plan(SLICES, ["A", "B", "C"], "balanced", seed=1)}
    assert [i["class"] for i in limited] == ["A"] * 3 + ["B"] * 3 + ["C"] * 3
    assert {(i["class"], i["source"]) for i in limited} < whole


def test_no_classes_and_a_limit_below_one_are_refused():
    with pytest.raises(DatasetError, match="has no classes to plan 'balanced' for"):
        make_plan(Slices([-1, -1]), [], "balanced")
    with pytest.raises(DatasetError, match="limit_per_class is 0, expected 1 or more"):
        make_plan(SLICES, ["A", "B", "C"], "balanced", limit_per_class=0)
    with pytest.raises(DatasetError, match="minimum_patients is 0, expected 1 or more"):
        make_plan(SLICES, ["A", "B", "C"], "balanced", minimum_patients=0)


def test_a_class_of_few_patients_is_not_filled_up_but_gives_masks() -> None:
    def counts(strategy: str, **options: Any) -> Counter:
        images = make_plan(SLICES, ["A", "B", "C"], strategy, minimum_patients=2, **options)
        assert "image2#4" in {image["source"] for image in images}  # of C
        return Counter(image["class"] for image in images)

    assert classes_of_few(SLICES, ["A", "B", "C"], "balanced", 2) == {"B": 1, "C": 1}  # A has two patients
    assert classes_of_few(SLICES, ["A", "B", "C"], "balanced", 3) == {}  # none has three
    assert counts("balanced") == {"A": 5}
    assert counts("own_class") == {"A": 10, "B": 4, "C": 1}
    assert counts("single", target_class="B")["B"] == 11


def test_every_mask_of_a_data_set_without_classes_is_drawn_as_often_as_asked():
    images = make_plan(Slices([-1] * 7), [], "own_class", draws_per_mask=2)
    assert [(i["class"], i["source"], i["draw"]) for i in images[:3]] == [
        (None, "image0#0", 0),
        (None, "image0#0", 1),
        (None, "image0#1", 0),
    ]
    assert len(images) == 14
    assert plan_table(Slices([-1] * 7), [], images).splitlines()[1].split() == ["no", "class", "2", "7", "14", "21"]
    with pytest.raises(DatasetError, match="draws_per_mask is 0, expected 1 or more"):
        make_plan(SLICES, ["A", "B", "C"], "balanced", draws_per_mask=0)


def test_images_without_class_are_planned_beside_those_with_one():
    images = make_plan(Slices([0, 0, -1]), ["A"], "own_class")
    assert sorted((i["class"] or "", i["source"]) for i in images) == [
        ("", "image0#2"),
        ("A", "image0#0"),
        ("A", "image0#1"),
    ]


def test_the_table():
    images = make_plan(SLICES, ["A", "B", "C"], "balanced_authors")
    rows = [line.split() for line in plan_table(SLICES, ["A", "B", "C"], images).splitlines()]
    assert rows[0] == ["class", "patients", "real", "synthetic", "together"]
    assert rows[1:] == [["A", "2", "10", "0", "10"], ["B", "1", "4", "6", "10"], ["C", "1", "1", "9", "10"]]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    """Six patients, class A: p0 (test), p2, p4 (validation); B: p1, p5; C: p3."""
    return write_phantom(tmp_path_factory.mktemp("plan") / "phantom", patients=6, image_size=32, slices=4)


def test_the_command_plans_with_the_training_slices_and_says_so(phantom, tmp_path, caplog):
    data = json.loads((phantom / "dataset.json").read_text())
    data["classes"] = ["A", "B", "C"]  # no training patient is of centre D
    for split in ("training", "validation", "test"):
        for entry in data[split]:
            entry.update({key: str(phantom / entry[key]) for key in ("image", "label")})
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    options = {"cache_dir": str(tmp_path / "cache"), "image_size_pixels": 32, "seed": 5}
    plan(str(tmp_path), output=str(tmp_path / "plan.json"), strategy="single", target_class="C", **options)
    content = json.loads((tmp_path / "plan.json").read_text())
    assert {key: content[key] for key in ("strategy", "target_class", "seed", "fold")} == {
        "strategy": "single",
        "target_class": "C",
        "seed": 5,
        "fold": None,
    }
    assert {image["source_patient"] for image in content["images"]} == {"phantom_0001", "phantom_0002", "phantom_0005"}
    assert f"plan.json: {len(content['images'])} synthetic images." in caplog.text
    assert not any("anatomy" in image for image in content["images"])
    assert read_plan(tmp_path / "plan.json", tmp_path, None) == content["images"]
    with pytest.raises(OptionError, match=r"no option --image_size here .*; did you mean --image_size_pixels"):
        plan(str(tmp_path), output=str(tmp_path / "plan.json"), image_size=32)


def test_the_command_draws_a_share_of_new_masks_and_leaves_a_class_of_few_out(phantom, tmp_path, caplog):
    data = json.loads((phantom / "dataset.json").read_text())
    data["classes"] = ["B", "C"]
    data["training"] = [entry for entry in data["training"] if entry["class"] in "BC"]
    for split in ("training", "validation", "test"):
        for entry in data[split]:
            entry.update({key: str(phantom / entry[key]) for key in ("image", "label")})
            entry["class"] = entry["class"] if entry["class"] in "BC" else "B"
    (tmp_path / "dataset.json").write_text(json.dumps(data))
    options = {"cache_dir": str(tmp_path / "cache"), "image_size_pixels": 32, "seed": 5}
    contents = []
    for _ in range(2):
        plan(str(tmp_path), output=str(tmp_path / "plan.json"), new_masks=0.5, **options)
        contents.append(json.loads((tmp_path / "plan.json").read_text()))
    content, said = contents[0], "\n".join(caplog.messages)
    assert contents[1] == content
    assert content["classes_of_few"] == {"C": 1}
    assert "C: no image of its own, since 1 training patients are under --minimum_patients." in said
    assert {image["class"] for image in content["images"]} == {"B"}
    new = [image for image in content["images"] if "anatomy" in image]
    assert len(new) == len(content["images"]) // 2 > 0
    assert all(image["anatomy_patient"] != image["source_patient"] for image in new)
    assert read_plan(tmp_path / "plan.json", tmp_path, None) == content["images"]


def test_the_command_names_the_class_without_sample(phantom, tmp_path):
    options = {"cache_dir": str(tmp_path / "cache"), "image_size_pixels": 32}
    with pytest.raises(DatasetError, match="Class 'D' has no training image here"):
        plan(str(phantom), output=str(tmp_path / "plan.json"), **options)
    assert not (tmp_path / "plan.json").exists()


def write_plan(folder: Path, patient: str = "phantom_0001", name: str = "A", **changes) -> Path:
    content = {"fold": None, "images": [{"class": name, "source": "image#0", "source_patient": patient}]}
    (folder / "plan.json").write_text(json.dumps({**content, **changes}))
    return folder / "plan.json"


@pytest.mark.parametrize(("patient", "split"), [("phantom_0000", "test"), ("phantom_0004", "validation")])
def test_masks_of_held_out_patients_are_refused(phantom, tmp_path, patient, split):
    with pytest.raises(DatasetError, match=rf"image#0: made from patient '{patient}' of the {split} split"):
        read_plan(write_plan(tmp_path, patient), phantom, None)


def test_an_anatomy_of_a_held_out_patient_is_refused(phantom, tmp_path):
    numbers = {"turn_degrees": 0, "scale": 1, "shift_x": 0, "shift_y": 0, "mirrored": False, "elastic_seed": 0}
    new = {"class": "A", "source": "image#0", "source_patient": "phantom_0001", "anatomy": "other#0"}
    new |= {"anatomy_patient": "phantom_0000", "transplant": numbers}
    with pytest.raises(DatasetError, match="made from patient 'phantom_0000' of the test split"):
        read_plan(write_plan(tmp_path, images=[new]), phantom, None)
    del new["anatomy_patient"]
    with pytest.raises(DatasetError, match=r"is no plan .*anatomy_patient"):
        read_plan(write_plan(tmp_path, images=[new]), phantom, None)


def test_a_plan_for_another_fold_class_or_nothing_is_refused(phantom, tmp_path):
    with pytest.raises(DatasetError, match="is for fold None, not 2"):
        read_plan(write_plan(tmp_path), phantom, 2)
    with pytest.raises(DatasetError, match=r"asks for \['Z'\], expected \['A', 'B', 'C', 'D'\]"):
        read_plan(write_plan(tmp_path, name="Z"), phantom, None)
    with pytest.raises(DatasetError, match="asks for no image"):
        read_plan(write_plan(tmp_path, images=[]), phantom, None)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"images": [{"class": "A"}]}', '{"images": 3}'])
def test_a_malformed_plan_is_named(phantom, tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(
        DatasetError,
        match=r"plan\.json( is no plan: .*Write one with `python -m scripts plan|, line 1|: expected an object)",
    ):
        read_plan(tmp_path / "plan.json", phantom, None)


def test_a_missing_plan_is_named(phantom, tmp_path):
    with pytest.raises(DatasetError, match=r"No .*absent\.json\. Write one with"):
        read_plan(tmp_path / "absent.json", phantom, None)
