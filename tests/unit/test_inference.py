"""Group statistics: against ordinary least squares, under the null, with a planted effect, and of known smoothness."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from counterwarp.core.errors import InputError
from counterwarp.explain.inference import infer, make_design, residual_smoothness

N = 40


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "participant_id": [f"sub-{i:02d}" for i in range(N)],
        "age": rng.uniform(50, 80, N),
        "sex": np.where(rng.random(N) < 0.5, "F", "M"),
    })  # fmt: skip


def ordinary_t(values, model, column):
    """t of one coefficient by the textbook."""
    beta = np.linalg.lstsq(model, values, rcond=None)[0]
    residual = values - model @ beta
    variance = (residual**2).sum(0) / (len(values) - model.shape[1])
    return beta[column] / np.sqrt(variance * np.linalg.inv(model.T @ model)[column, column])


@pytest.mark.parametrize("tested", ["mean", "age"])
def test_t_is_that_of_ordinary_least_squares(people, tested):
    rng = np.random.default_rng(1)
    design = make_design(people, np.arange(N), tested, ["age", "sex"])
    assert list(design.table)[1] == tested
    values = (rng.standard_normal((N, 30)) + 0.3 + 0.05 * people["age"].to_numpy()[:, None]).astype(np.float32)
    columns = [np.ones(N), design.nuisance] + ([] if tested == "mean" else [design.tested])
    model = np.column_stack(columns)
    expected = ordinary_t(values.astype(float), model, 0 if tested == "mean" else model.shape[1] - 1)
    found = infer(values, design, permutations=10, seed=0)
    np.testing.assert_allclose(found["t"], expected, rtol=2e-3)
    assert design.degrees_of_freedom == N - model.shape[1]
    assert ((found["effectLow"] < found["effect"]) & (found["effect"] < found["effectHigh"])).all()


def test_corrected_p_is_uniform_under_the_null(people):
    rng = np.random.default_rng(2)
    design = make_design(people, np.arange(N), "mean", [])
    smallest = [
        10 ** -infer(rng.standard_normal((N, 50)).astype(np.float32), design, 200, seed)["log10pFWE"].max()
        for seed in range(60)
    ]
    assert kstest(smallest, "uniform").pvalue > 0.01


def test_a_planted_effect_is_found_and_only_there(people):
    rng = np.random.default_rng(3)
    mask = np.ones((12, 12, 12), bool)
    planted = np.zeros(mask.shape, bool)
    planted[3:7, 3:7, 3:7] = True
    noise = np.stack([gaussian_filter(rng.standard_normal(mask.shape), 1.0) for _ in range(N)])
    values = (noise / noise.std() + 1.2 * planted)[:, mask].astype(np.float32)
    design = make_design(people, np.arange(N), "mean", ["age"])
    found = infer(values, design, 200, 0, nib.Nifti1Image(mask.astype(np.uint8), np.eye(4)))
    for name in ("log10pFWE", "log10pTFCE"):
        significant = found[name] > -np.log10(0.05)
        assert significant[planted[mask]].mean() > 0.9
    assert (found["log10pFWE"] > -np.log10(0.05))[~planted[mask]].mean() < 0.01
    low, high = (found[name][planted[mask]].mean() for name in ("effectLow", "effectHigh"))
    assert low < 1.2 < high


def test_residual_smoothness_of_known_noise(people):
    rng = np.random.default_rng(4)
    sigma, spacing = 1.5, (2.0, 2.0, 4.0)
    mask = np.zeros((40, 40, 40), bool)
    mask[6:-6, 6:-6, 6:-6] = True
    values = np.stack([gaussian_filter(rng.standard_normal(mask.shape), sigma)[mask] for _ in range(N)])
    design = make_design(people, np.arange(N), "mean", [])
    expected = np.sqrt(8 * np.log(2)) * sigma * np.array(spacing)
    np.testing.assert_allclose(residual_smoothness(values, design, mask, spacing), expected, rtol=0.05)


def test_unusable_covariates_are_named(people):
    with pytest.raises(InputError, match="site: no such column in the cohort; it has participant_id, age, sex"):
        make_design(people, np.arange(N), "mean", ["site"])
    people.loc[3, "age"] = np.nan
    with pytest.raises(InputError, match="column 'age' is empty for sub-03"):
        make_design(people, np.arange(N), "mean", ["age"])
    with pytest.raises(InputError, match="expected numbers that differ"):
        make_design(people, np.arange(N), "sex", [])
    with pytest.raises(InputError, match="2 participants are too few"):
        make_design(people, np.array([0, 1]), "mean", ["sex", "sex"])
