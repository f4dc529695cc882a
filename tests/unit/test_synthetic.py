"""Synthetic cohorts: their truths against what can be said of them beforehand."""

import numpy as np
import pytest
import torch

from counterwarp.cohort import synthetic
from counterwarp.cohort.store import CohortStore

SCANS = 12


@pytest.mark.parametrize("dimensions", [2, 3])
def test_two_of_the_gaussians_grow_in_cases(dimensions, tmp_path):
    side = 32 if dimensions == 2 else 24
    store = CohortStore(synthetic.four_gaussians(tmp_path, SCANS, 1, side, dimensions))
    truth = np.load(tmp_path / "truth.npy")
    assert store.images.shape == truth.shape == (SCANS, *[side] * dimensions)
    assert len(store.grid.spacing) == dimensions
    is_case = store.index["is_case"].to_numpy() == 1
    middle = (side // 2,) * (dimensions - 2)
    near, far = side // 4, side - 1 - side // 4
    for corner, planted in (((near, near), True), ((far, far), True), ((near, far), False), ((far, near), False)):
        at = truth[(slice(None), *corner, *middle)]
        if planted:  # of the 0.8 aimed at, smoothing and surroundings leave a part
            assert (at[~is_case] > 0.3).all() and (at[is_case] < -0.3).all()
        else:
            assert np.abs(at).max() < 0.2


def test_without_effect_nothing_is_planted(tmp_path):
    synthetic.four_gaussians(tmp_path, 4, 1, effect=0.0)
    assert np.abs(np.load(tmp_path / "truth.npy")).mean() < 0.01  # there and back by interpolation


def test_a_square_and_its_truth_are_a_square_of_the_other_class(tmp_path):
    side = 64
    store = CohortStore(synthetic.resized_squares(tmp_path, SCANS, 2, side))
    becomes, guessed = (store.images + np.load(tmp_path / name) for name in ("truth.npy", synthetic.BEST_GUESS))

    def sides(images):
        """Shares of the image's side: rows of which some pixel is not background."""
        return (np.abs(images + synthetic.SQUARE_LEVEL) > 1e-3).any(axis=2).sum(axis=1) / side

    is_case, pixel = store.index["is_case"].to_numpy() == 1, 2 / side
    own, other = sides(np.asarray(store.images, np.float32)), sides(becomes)
    assert (own[is_case] < synthetic.SQUARE_SMALL + pixel).all() and (
        own[~is_case] > synthetic.SQUARE_SMALL - pixel
    ).all()
    assert (other[is_case] > synthetic.SQUARE_SMALL - pixel).all()
    assert (other[~is_case] < synthetic.SQUARE_SMALL + pixel).all()
    for group in (is_case, ~is_case):  # where the side is not known, the guess is one and the same, in their middle
        assert np.ptp(sides(guessed)[group]) == 0
        assert other[group].min() <= sides(guessed)[group][0] <= other[group].max()


def test_the_same_seed_makes_the_same_cohort(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.four_gaussians(tmp_path / name, 4, seed)
    a, b, c = (np.load(tmp_path / name / "images.npy") for name in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_doses_of_cases_are_around_one_and_overlap_little():
    disease = synthetic.Disease.draw(2000, np.random.default_rng(0))
    cases, controls = disease.dose[disease.is_case == 1], disease.dose[disease.is_case == 0]
    assert cases.mean() == pytest.approx(1, abs=0.05) and controls.mean() == pytest.approx(0, abs=0.05)
    assert 0 < torch.from_numpy(controls).quantile(0.999) - torch.from_numpy(cases).quantile(0.001) < 0.9
