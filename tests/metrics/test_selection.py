from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.metrics.selection import (
    Rules,
    choose_candidate,
    judge_images,
    mean_of_unseen,
    measure_novelty,
    rank_candidates,
)


def scores(fcn: float, sharpness: float, realness: float = math.nan, novelty: float = math.nan) -> dict[str, float]:
    known = {"fcn_score": fcn, "sharpness": sharpness, "realness": realness, "novelty": novelty}
    return {**known, "presence": fcn / 2}


def test_mean_ranks_by_hand():
    ranks = rank_candidates({"a": scores(0.9, 1, 0.1), "b": scores(0.8, 3, 0.3), "c": scores(0.7, 3, 0.2)})
    # FCN score 1, 2, 3; sharpness 3 and twice 1.5; realness 3, 1, 2
    assert ranks == pytest.approx({"a": 7 / 3, "b": 4.5 / 3, "c": 6.5 / 3})


def test_a_criterion_that_one_candidate_lacks_counts_for_none():
    table = {"a": scores(0.9, 1, math.nan), "b": scores(0.8, 2, 0.9)}
    assert rank_candidates(table) == {"a": 1.5, "b": 1.5}
    assert choose_candidate(table) == "a"  # of equals the higher FCN score
    assert choose_candidate({**table, "b": scores(0.95, 2, 0.9)}) == "b"


def test_copies_are_chosen_only_where_there_is_nothing_else():
    table = {"copies": scores(0.9, 3, novelty=0.1), "new": scores(0.2, 1, novelty=0.6)}
    assert (choose_candidate(table), choose_candidate(table, least_novel=0.25)) == ("copies", "new")
    assert choose_candidate(table, least_novel=0.7) == "copies"
    rows = [scores(0.9, 3, novelty=0.0), scores(0.1, 1, novelty=0.5), scores(0.2, 2, novelty=0.0)]
    judged = judge_images(rows, Rules(fcn_score=0.95, novelty=0.05, kept_share=0.6), real_sharpness=1.0)
    assert judged.kept.tolist() == [True, True, False]  # two of three: what is new, then the best


def test_nothing_measured_leaves_the_first():
    assert choose_candidate({"b": scores(*[math.nan] * 3), "a": scores(*[math.nan] * 3)}) == "a"


ROWS = [scores(0.6, 10, 0.5), scores(0.2, 10, 0.5), scores(0.6, 4, 0.5), scores(0.6, 10, 0.05), scores(0.2, 4, 0.05)]


def test_images_must_pass_every_minimum():
    judged = judge_images(ROWS, Rules(0.25, 0.5, 0.1, kept_share=0.2), real_sharpness=10.0)
    assert judged.kept.tolist() == [True, False, False, False, False]
    assert {name: np.flatnonzero(failed).tolist() for name, failed in judged.failed.items()} == {
        "fcn_score": [1, 4],
        "sharpness": [2, 4],
        "realness": [3, 4],
        "novelty": [],
        "presence": [],
    }
    assert not judged.topped_up


def test_what_was_not_measured_is_passed():
    judged = judge_images([scores(math.nan, 6), scores(0.3, 6)], Rules(0.25, 0.5, 0.1, 0.5), real_sharpness=10.0)
    assert judged.kept.all()


def test_a_copy_and_an_image_without_one_of_its_labels_are_dropped():
    rows = [scores(0.6, 10, novelty=n) for n in (0.0, 0.05, 0.9)]
    rows[2]["presence"] = 0.1
    judged = judge_images(rows, Rules(novelty=0.05, presence=0.2), real_sharpness=10.0)
    assert judged.kept.tolist() == [False, True, False]
    assert (judged.failed["novelty"].tolist(), judged.failed["presence"].tolist()) == ([1, 0, 0], [0, 0, 1])


def test_too_few_that_pass_are_topped_up_by_rank():
    judged = judge_images(ROWS, Rules(0.25, 0.5, 0.1, kept_share=0.6), real_sharpness=10.0)
    assert judged.topped_up
    # mean ranks of rows 1, 2 and 3 all (4.5 + 2 + 2) / 3, and row 4 is worst
    assert judged.kept.tolist() == [True, True, True, False, False]


def test_networks_that_know_fewest_of_the_source_patients_judge():
    known = [{"a", "b"}, {"b", "c"}, {"c", "d"}]
    assert mean_of_unseen([1, 2, 6], known, {"a"}) == 4  # the last two
    assert mean_of_unseen([1, 2, 6], known, {"a", "b"}) == 6
    assert mean_of_unseen([1, 2, 6], known, {"a", "c"}) == 3  # all know one
    assert mean_of_unseen([1, 2, 6], known, {"held out"}) == 3
    assert mean_of_unseen([5], [{"a"}], {"a"}) == 5


def test_novelty_is_the_share_of_held_out_images_that_are_nearer():
    found = measure_novelty(np.array([0.0, 0.1, 0.25, 9.0]), np.array([0.4, 0.1, 0.2, 0.3]))
    assert found.tolist() == [0, 0, 0.5, 1]
    assert np.isnan(measure_novelty(np.array([0.1]), np.array([]))).all()


@pytest.mark.parametrize(
    "wrong",
    [{"novelty": 5}, {"presence": -1}, {"fcn_score": 25}, {"realness": -0.1}, {"kept_share": 25}, {"sharpness": -1}],
)
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"minimum_{next(iter(wrong))} is"):
        Rules(**wrong)
