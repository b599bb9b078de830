from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.report import figures
from scripts.report.comparisons import Estimate
from scripts.report.results import Arm, read_results
from scripts.scores.results_files import ResultsError


def test_drawings_are_xml_that_takes_its_colours_from_the_page(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results())
    curve, _ = figures.draw_loss_curve(results.curves[0], width=390, name="c")
    for svg in (
        figures.draw_class_histogram(results, width=350, name="h"),
        figures.draw_dice_by_class(results, width=820, name="d"),
        curve,
    ):
        ElementTree.fromstring(svg or "")
        assert not re.findall(r"#[0-9a-f]{6}\b", svg or "")
        assert "var(--ink)" in str(svg) or "var(--muted)" in str(svg)
        assert 'role="img" aria-label="' in str(svg)


def test_ids_of_two_drawings_differ_and_references_resolve(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results(extras=False))
    ids = []
    for name in ("a", "b"):
        svg = figures.draw_dice_by_class(results, width=350, name=name)
        found = re.findall(r'\bid="([^"]+)"', svg)
        assert set(re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)) <= set(found)
        ids.append(set(found))
    assert not ids[0] & ids[1]


def test_same_folder_same_drawing(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results(extras=False))
    first, second = (figures.draw_dice_by_class(results, width=350, name="a") for _ in range(2))
    assert first == second


def test_histogram_states_real_and_added_counts(make_results: Callable[..., Path]) -> None:
    svg = figures.draw_class_histogram(read_results(make_results(classes={"A": 9, "B": 2})), width=820, name="h")
    assert "129<" in str(svg)  # 14 x 9 + 3, nothing added
    assert "31 + 98" in str(svg)  # 14 x 2 + 3, topped up to 129


def test_names_are_drawn_as_they_are(make_results: Callable[..., Path]) -> None:
    svg = figures.draw_dice_by_class(read_results(make_results(classes={"$a$<b>": 2, "c": 2})), width=820, name="d")
    assert "$a$&lt;b&gt;" in svg


def test_class_without_a_count_is_refused(make_results: Callable[..., Path]) -> None:
    path = make_results(extras=False) / "experiment.json"
    path.write_text(path.read_text().replace('"patients": 11, "slices": 157', '"patients": 11'))
    with pytest.raises(ResultsError, match="class 'CS' has no 'slices'"):
        read_results(path.parent)


def test_plans_that_agree_are_drawn_once(make_results: Callable[..., Path]) -> None:
    assert [arm.name for arm, _ in figures.synthetic_plans(read_results(make_results()))] == ["gan"]


def test_long_curve_with_empty_cells_is_averaged(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    rows = [f"{step},{'' if step % 2 else step}" for step in range(10_000)]
    path.write_text("\n".join(["iteration,loss", *rows]))
    svg, legend = figures.draw_loss_curve(path, width=390, name="c")
    assert legend == [("loss", "warm1")]
    points = max(len(re.findall("[ML] ", d)) for d in re.findall(r'<path d="([^"]*)"', svg))
    assert 2 <= points <= 240


def test_interval_cell_by_hand() -> None:
    svg = figures.draw_interval(Estimate(0.1, 0.0, 0.3, 8), (-0.1, 0.4), "warm1")
    assert 'cx="57.0"' in svg  # 5 + 130 x (.1 + .1) / .5
    assert 'x1="31.0" x2="109.0"' in svg
    alone = figures.draw_interval(Estimate(0.1, float("nan"), float("nan"), 1), (-0.1, 0.4), "warm1")
    assert "stroke-width" not in alone


@pytest.mark.parametrize("kind", ["cool", "warm"])
def test_colours_tell_arms_of_a_kind_apart(make_results: Callable[..., Path], kind: str) -> None:
    results = read_results(make_results(extras=False))
    roles = [figures.arm_style(results.arms, arm)[0] for arm in results.arms]
    assert len([role for role in roles if role.startswith(kind)]) == len({r for r in roles if r.startswith(kind)}) > 1


@pytest.mark.parametrize(("kind", "count"), [("gan", 9), ("alternative", 6)])
def test_many_arms_of_a_kind_look_different(kind: str, count: int) -> None:
    arms = [Arm(f"arm{n}", "Arm", kind, {}) for n in range(count)]
    assert len({figures.arm_style(arms, arm)[::2] for arm in arms}) == count


def test_images_of_no_class_are_no_plan(make_results: Callable[..., Path]) -> None:
    path = make_results(extras=False) / "experiment.json"
    experiment = json.loads(path.read_text())
    experiment["arms"] = [arm | {"synthetic": {"": 1200} if arm["kind"] == "gan" else {}} for arm in experiment["arms"]]
    path.write_text(json.dumps(experiment))
    assert figures.synthetic_plans(read_results(path.parent)) == []


def learning_curves(panels: int, width: int, *, low: float = float("nan")) -> str:
    arms = [Arm("real", "Real", "baseline", {}), Arm("gan", "GAN", "gan", {})]
    points = [(0.1, Estimate(0.5, 0.4, 0.6, 8)), (1.0, Estimate(0.75, low, 0.8, 8))]
    curves = {"real": points, "gan": points[:1]}
    titles = ("Dice", "Precision", "Recall")[:panels]
    ticks = {0.1: "10%\n4", 1.0: "100%\n40"}
    return str(figures.draw_learning_curves(dict.fromkeys(titles, curves), arms, ticks, width=width, name="l"))


@pytest.mark.parametrize("width", [820, 350])
@pytest.mark.parametrize("panels", [1, 3])
def test_learning_curves_are_xml_in_the_pages_colours(panels: int, width: int) -> None:
    svg = learning_curves(panels, width)
    ElementTree.fromstring(svg)
    assert not re.findall(r"#[0-9a-f]{6}\b", svg)
    assert svg.count('id="l-axes_') == panels
    assert svg.count(">10%<") == panels
    assert "Dice: Real 0.500, 0.750; GAN 0.500." in svg  # the description for screen readers


def test_unknown_interval_is_not_drawn() -> None:
    unknown, known = (learning_curves(1, 350, low=low) for low in (float("nan"), 0.7))
    assert [svg.count("stroke-opacity: 0.7") for svg in (unknown, known)] == [2, 3]
