"""The verdict of the quality gate: every limit with its words."""

import numpy as np
import pytest

from counterwarp.brain.quality import judge
from counterwarp.brain.tissue import contrast
from counterwarp.core.settings import AlignmentSettings

GOOD = {
    "template_correlation": 0.8,
    "template_dice": 0.95,
    "brain_volume_ml": 1400.0,
    "edge_share": 0.0,
    "contrast_to_noise": 2.0,
    "white_to_grey": 1.3,
    "voxel_volume_mm3": 1.0,
    **{f"{axis}_scale": 1.05 for axis in ("largest", "middle", "smallest")},
}


def test_good_scan_passes():
    assert judge(GOOD, AlignmentSettings()) == ("PASS", [])


@pytest.mark.parametrize(
    ("metric", "value", "status", "reason"),
    [
        ("template_correlation", 0.3, "REVIEW", "correlation with the MNI152 brain is 0.30, expected above 0.4"),
        ("template_correlation", 0.2, "FAIL", "correlation with the MNI152 brain is 0.20, expected above 0.4"),
        ("template_dice", 0.8, "REVIEW", "overlap (Dice) with the MNI152 brain is 0.80, expected above 0.88"),
        ("template_dice", 0.7, "FAIL", "overlap (Dice) with the MNI152 brain is 0.70, expected above 0.88"),
        ("brain_volume_ml", 500.0, "FAIL", "brain of 500 ml, expected 800-2600"),
        ("brain_volume_ml", 3000.0, "FAIL", "brain of 3000 ml, expected 800-2600"),
        ("largest_scale", 1.6, "FAIL", "axes of 1.60, 1.05, 1.05 times MNI152's length, expected about 1"),
        ("smallest_scale", 0.5, "FAIL", "axes of 1.05, 1.05, 0.50 times MNI152's length, expected about 1"),
        ("template_correlation", float("nan"), "FAIL", "template_correlation could not be measured"),
        ("edge_share", 0.03, "REVIEW", "3.0% of the brain touches the network grid's border"),
    ],
)
def test_every_limit_has_its_words(metric, value, status, reason):
    assert judge(GOOD | {metric: value}, AlignmentSettings()) == (status, [reason])


def test_the_worst_reason_decides_and_comes_first():
    status, reasons = judge(GOOD | {"edge_share": 0.03, "template_dice": 0.1}, AlignmentSettings())
    assert status == "FAIL" and len(reasons) == 2 and reasons[0].startswith("overlap")


def test_contrast_of_known_tissues():
    random = np.random.default_rng(0)
    found = contrast(np.concatenate([random.normal(mean, 10, 5000) for mean in (100, 200, 300)]))
    assert found["white_to_grey"] == pytest.approx(1.5, rel=0.01)
    assert found["contrast_to_noise"] == pytest.approx(10, rel=0.03)  # (300 - 200) / 10
