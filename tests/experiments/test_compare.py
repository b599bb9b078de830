from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from scripts.experiments.compare import compare_arms, correct_over_all, list_tests, score_arms, trace_froc
from scripts.metrics.measure import mean_of_patients
from scripts.metrics.statistics import sign_flip_test
from scripts.scores.results import ALL, Arm, Difference, FrocCurve, Metric
from tests.experiments.studies import ARMS, make_scores

GAINS = {"real": 0.0, "classical": 0.02, "over": 0.0, "gan": 0.1}


def find(differences: list[Difference], arm: str, other: str, family: str = "verdict") -> Difference:
    (found,) = [d for d in differences if (d.arm, d.other, d.family) == (arm, other, family)]
    return found


def test_every_arm_is_tested_against_the_baseline_and_gans_against_alternatives() -> None:
    tests = list_tests({1.0: make_scores(GAINS)}, ARMS)
    assert [(test.arm, test.other) for test in tests["verdict"]] == [
        ("classical", "real"),
        ("over", "real"),
        ("gan", "real"),
        ("gan", "classical"),
        ("gan", "over"),
    ]
    assert not any(tests[family] for family in ("classes", "labels", "further", "amounts"))


def test_a_fraction_tests_what_it_ran() -> None:
    ran = {0.1: make_scores({"real": 0, "gan": 0.1}), 1.0: make_scores(GAINS)}
    tests = list_tests(ran, ARMS)["verdict"]
    assert [(test.fraction, test.arm, test.other) for test in tests][:2] == [
        (0.1, "gan", "real"),
        (1.0, "classical", "real"),
    ]
    assert len(tests) == 6


def test_differences_are_of_means_over_seeds_with_holm_by_hand() -> None:
    scores = make_scores(GAINS)
    differences = compare_arms({1.0: scores}, ARMS)
    values = {
        arm: np.mean([t.by_patient for t in measures["dice", ALL]], axis=0) for arm, measures in scores.measures.items()
    }
    pairs = [(d.arm, d.other) for d in differences]
    p = {pair: sign_flip_test(values[pair[0]] - values[pair[1]]) for pair in pairs}
    order = sorted(pairs, key=lambda pair: p[pair])
    adjusted, largest = {}, 0.0
    for step, pair in enumerate(order):
        largest = max(largest, min(1.0, (len(pairs) - step) * p[pair]))
        adjusted[pair] = largest
    for d in differences:
        assert d.estimate.value == pytest.approx((values[d.arm] - values[d.other]).mean())
        assert (d.p, d.p_adjusted) == pytest.approx((p[d.arm, d.other], adjusted[d.arm, d.other]))
        assert d.smallest_p == 5 * 2**-11
        assert d.adjusted_low < d.estimate.low < d.estimate.value < d.estimate.high < d.adjusted_high


def test_p_over_the_page_is_holm_over_all_tests_that_were_made() -> None:
    found = compare_arms({1.0: make_scores({"real": 0, "gan": 0.1})}, ARMS)
    mixed = [replace(found[0], p=p) for p in (0.02, math.nan, 0.01, 0.4)]
    assert [d.p_page for d in correct_over_all(mixed)] == pytest.approx([0.04, math.nan, 0.03, 0.4], nan_ok=True)


def test_findings() -> None:
    differences = compare_arms({1.0: make_scores({**GAINS, "over": -0.1})}, ARMS)
    assert find(differences, "gan", "real").finding == "raised"
    assert find(differences, "over", "real").finding == "lowered"
    assert find(differences, "gan", "classical").reason == ""


def test_a_fall_is_a_gain_where_lower_is_better() -> None:
    metric = Metric("hd95_mm", "HD95", "lower", "mm", 1)
    difference = find(compare_arms({1.0: make_scores(GAINS, metric=metric)}, ARMS), "gan", "real")
    assert difference.estimate.value > 0
    assert difference.finding == "lowered"


@pytest.mark.parametrize(
    ("options", "finding", "reason"),
    [
        ({"patients": 5}, "too few", "too few patients: 5, and the test needs 6"),
        ({"patients": 6}, "cannot tell", "too few patients for 5 comparisons: 6 cannot"),
        ({"seeds": {3: 0.0}}, "cannot tell", "one training of each arm"),
        ({"seeds": {0: -0.2, 1: 0.2}}, "cannot tell", "the noise between trainings ("),
        ({"spread": 0.3}, "cannot tell", "the difference is smaller than 0."),
    ],
)
def test_reasons_why_nothing_can_be_told(options: dict, finding: str, reason: str) -> None:
    difference = find(compare_arms({1.0: make_scores(GAINS, **options)}, ARMS), "gan", "real")
    assert difference.finding == finding
    assert difference.reason.startswith(reason)


def test_five_patients_have_neither_p_nor_interval() -> None:
    for difference in compare_arms({1.0: make_scores(GAINS, patients=5)}, ARMS):
        assert np.isnan([difference.p, difference.p_adjusted, difference.estimate.low, difference.detectable]).all()


def test_one_seed_leaves_the_noise_unknown() -> None:
    difference = find(compare_arms({1.0: make_scores(GAINS, seeds={0: 0.0})}, ARMS), "gan", "real")
    assert math.isnan(difference.noise)
    assert difference.estimate.low > 0
    assert difference.p_adjusted < 0.05


def test_noise_is_pooled_over_the_arms() -> None:
    difference = find(compare_arms({1.0: make_scores(GAINS, seeds={0: -0.03, 1: 0.03})}, ARMS), "gan", "real")
    assert difference.noise == pytest.approx(np.sqrt(2 * (2 * 0.03**2) / 2))


def test_groups_are_a_family_of_their_own() -> None:
    scores = make_scores(GAINS, patients=20, groups=2)
    differences = [d for d in compare_arms({1.0: scores}, ARMS) if d.family == "classes"]
    assert len(differences) == 10
    first = next(d for d in differences if (d.arm, d.other, d.group) == ("gan", "real", "group 1"))
    own = [np.mean([t.by_patient for t in scores.measures[arm]["dice", ALL]], axis=0) for arm in ("gan", "real")]
    assert first.estimate.value == pytest.approx((own[0] - own[1])[1::2].mean())
    assert first.estimate.patients == 10


def test_labels_and_further_metrics() -> None:
    scores = make_scores(GAINS)
    iou = Metric("iou", "IoU")
    for measures in scores.measures.values():
        measures |= {("iou", ALL): measures["dice", ALL]}
        measures |= {(name, label): measures["dice", ALL] for name in ("dice", "iou") for label in ("a", "b")}
    task = replace(scores.task, labels=["a", "b"], metrics=[*scores.task.metrics, iou])
    tests = list_tests({1.0: replace(scores, task=task)}, ARMS)
    assert {(test.metric.name, test.label) for test in tests["labels"]} == {("dice", "a"), ("dice", "b")}
    assert [(test.metric.name, test.arm, test.other) for test in tests["further"]] == [
        ("iou", arm, "real") for arm in ("classical", "over", "gan")
    ]


def test_paired_metrics_are_measured_pair_by_pair() -> None:
    scores = make_scores(GAINS)
    task = replace(scores.task, metrics=[*scores.task.metrics, Metric("matched", "Matched")])

    def pair(arm: str, other: str) -> tuple[list, list]:
        shift = {"gan": 1.0}.get(arm, 0.0)
        return tuple([mean_of_patients(np.arange(12.0) + s + n) for s in (0.0, 0.1)] for n in (shift, 0.0))  # type: ignore[return-value]

    paired = replace(scores, task=task, paired={("matched", ALL): pair})
    difference = find(compare_arms({1.0: paired}, ARMS), "gan", "real", "further")
    assert (difference.metric, difference.estimate.value) == ("matched", pytest.approx(1))
    assert difference.noise == pytest.approx(np.sqrt(2 * 0.005 / 2))


def test_amounts_within_a_family_and_between_families() -> None:
    def arm(name: str, family: str, amount: float) -> Arm:
        return Arm(name, name, "gan", "segmentation", "pggan", family, amount)

    arms = [
        ARMS[0],
        arm("m1", "Members", 1),
        arm("m5", "Members", 5),
        arm("m3", "Members", 3),
        arm("s5", "Snapshots", 5),
    ]
    tests = list_tests({1.0: make_scores(dict.fromkeys(["real", "m1", "m5", "m3", "s5"], 0.0))}, arms)["amounts"]
    assert [(test.arm, test.other) for test in tests] == [("m5", "m1"), ("m5", "m3"), ("m5", "s5")]


def test_scores_hold_trainings_and_patients() -> None:
    scores = score_arms({0.5: make_scores(GAINS, groups=2)}, ARMS)
    assert len(scores) == 4 * 3
    first = scores[0]
    assert (first.task, first.fraction, first.arm, first.group) == ("segmentation", 0.5, "real", ALL)
    assert list(first.seeds) == [0, 1]
    assert first.estimate.value == pytest.approx(np.mean(list(first.seeds.values())))
    assert first.estimate.value == pytest.approx(np.mean(list(first.patients.values())))
    assert (first.estimate.patients, scores[1].estimate.patients) == (12, 6)


def test_curves_get_their_fraction() -> None:
    curve = FrocCurve("detection", 1.0, "gan", 0.5, [], [])
    assert [c.fraction for c in trace_froc({0.1: replace(make_scores(GAINS), froc=[curve])})] == [0.1]
