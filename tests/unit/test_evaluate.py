"""``counterwarp evaluate`` on a run whose maps are known functions of the truth."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from tiny_run import FOLDS, make_run

from counterwarp.cli.evaluate import evaluate as command
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.explain.evaluation import planted_agreement
from counterwarp.explain.faithfulness import faithfulness
from counterwarp.explain.group_maps import DIRECTION, truth_on_grid
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.stages.evaluate import evaluate, evaluate_faithfulness


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose maps are half of the truth, whose simulated scans differ by twice the true difference, and whose
    saliency is the truth from control to case; of one participant the sign is wrong."""
    run = make_run(tmp_path_factory.mktemp("run"))
    brain = images.load(run.cohort / "brain_mask.nii.gz")[0] > 0
    index = pd.read_csv(run.cohort / "index.csv")
    for number, (scan, is_case) in enumerate(zip(index["scan_id"], index["is_case"], strict=True)):
        direction, sign = DIRECTION[is_case], -1 if number == 0 else 1
        affine, path = run.transforms / layout.affine(scan), run.truth / layout.truth_log_jacobian(scan, direction)
        planted, native = images.load(path)
        images.save(run.truth / layout.truth_difference(scan, direction), planted**3, native)
        truth = truth_on_grid(path, affine, run.grid)
        for other in layout.DIRECTIONS:
            half = np.where(brain, (sign if other == direction else -sign) * truth / 2, 0)
            images.save(run.maps / layout.log_jacobian(scan, other), half.astype(np.float32), run.grid)
        difference = truth_on_grid(run.truth / layout.truth_difference(scan, direction), affine, run.grid)
        aligned, _ = images.load(run.transforms / layout.aligned_t1w(scan))
        images.save(run.maps / layout.simulated_t1w(scan, direction), aligned + 2 * difference, run.grid)
        to_case = truth * (-1 if is_case else 1)
        images.save(run.maps / layout.saliency(scan, "gradient"), to_case.astype(np.float32), run.grid)
    return run


def test_known_maps_get_known_numbers(run, tmp_path):
    record = evaluate(run.results, run.truth, tmp_path)
    people = pd.read_csv(tmp_path / "evaluation_truth.csv", index_col="participant_id")
    assert len(people) == record["participants"] == 12
    expected = np.where(np.arange(12) == 0, -1, 1)
    rounding = 1e-3  # linear interpolation is repeated exactly; float32 images
    np.testing.assert_allclose(people["log_jacobian_signed_ncc"], expected, atol=rounding)
    np.testing.assert_allclose(people["log_jacobian_masked_ncc"], expected, atol=rounding)
    np.testing.assert_allclose(people["log_jacobian_absolute_ncc"], 1, atol=rounding)
    np.testing.assert_allclose(people["log_jacobian_magnitude_share"], expected / 2, atol=rounding)
    np.testing.assert_allclose(people["image_difference_signed_ncc"], 1, atol=rounding)
    np.testing.assert_allclose(people["image_difference_magnitude_share"], 2, atol=rounding)
    np.testing.assert_allclose(people["gradient_signed_ncc"], 1, atol=rounding)
    np.testing.assert_allclose(people["logit_return"], 0.9, atol=rounding)
    assert record["participant"]["log_jacobian_magnitude_share"] == pytest.approx(0.5, abs=rounding)
    assert record["participant"]["cycle_error"] == pytest.approx(0.02)
    assert record["group"]["gradient"]["signed_ncc"] == pytest.approx(1, abs=rounding)
    assert 0.3 < record["group"]["log_jacobian"]["magnitude_share"] < 0.5  # one of twelve has the wrong sign
    assert record["group"]["log_jacobian"]["signed_ncc"] > 0.99
    for region in record["regions"].values():
        assert region["found_percent"] * region["planted_percent"] > 0
        assert abs(region["found_percent"]) < abs(region["planted_percent"])
    assert json.loads((tmp_path / "evaluation_truth.json").read_text(encoding="utf-8"))["group"] == record["group"]


def test_the_table_is_printed_and_written(run, tmp_path):
    result = CliRunner().invoke(command, [str(run.results), str(run.truth), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "evaluation_truth.md").read_text(encoding="utf-8").strip() == result.output.strip()
    for words in (
        "| log jacobian | 1.00 | 1.00 | 1.00 | 0.4",
        "| gradient | 1.00",
        "| cycle error | 0.020 |",
        "Hippocampus",
    ):
        assert words in result.output


def test_a_missing_truth_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r"sub-01_desc-inject_logjacobian.nii.gz: expected the planted log-Jacobian"):
        evaluate(run.results, tmp_path, tmp_path)


class Sum(torch.nn.Module):
    """A classifier whose evidence is the brightness of known voxels."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.from_numpy(weights)

    def forward(self, x):
        return (x[:, 0] * self.weights).flatten(1).sum(1)


def test_faithfulness_is_that_of_the_order():
    random = np.random.default_rng(0)
    brain = np.zeros((8, 8, 8), bool)
    brain[2:] = True
    weights = np.zeros(brain.shape, np.float32)
    weights[4, 4] = 1
    image = (1 + random.random(brain.shape)).astype(np.float32)
    score = {
        name: faithfulness(Sum(weights), image, values, brain)
        for name, values in (("right", weights), ("wrong", 1 - weights))
    }
    # all of the evidence is in the first tenth: insertion is 1 from the second of 11 points on, deletion 0
    assert score["right"] == pytest.approx(9 / 11, abs=1e-4)
    assert score["wrong"] == pytest.approx(-9 / 11, abs=1e-4)
    by_lot = [faithfulness(Sum(weights), image, random.standard_normal(brain.shape), brain) for _ in range(50)]
    assert abs(np.mean(by_lot)) < 0.1
    assert np.isnan(faithfulness(Sum(0 * weights), image, weights, brain))


def test_without_a_truth_maps_are_held_against_the_classifier(run, tmp_path):
    grid = images.load(run.cohort / "brain_mask.nii.gz")[1]
    torch.manual_seed(0)
    for fold in range(FOLDS):
        folder = run.results / "models" / f"fold-{fold}" / "classifier"
        folder.mkdir(parents=True)
        save_classifier(Classifier(torch.zeros(1, 1, *grid.shape), 4), folder, width=4)
    result = CliRunner().invoke(command, [str(run.results), "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "| random order |" in result.output
    table = pd.read_csv(tmp_path / "evaluation_faithfulness.csv", index_col="scan_id")
    assert len(table) == 12
    record = json.loads((tmp_path / "evaluation_faithfulness.json").read_text(encoding="utf-8"))
    for name in ("log_jacobian", "gradient", "random_order"):
        assert record["faithfulness"][name] == pytest.approx(table[name].median(), abs=1e-5)
    (run.results / "models" / "fold-1" / "classifier").rename(tmp_path / "gone")
    with pytest.raises(InputError, match="expected the classifier of fold 1"):
        evaluate_faithfulness(run.results, 1, tmp_path)


def test_the_core_is_where_the_change_is_large():
    truth = np.zeros((4, 4, 4))
    truth[0, 0] = [4.0, 2.0, -3.0, 0.5]
    values = np.where(np.abs(truth) > 1, truth, 7.0)
    found = planted_agreement(values, truth, np.ones_like(truth, bool))
    assert found["masked_ncc"] == pytest.approx(1)
    assert found["magnitude_share"] == pytest.approx(1)
    assert found["signed_ncc"] < 0.5
