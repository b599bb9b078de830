"""The jobs of a study."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import scripts.experiments.systems
from scripts.experiments.arms import Source
from scripts.experiments.jobs import Job, closure
from scripts.experiments.planning import StudyPlan, plan_study
from scripts.experiments.study import find_systems, open_study
from scripts.nearest_name import OptionError

Content = dict[str, Any]


def plan(content: Content, **changed: Any) -> StudyPlan:
    return plan_study(open_study({**content, **changed}))


def options(job: Job) -> dict[str, str]:
    words = job.command
    return dict(zip([w.removeprefix("--") for w in words[:-1]], words[1:], strict=True))


def find(found: StudyPlan, run: str) -> list[Job]:
    return [job for job in found.jobs if job.run == run]


def test_every_arm_is_trained_and_scored_in_every_fold_and_seed(content: Content) -> None:
    found = plan(content, folds=[0, 1])
    assert len(found.evaluations) == 2 * 2 * (3 + 2)
    assert len({each.folder for each in found.evaluations}) == len(found.evaluations)


def test_what_all_arms_and_seeds_need_is_made_once(content: Content) -> None:
    found = plan(content)
    assert len(find(found, "cpggan_train")) == 1
    assert len(find(plan(content, generators_per_seed=True), "cpggan_train")) == 2


def test_everything_that_is_read_is_written_by_a_job(content: Content) -> None:
    found = plan(content, fractions=[0.5, 1.0])
    written = {file for job in found.jobs for file in job.writes}
    assert {file for job in found.jobs for file in job.reads} <= written


def test_a_fraction_trains_on_a_view_of_the_data(content: Content) -> None:
    found = plan(content, fractions=[0.5, 1.0])
    (view,) = find(found, "subset")
    assert options(view)["patient_fraction"] == "0.5"
    (half, whole) = sorted(find(found, "cpggan_train"), key=lambda job: len(job.reads), reverse=True)
    assert half.reads == view.writes
    assert (options(half)["dataset_dir"], "fold" in options(half)) == (str(view.folder), False)
    assert options(whole)["fold"] == "2"


def test_a_job_waits_for_all_that_its_arm_is_made_of(content: Content) -> None:
    found = plan(content)
    (trained,) = [e.trained for e in found.evaluations if e.arm.name == "real+redgan" and e.cell.seed == 1]
    runs = [job.run for job in closure(trained, found.jobs)]
    assert sorted(runs) == ["plan", "redgan_inference", "redgan_train", "train", "train"]


def test_what_filters_and_scores_leaves_out_the_patients_it_judges(content: Content) -> None:
    """LcGAN always, Red-GAN on request: the set that an arm draws from was scored by two segmenters of a half each."""
    fcn = {"max_epochs": 1, "samples_per_epoch": 7}
    systems = {
        "redgan": {"generator": {"max_epochs": 1}, "filter": {"minimum_presence": 0.25}},
        "lcgan": {"generator": {}, "candidate_epochs": [1], "classifier": {}},
    }
    tasks = {"segmentation": {"network": "unet", "arms": ["real", "real+redgan", "real+lcgan"]}}
    given = {"tasks": tasks, "systems": systems, "segmenters": {"unet": {"max_epochs": 1}, "fcn8s": fcn}}
    found = plan(content, **given)
    for arm, run, judge in (
        ("redgan", "redgan_evaluate", "train"),
        ("lcgan", "lcgan_evaluate", "lcgan_segmenter_train"),
    ):
        trained = find_arm(found, f"real+{arm}")
        (selected,) = [job for job in closure(trained, found.jobs) if job.run == run]
        assert options(trained)["synthetic_dir"] == str(selected.output.parent)
        scorers = [job for job in find(found, judge) if "left_out_part" in options(job)]
        assert [options(job)["left_out_part"] for job in scorers] == ["0", "1"]
        assert {job.output for job in scorers} <= set(selected.reads)
        assert json.loads(options(selected)["scorer_files"]) == [str(job.output) for job in scorers]
    assert {options(job)["samples_per_epoch"] for job in find(found, "lcgan_segmenter_train")} == {"3"}
    leaking = {**systems, "lcgan": {**systems["lcgan"], "scorer_fraction": 1.0}}
    (scorer,) = find(plan(content, **{**given, "systems": leaking}), "lcgan_segmenter_train")
    assert "left_out_part" not in options(scorer)


def test_ensembles_and_boxes_are_filtered_on_request(content: Content) -> None:
    ensemble = {"generator": {}, "members": 2, "image_count": 4}
    tasks = {
        "segmentation": {"network": "unet", "arms": ["real", "real+pggan_ensemble:greedy=1"]},
        "detection": {"training": {}, "arms": ["real", "real+cpggan:1"]},
    }
    filtered = {"pggan_ensemble": {**ensemble, "filter": {"minimum_novelty": 0.05}}}
    filtered["cpggan"] = {**content["systems"]["cpggan"], "filter": "segmenter"}
    found = plan(content, tasks=tasks, systems=filtered, seeds=[0])
    (trained,) = [each.trained for each in found.evaluations if each.arm.name == "real+pggan_ensemble:greedy=1"]
    (selected,) = [job for job in find(found, "pggan_ensemble_evaluate") if job.output.parent.name == "selected"]
    assert options(trained)["synthetic_dir"] == str(selected.output.parent)
    assert options(selected)["minimum_novelty"] == "0.05"
    (evaluated,) = find(found, "cpggan_evaluate")
    assert options(evaluated)["filter_by_segmenter"] == "True"
    assert "segmenter_file" in options(evaluated)


def test_every_network_and_detector_can_be_given_the_cheap_alternatives(content: Content) -> None:
    arms = ["real", "real+copy_paste+classical", "real+oversampling"]
    for network in ("unet", "fcn8s", "nnunet"):
        sections = {"segmentation": {"network": network, "arms": arms}, "detection": {"training": {}, "arms": arms}}
        found = plan(content, tasks=sections, segmenters={}, seeds=[0])
        for each in found.evaluations:
            given = options(each.trained)
            assert given.get("copy_paste_probability") == ("0.5" if "copy_paste" in each.arm.modifiers else None)
            assert given.get("balance_classes") == ("True" if "oversampling" in each.arm.modifiers else None)
            assert each.arm.source is None


def find_arm(found: StudyPlan, arm: str) -> Job:
    return next(each.trained for each in found.evaluations if each.arm.name == arm)


@pytest.mark.parametrize("alone", [[], ["synthetic:redgan"]])
def test_a_pretrained_arm_goes_on_from_the_training_of_its_source_alone(content: Content, alone: list[str]) -> None:
    content["tasks"]["segmentation"]["arms"] = ["real", "real+redgan+pretraining", *alone]
    found = plan(content)
    real, pretrained = (find_arm(found, arm).options for arm in ("real", "real+redgan+pretraining"))
    first = next(job for job in found.jobs if job.output == pretrained["initial_file"])
    changed = {name for name, value in pretrained.items() if real.get(name) != value}
    assert changed == {"initial_file", "output_dir", "model_file"}
    assert (first.options["use_real"], "initial_file" in first.options) == (False, False)
    assert first.output in find_arm(found, "real+redgan+pretraining").reads
    assert len([job for job in found.jobs if job.run == "train"]) == 2 * 3  # three of each seed, judge among them
    if alone:
        assert find_arm(found, "synthetic:redgan") is first


def test_every_downstream_training_and_judge_has_the_studys_patience(content: Content) -> None:
    found = plan(content, patience_epochs=7)
    downstream = [job for job in found.jobs if job.run in ("train", "cpggan_detector_train")]
    assert {options(job)["patience_epochs"] for job in downstream} == {"7"}
    assert not [job for job in plan(content).jobs if "patience_epochs" in options(job)]


def test_new_masks_come_from_the_generator_that_makes_the_patients_own(content: Content) -> None:
    content["tasks"]["segmentation"]["arms"] += ["real+redgan:new_masks", "real+lcgan", "real+lcgan:new_masks"]
    content["tasks"]["detection"]["arms"] += ["real+cpggan:new_masks:1"]
    content["systems"]["lcgan"] = {"generator": {}, "candidate_epochs": [1], "classifier": {}}
    found = plan(content, seeds=[0])
    for system, asked in (("redgan", "plan"), ("lcgan", "plan"), ("cpggan", "cpggan_inference")):
        assert len(find(found, f"{system}_train")) == 1
        jobs = [job for job in find(found, asked) if f"/{system}/" in str(job.output)]
        assert sorted(options(job).get("new_masks", "") for job in jobs) == ["", "1.0"]
        (trained,) = find(found, f"{system}_train")
        for job in find(found, f"{system}_evaluate"):
            assert options(job)["membership_files"] == json.dumps([str(trained.folder / "run" / "membership.json")])
        arms = [each for each in found.evaluations if each.arm.source and each.arm.source.system == system]
        assert len({each.made.output for each in arms if each.made}) == 2
    assert options(find_arm(found, "real+cpggan:new_masks:1"))["synthetic_ratio"] == "1.0"
    titles = [title for shown in found.shown.values() for _, title, _ in shown.evidence]
    assert {"LcGAN", "LcGAN, new masks", "CPGGAN", "CPGGAN, new boxes"} <= set(titles)


def test_new_masks_of_a_system_without_masks_are_refused(content: Content) -> None:
    content["tasks"]["segmentation"]["arms"] += ["real+pggan_ensemble:members=1:new_masks"]
    content["systems"]["pggan_ensemble"] = {"generator": {}, "members": 1, "image_count": 1}
    with pytest.raises(OptionError, match="new_masks are for cpggan, lcgan, redgan"):
        plan(content)


def test_an_arms_own_amount_comes_before_a_sections_ratio_and_that_before_the_studys(content: Content) -> None:
    content["tasks"]["detection"]["arms"] += ["real+cpggan", "real+cpggan:all"]

    def ratios(**changed: Any) -> list[str | None]:
        found = plan(content, **changed)
        arms = ("real+cpggan:1", "real+cpggan:all", "real+cpggan", "real+redgan", "real+classical")
        return [options(find_arm(found, arm)).get("synthetic_ratio") for arm in arms]

    assert ratios() == ["1.0", "all", "1.0", "1.0", None]
    assert ratios(synthetic_ratio="all") == ["1.0", "all", "all", "all", None]
    content["tasks"]["detection"]["training"]["synthetic_ratio"] = 3
    assert ratios(synthetic_ratio=2) == ["1.0", "all", "3", "2", None]


def test_an_option_with_spaces_and_quotes_reaches_the_run() -> None:
    job = Job("train", Path("a b"), (Path("a b/model.pt"),), options={"title": "it's", "widths": [1, 2], "fold": None})
    words = shlex.split(job.shell)
    assert words[words.index("--title") + 1] == "it's"
    assert words[words.index("--widths") + 1] == "[1, 2]"
    assert "--fold" not in words


ROOT = Path(__file__).parents[2]


def read_contributing(heading: str) -> str:
    """A section of CONTRIBUTING.md."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]


def test_a_run_file_by_file_names_files_that_are_there() -> None:
    named = re.findall(r"`((?:scripts|configs)/[\w/.]+)`", read_contributing("A run, file by file"))
    assert len(named) > 15
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_sixth_system_is_a_file_and_touches_none_that_is_there(
    content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systems").mkdir()
    (code,) = re.findall(r"```python\n(.*?)```", read_contributing("Add a system"), re.DOTALL)
    (tmp_path / "systems" / "toy.py").write_text(code)
    package = scripts.experiments.systems
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "systems")])
    find_systems.cache_clear()
    try:
        content["tasks"] = {"segmentation": {"network": "unet", "arms": ["real", "real+toy+classical"]}}
        found = plan(content, systems={"toy": {"image_count": 4}})
        (made,) = find(found, "redgan_inference")
        mine = [each for each in found.evaluations if each.arm.source]
        assert all(made.output in each.trained.reads for each in mine)
        assert options(mine[0].trained)["synthetic_dir"] == str(made.folder)
    finally:
        find_systems.cache_clear()


def test_a_segmenter_cannot_filter_where_there_are_only_boxes(content: Content) -> None:
    content["systems"]["cpggan"]["filter"] = "segmenter"
    study = open_study(content)
    for items in study.dataset.splits.values():
        items[:] = [{**item, "label": None} for item in items]
    with pytest.raises(OptionError, match="needs label maps to train on"):
        find_systems()["cpggan"].check(study, Source("cpggan", amount=1))
