"""Group statistics: against the textbook, under nulls with a shared simulator, with planted effects, of smoothness."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import binom, kstest

from counterwarp.core.errors import InputError
from counterwarp.explain.contrasts import of_covariate
from counterwarp.explain.designs import make_design
from counterwarp.explain.inference import infer, mean_over_folds, residual_smoothness

N, FOLDS = 42, 7
SIGNIFICANT = -np.log10(0.05)


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "participant_id": [f"sub-{i:02d}" for i in range(N)],
        "fold": np.arange(N) % FOLDS,
        "is_case": np.arange(N) // FOLDS % 2,
        "age": rng.uniform(50, 80, N),
        "sex": np.where(rng.random(N) < 0.5, "F", "M"),
    })  # fmt: skip


def ordinary_t(values, model, column):
    """t of one coefficient by the textbook."""
    beta = np.linalg.lstsq(model, values, rcond=None)[0]
    residual = values - model @ beta
    variance = (residual**2).sum(0) / (len(values) - model.shape[1])
    return beta[column] / np.sqrt(variance * np.linalg.inv(model.T @ model)[column, column])


def of_folds(rng, people, size):
    """What a simulator that learned noise adds: one random map per fold, (participants, columns)."""
    return size * rng.standard_normal((FOLDS, 50))[people["fold"]]


def test_slope_is_that_of_ordinary_least_squares_with_a_mean_per_fold(people):
    rng = np.random.default_rng(1)
    design = make_design(people, np.arange(N), "age", ["sex"])
    assert list(design.table) == ["participant_id", "fold", *(f"fold_{f}" for f in range(FOLDS)), "age", "sex_M"]
    assert design.contrast.to_dict("records") == [{"row": 0, "column": "age", "weight": 1.0}]
    values = rng.standard_normal((N, 50)) + 0.05 * people["age"].to_numpy()[:, None] + of_folds(rng, people, 3)
    model = np.column_stack([people["fold"].to_numpy()[:, None] == np.arange(FOLDS), design.nuisance, design.tested])
    found = infer(values.astype(np.float32), design, permutations=10, seed=0)
    np.testing.assert_allclose(found["t"], ordinary_t(values, model.astype(float), model.shape[1] - 1), rtol=2e-3)
    assert design.degrees_of_freedom == N - model.shape[1]
    assert ((found["effectLow"] < found["effect"]) & (found["effect"] < found["effectHigh"])).all()


def test_the_levels_of_a_factor_are_tested_together_by_the_textbook_f(people):
    rng = np.random.default_rng(1)
    people["site"] = rng.choice(["Guys", "HH", "IOP"], N)
    values = rng.standard_normal((N, 50)) + of_folds(rng, people, 3)
    design = make_design(people, np.arange(N), "site", ["age"])
    found = infer(values.astype(np.float32), design, permutations=10, seed=0)
    squares = [
        ((values - model @ np.linalg.lstsq(model, values, rcond=None)[0]) ** 2).sum(0)
        for model in (design.confounds, design.model)
    ]
    df = N - FOLDS - 1 - 2
    np.testing.assert_allclose(found["F"], (squares[0] - squares[1]) / 2 / (squares[1] / df), rtol=2e-3)
    np.testing.assert_allclose(found["effect"], 1 - squares[1] / squares[0], rtol=2e-3)
    assert design.contrast["column"].tolist() == ["site_HH", "site_IOP"]
    assert design.statistic == "F" and design.degrees_of_freedom == df


def test_pairs_of_levels_are_asked_one_by_one_and_corrected_for_their_number(people):
    people["site"] = np.array(["Guys", "HH", "IOP"])[np.arange(N) // FOLDS % 3]
    values = np.zeros((N, 2)) + np.random.default_rng(8).standard_normal((N, 2))
    values[people["site"] == "IOP", 0] += 4
    asked = {c.name: c for c in of_covariate(people, values, values, "site", [])[0] if c.maps.startswith("half")}
    assert list(asked) == ["site", "siteHhMinusGuys", "siteIopMinusGuys", "siteIopMinusHh"]
    for name, contrast in asked.items():
        design = contrast.design
        found = infer(contrast.values, design, 200, 0, comparisons=contrast.comparisons)
        known = 10 ** -found["log10pFWE"] < 0.05
        assert known.tolist() == [name != "siteHhMinusGuys", False]
        if name != "site":
            assert (found["t"][0] > 3) == known[0]  # positive: more in the first that is named
            alone = infer(contrast.values, design, 200, 0)
            np.testing.assert_allclose(found["log10pFWE"], np.maximum(alone["log10pFWE"] - np.log10(3), 0), atol=1e-6)


def test_a_group_without_values_is_not_asked(people):
    people["severity"] = np.where(people["is_case"] == 1, people["age"], np.nan)
    values = np.random.default_rng(9).standard_normal((N, 2))
    (asked,), refused = of_covariate(people, values, values, "severity", [])
    assert not refused
    assert asked.name == "severityCase"
    np.testing.assert_array_equal(asked.values, -values[people["is_case"] == 1])
    people["severity"] = np.nan
    with pytest.raises(InputError, match="tested severity: in each group it is empty or the same"):
        of_covariate(people, values, values, "severity", [])
    people["stage"] = np.array(["e4+", "e4-", "e3"])[np.arange(N) % 3]
    with pytest.raises(InputError, match=r"not unique among e3, e4\+, e4-"):
        of_covariate(people, values, values, "stage", [])


def test_a_pair_that_cannot_be_told_from_a_covariate_is_named_not_asked(people):
    people["site"] = np.array(["Guys", "HH", "IOP", "IOP"])[np.arange(N) // FOLDS % 4]
    people["scanner"] = np.where(people["site"] == "Guys", "Philips", np.where(np.arange(N) % 2, "GE", "Siemens"))
    people.loc[people["site"] == "HH", "scanner"] = "GE"
    values = np.random.default_rng(9).standard_normal((N, 2))
    asked, refused = of_covariate(people, values, values, "site", ["scanner"])
    assert "cannot be told from the folds and scanner_Philips" in refused["siteHhMinusGuys"]
    assert "siteIopMinusHh" in [contrast.name for contrast in asked]


def test_mean_is_tested_over_folds_with_the_corrected_resampled_t(people):
    rng = np.random.default_rng(2)
    values = rng.standard_normal((N, 50)) + 0.3
    design = make_design(people, np.arange(N), "mean", [])
    found = infer(values.astype(np.float32), design, permutations=500, seed=0)
    folds = np.stack([values[people["fold"] == fold].mean(0) for fold in range(FOLDS)])
    expected = folds.mean(0) / np.sqrt(folds.var(0, ddof=1) * (1 / FOLDS + 1 / (FOLDS - 1)))
    np.testing.assert_allclose(found["t"], expected, rtol=1e-3)
    assert design.degrees_of_freedom == FOLDS - 1
    assert 10 ** -found["log10pFWE"].max() >= design.smallest_p == 2 / 2**FOLDS


def test_a_nuisance_variable_does_not_shift_the_mean(people):
    values = np.outer(people["age"] - people["age"].mean(), [1.0, -2.0]) + np.array([0.5, 0.0])
    mean, _ = mean_over_folds(values, make_design(people, np.arange(N), "mean", ["age"]))
    np.testing.assert_allclose(mean, [0.5, 0.0], atol=1e-8)


def test_moderation_leaves_the_flips_exact_and_a_steady_effect_visible(people):
    """One column of 200 has the same effect in every fold, one agrees over folds by chance though it is tiny."""
    rng = np.random.default_rng(11)
    values = rng.standard_normal((N, 200)) + of_folds(rng, people, 1).repeat(4, axis=1)
    values[:, 0] += 6
    values[:, 1] = 1e-3 * (1 + 1e-3 * rng.standard_normal(N)) + 1e-2 * rng.standard_normal(N)
    found = infer(values, make_design(people, np.arange(N), "mean", []), 500, 0)
    assert found["log10pFWE"][0] > SIGNIFICANT
    assert (found["log10pFWE"][1:] < SIGNIFICANT).all()
    assert (np.abs(found["moderatedT"]) < np.abs(found["t"])).all()


@pytest.mark.parametrize("tested", ["age", "is_case", "mean", "site"])
def test_corrected_p_is_uniform_under_the_null_although_folds_share_a_pattern(people, tested):
    rng = np.random.default_rng(3)
    people["site"] = rng.choice(["Guys", "HH", "IOP"], N)
    design = make_design(people, np.arange(N), tested, [])
    smallest = [
        10 ** -infer(rng.standard_normal((N, 50)) + of_folds(rng, people, 2), design, 200, seed)["log10pFWE"].max()
        for seed in range(60)
    ]
    jitter = rng.uniform(0, design.smallest_p or 0, 60)  # p-values of few flips come in steps
    assert kstest(np.array(smallest) - jitter, "uniform").pvalue > 0.01


@pytest.mark.parametrize("tested", ["mean", "is_case"])
def test_twenty_null_runs_find_what_chance_allows(people, tested):
    shape, rng = (8, 8, 8), np.random.default_rng(4)
    design = make_design(people, np.arange(N), tested, [])

    def smooth(n):
        return np.stack([gaussian_filter(rng.standard_normal(shape), 1.5).ravel() for _ in range(n)])

    found = {"log10pFWE": 0, "log10pTFCE": 0}
    for seed in range(20):
        maps = 3 * smooth(FOLDS)[people["fold"]] + smooth(N)
        statistics = infer(maps, design, 24, seed, np.ones(shape, bool))
        for name in found:
            found[name] += bool(statistics[name].max() > SIGNIFICANT)
    assert max(found.values()) <= binom.ppf(0.975, 20, 0.05)


@pytest.mark.parametrize(("tested", "size"), [("mean", 1.2), ("is_case", 2.5)])
def test_a_planted_effect_is_found_and_only_there(people, tested, size):
    rng = np.random.default_rng(5)
    mask = np.ones((12, 12, 12), bool)
    planted = np.zeros(mask.shape, bool)
    planted[3:7, 3:7, 3:7] = True
    noise = np.stack([gaussian_filter(rng.standard_normal(mask.shape), 1.0) for _ in range(N)])
    carriers = people["is_case"].to_numpy() if tested == "is_case" else np.ones(N)
    values = (noise / noise.std() + size * planted * carriers[:, None, None, None])[:, mask].astype(np.float32)
    design = make_design(people, np.arange(N), tested, ["age"])
    found = infer(values, design, 200, 0, mask)
    power = {"mean": 0.9, "is_case": 0.9}[tested]
    assert (found["log10pTFCE"] > SIGNIFICANT)[planted[mask]].mean() > power
    assert (found["log10pFWE"] > SIGNIFICANT)[planted[mask]].any()
    assert (found["log10pFWE"] > SIGNIFICANT)[~planted[mask]].mean() < 0.01
    if tested == "mean":
        low, high = (found[name][planted[mask]].mean() for name in ("effectLow", "effectHigh"))
        assert low < size < high


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
    with pytest.raises(InputError, match="no column 'site' in the cohort; it has participant_id, fold"):
        make_design(people, np.arange(N), "mean", ["site"])
    people.loc[3, "age"] = np.nan
    with pytest.raises(InputError, match="column 'age' is empty for sub-03"):
        make_design(people, np.arange(N), "mean", ["age"])
    with pytest.raises(InputError, match="the same for everybody"):
        make_design(people.assign(site="A"), np.arange(N), "site", [])
    with pytest.raises(InputError, match="case: it cannot be told from the folds and group"):
        make_design(people.assign(group=people["is_case"]), np.arange(N), "is_case", ["group"])
    with pytest.raises(InputError, match="2 participants in 2 folds are too few for a model with the folds, age"):
        make_design(people, np.array([0, 1]), "age", [])
