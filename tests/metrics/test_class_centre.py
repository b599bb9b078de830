from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.class_centre import fit_class_centre


def test_real_features_are_measured_from_the_centre_of_other_patients() -> None:
    features = np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 1.0], [-3.0, 1.0]])
    fitted = fit_class_centre(features, ["a", "a", "b", "c"], 1.0)
    assert fitted.centre.tolist() == [0, 1]
    # from (0, 1), the others of a: 1 and 1; of b from (-1, 1): 4; of c from (1, 1): 4
    assert fitted.limit == 4
    assert fit_class_centre(features, ["a", "a", "b", "c"], 1 / 3).limit == 1
    assert fitted.measure(np.array([[0.0, 1.0], [4.0, 1.0], [0.0, 9.0]])).tolist() == [0, 1, 2]


def test_the_only_patient_of_a_class_is_measured_from_his_own_centre() -> None:
    assert fit_class_centre(np.array([[0.0], [2.0]]), ["a", "a"], 1.0).limit == 1


@pytest.mark.parametrize("quantile", [0, 1.5, -1])
def test_a_quantile_out_of_range_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="class_centre_quantile is"):
        fit_class_centre(np.zeros((2, 1)), ["a", "b"], quantile)


def test_equal_features_have_no_limit() -> None:
    with pytest.raises(ValueError, match="2 real features of a class are all the same"):
        fit_class_centre(np.ones((2, 1)), ["a", "b"], 1.0)
