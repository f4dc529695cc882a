"""Measures with known answers."""

import numpy as np
import pandas as pd
import pytest

from counterwarp.core.errors import InputError
from counterwarp.explain import evaluation

SHAPE = (6, 7, 8)
ROUNDING = 1e-12  # float64 sums over a few hundred voxels


@pytest.fixture
def truth():
    return np.random.default_rng(0).standard_normal(SHAPE)


def test_signed_ncc_of_a_map_with_itself_is_one_and_with_its_negative_minus_one(truth):
    everywhere = np.ones(SHAPE, bool)
    assert evaluation.signed_ncc(truth, truth, everywhere) == pytest.approx(1, abs=ROUNDING)
    assert evaluation.signed_ncc(truth, -3 * truth + 5, everywhere) == pytest.approx(-1, abs=ROUNDING)


def test_signed_ncc_sees_only_the_mask_and_finite_voxels(truth):
    other = truth.copy()
    mask = np.ones(SHAPE, bool)
    mask[0] = False
    other[0] = 99
    other[1, 0, 0] = np.nan
    assert evaluation.signed_ncc(truth, other, mask) == pytest.approx(1, abs=ROUNDING)


def test_signed_ncc_of_a_constant_map_is_undefined(truth):
    assert np.isnan(evaluation.signed_ncc(truth, np.zeros(SHAPE), np.ones(SHAPE, bool)))


def test_absolute_ncc_forgives_the_sign(truth):
    flipped = truth * np.where(np.arange(8) % 2, 1, -1)
    found = evaluation.compare_maps(flipped, truth, np.ones(SHAPE, bool))
    assert found["absolute_ncc"] == pytest.approx(1, abs=ROUNDING)
    assert abs(found["signed_ncc"]) < 0.3  # half of the voxels agree; 336 of them scatter by about 0.05


def test_magnitude_share_is_the_slope_in_the_core(truth):
    mask = np.ones(SHAPE, bool)
    small = np.abs(truth) <= evaluation.CORE_FRACTION * np.abs(truth).max()
    assert evaluation.magnitude_share(np.where(small, 7.0, 0.2 * truth), truth, mask) == pytest.approx(0.2)
    assert evaluation.magnitude_share(-truth, truth, mask) == pytest.approx(-1)
    assert np.isnan(evaluation.magnitude_share(truth, np.zeros(SHAPE), mask))


def test_classifier_metrics_of_a_known_table():
    # Pairs (case, control): case 3 beats both, case 1 beats -1 and ties with 1, case -2 loses to both.
    predictions = pd.DataFrame({"is_case": [1, 1, 1, 0, 0], "logit": [3.0, 1.0, -2.0, -1.0, 1.0]})
    found = evaluation.classifier_metrics(predictions)
    assert found["auc"] == pytest.approx((2 + 1.5 + 0) / 6)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["confusion"] == {"true_case": 2, "missed_case": 1, "true_control": 1, "false_case": 1}
    assert found["sensitivity"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["auc_ci"][0] <= found["auc"] <= found["auc_ci"][1]


def test_accuracy_interval_is_wilsons():
    predictions = pd.DataFrame({"is_case": [0] * 5 + [1] * 5, "logit": [-1.0] * 5 + [1.0] * 5})
    z2 = 1.959963984540054**2
    assert evaluation.classifier_metrics(predictions)["accuracy_ci"] == pytest.approx([10 / (10 + z2), 1.0])


def test_one_group_alone_is_refused():
    with pytest.raises(InputError, match="at least 2 held-out cases and 2 controls, got 0 and 3"):
        evaluation.classifier_metrics(pd.DataFrame({"is_case": [0, 0, 0], "logit": [1.0, 2.0, 3.0]}))


def explanations(**columns):
    table = {
        "scan_id": ["a", "a", "b", "b"],
        "direction": ["inject", "remove"] * 2,
        "logit": [-1.0, -1.0, 2.0, 2.0],
        "logit_simulated": [3.0, -3.0, 6.0, -2.0],
        "logit_returned": [-1.0, -2.0, 4.0, 0.0],
        "margin_reached": [1, 0, 1, 1],
        "velocity_scale": [1.0, 2.0, 1.2, 1.5],
        "dose_to_flip": [0.25, 0.0, 0.0, 0.5],
        "mean_displacement_mm": [1.0, 2.0, 3.0, 4.0],
        "folding_fraction": [0.0, 0.0, 0.0, 0.04],
        "cycle_error": [0.01, 0.02, 0.03, 0.04],
        "cycle_mm": [0.1, 0.2, 0.3, 0.4],
    }
    return pd.DataFrame(table | columns)


def test_simulator_metrics_count_directions_apart():
    found = evaluation.simulator_metrics(explanations())
    assert found["margin_reached"] == {"inject": 1.0, "remove": 0.5}
    assert found["lengthened"] == {"inject": 0.5, "remove": 1.0}
    assert found["largest_scale"] == 2.0
    assert found["folding_fraction"] == pytest.approx(0.01)
    assert found["median_cycle_mm"] == pytest.approx({"inject": 0.2, "remove": 0.3})
    assert found["n"] == 2


def test_logit_return_is_the_share_of_the_way_that_is_taken_back():
    found = evaluation.simulator_metrics(explanations())["median_logit_returned"]
    # inject: 4 of 4 and 2 of 4; remove: 1 of 2 and 2 of 4
    assert found == pytest.approx({"inject": 0.75, "remove": 0.5})


def test_dose_to_flip_counts_scans_with_something_to_flip_only():
    found = evaluation.simulator_metrics(explanations())
    assert found["to_flip"] == {"inject": 1, "remove": 1}
    assert found["median_dose_to_flip"] == {"inject": 0.25, "remove": 0.5}


def test_most_scans_that_never_flip_leave_no_finite_median():
    found = evaluation.simulator_metrics(explanations(dose_to_flip=[0.25, 0.0, None, None]))
    assert found["to_flip"] == {"inject": 2, "remove": 1}
    assert found["median_dose_to_flip"] == {"inject": np.inf, "remove": np.inf}


def test_undefined_numbers_become_null():
    assert evaluation.finite({"a": [float("nan"), np.float32(1)], "b": "x"}) == {"a": [None, 1.0], "b": "x"}
