"""Mass-univariate inference over participants whose maps come from one simulator per fold.

Participants of a fold share a simulator, so their maps agree whatever is true. What may be rearranged under the null
is therefore the fold: a mean is tested between folds (whole folds change sign), covariates within folds (participants
change places; the networks have never seen them, so given the networks they are exchangeable).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
from nilearn.mass_univariate._utils import calculate_tfce  # public only inside permuted_ols, which knows no blocks
from scipy.ndimage import generate_binary_structure
from scipy.stats import f as f_distribution
from scipy.stats import false_discovery_control, norm
from scipy.stats import t as t_distribution

from counterwarp.explain.designs import Design

CONFIDENCE = 0.95


def infer(
    values: np.ndarray,
    design: Design,
    permutations: int,
    seed: int,
    tfce_mask: np.ndarray | None = None,
    comparisons: int = 1,
) -> dict[str, np.ndarray]:
    """Fit one model per column and correct over the columns, two-sided.

    The family-wise p-values come from the largest size of the statistic (and, with a mask, the largest TFCE score,
    Smith and Nichols 2009) over rearrangements within exchangeability blocks (Winkler et al. 2014): all sign flips of
    whole folds for the mean, as many as there are or ``permutations`` random ones; Freedman-Lane permutations within
    folds for covariates. For the mean that statistic is the moderated t (see ``_fold_flips``), else t or F.

    Parameters
    ----------
    values : (participants of the design, columns), float32
    tfce_mask : (X, Y, Z) bool
        Its voxels, in their order, are the columns; without it there is no TFCE.
    comparisons : int
        Of how many tests this is one; the family-wise p are those of Bonferroni over them.

    Returns
    -------
    dict of (columns,) arrays: ``t`` or ``F``, of the mean also ``moderatedT``; ``effect`` (Cohen's d of the mean, the
    partial correlation of a slope, the share of variance that several columns explain) and, but for the last,
    ``effectLow`` and ``effectHigh`` (95 % interval); ``log10pFWE``, ``log10pTFCE`` (-log10 of the corrected p);
    ``qFDR`` (Benjamini-Hochberg, from Student's t or F).
    """
    rng = np.random.default_rng(seed)
    rearranged = (_fold_flips if design.tests_mean else _permutations_within_folds)(values, design, permutations, rng)
    tested = rearranged[0]()
    found = _parametric(tested, values, design)
    scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {"log10pFWE": np.abs}
    if tfce_mask is not None:
        scores["log10pTFCE"] = lambda statistic: _enhance(statistic, tfce_mask, design.statistic)
    largest: dict[str, list[float]] = {name: [] for name in scores}
    for statistic in rearranged:
        null = statistic()
        for name, score in scores.items():
            largest[name].append(float(score(null).max()))
    corrected = {
        name: np.maximum(_log10_p(score(tested), np.array(largest[name])) - np.log10(comparisons), 0)
        for name, score in scores.items()
    }
    uncorrected = found.pop("p")
    return {**found, **corrected, "qFDR": false_discovery_control(uncorrected)}


def _parametric(tested: np.ndarray, values: np.ndarray, design: Design) -> dict[str, np.ndarray]:
    """Statistic, effect with its interval, and uncorrected p of the classical tests."""
    df = design.degrees_of_freedom
    if design.tests_mean:
        mean, error = mean_over_folds(values, design)
        t = _ratio(mean, error)
        found = {"t": t, "moderatedT": tested, **_effect_of_mean(mean, error, values, design)}
    elif design.statistic == "t":
        t = tested
        found = {"t": t, **_partial_correlation(t, df)}
    else:
        k = design.tested.shape[1]
        return {"F": tested, "effect": k * tested / (k * tested + df), "p": f_distribution.sf(tested, k, df)}
    return found | {"p": 2 * t_distribution.sf(np.abs(t), df)}


def mean_over_folds(values: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Mean over folds of the fold means, nuisance regressed out, and its standard error, each (columns,).

    The error allows for training sets that overlap between folds (Nadeau and Bengio 2003).
    """
    means = _fold_means(values, design)
    return means.mean(axis=0), _standard_error(means)


def _fold_means(values: np.ndarray, design: Design) -> np.ndarray:
    """(folds, columns): mean over the participants of each fold, at average nuisance variables."""
    slopes = np.linalg.lstsq(design.confounds, values, rcond=None)[0][len(np.unique(design.folds)) :]
    adjusted = values - design.nuisance @ slopes
    return np.stack([adjusted[design.folds == fold].mean(axis=0) for fold in np.unique(design.folds)])


def _variance_within_folds(values: np.ndarray, design: Design) -> np.ndarray:
    """(columns,): variance between participants of the same fold, nuisance regressed out; 0 if nothing is left."""
    model = design.confounds
    left = len(values) - int(np.linalg.matrix_rank(model))
    residuals = values - model @ np.linalg.lstsq(model, values, rcond=None)[0]
    return np.square(residuals).sum(axis=0) / max(left, 1)


def _standard_error(means: np.ndarray, moderation: np.ndarray | float = 0.0) -> np.ndarray:
    """Of a mean over cross-validation folds: variance x (1 / folds + test share / training share)."""
    folds = len(means)
    return np.sqrt((means.var(axis=0, ddof=1) + moderation) * (1 / folds + 1 / (folds - 1)))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0 (columns without variation)."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _fold_flips(
    values: np.ndarray, design: Design, permutations: int, rng: np.random.Generator
) -> list[Callable[[], np.ndarray]]:
    """Moderated t of the mean over folds: as observed, and under sign flips of whole folds.

    A few fold means may agree by chance, which makes t of some voxel huge under any flip, and the largest t a weak
    judge. The variance between folds is therefore raised by that between participants of a fold, which a flip of whole
    folds leaves as it is, so that the test stays exact (as smoothed variances do in SnPM, Nichols and Holmes 2002).
    """
    means, moderation = _fold_means(values, design), _variance_within_folds(values, design)
    folds = len(means)
    if 2**folds <= permutations:
        signs = np.array(list(product((1, -1), repeat=folds)))
    else:
        signs = np.vstack([np.ones(folds, int), rng.choice((1, -1), (permutations, folds))])

    def t(flip: np.ndarray) -> np.ndarray:
        flipped = flip[:, None] * means
        return _ratio(flipped.mean(axis=0), _standard_error(flipped, moderation))

    return [partial(t, flip) for flip in signs]


def _permutations_within_folds(
    values: np.ndarray, design: Design, permutations: int, rng: np.random.Generator
) -> list[Callable[[], np.ndarray]]:
    """t of a slope or F of several columns: as observed, and with the participants of each fold in another order."""
    basis = _orthonormal(design.confounds)
    residual = values - basis @ (basis.T @ values)
    tested = _orthonormal(design.tested - basis @ (basis.T @ design.tested))
    if design.statistic == "t":  # the sign of the slope is that of the covariate
        tested = tested * np.sign(tested[:, 0] @ design.tested[:, 0])

    def statistic(order: np.ndarray) -> np.ndarray:
        shuffled = residual[order]
        along = tested.T @ shuffled
        explained = np.square(along).sum(axis=0)
        left = np.square(shuffled).sum(axis=0) - np.square(basis.T @ shuffled).sum(axis=0) - explained
        left = np.maximum(left, 0) / design.degrees_of_freedom
        if design.statistic == "t":
            return _ratio(along[0], np.sqrt(left))
        return _ratio(explained / tested.shape[1], left)

    def shuffle() -> np.ndarray:
        order = np.arange(len(values))
        for fold in np.unique(design.folds):
            order[design.folds == fold] = rng.permutation(order[design.folds == fold])
        return order

    orders = [np.arange(len(values)), *(shuffle() for _ in range(permutations))]
    return [partial(statistic, order) for order in orders]


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what the columns (n, k) span."""
    basis = np.linalg.svd(columns, full_matrices=False)
    return basis.U[:, 1e-9 * basis.S.max() < basis.S]


def _enhance(values: np.ndarray, mask: np.ndarray, statistic: str) -> np.ndarray:
    """Size of the TFCE score of every voxel of the mask; F enters as its root, which is on the scale of t."""
    volume = np.zeros((*mask.shape, 1))
    volume[mask, 0] = np.sqrt(values) if statistic == "F" else values
    return np.abs(calculate_tfce(volume, generate_binary_structure(3, 1))[mask, 0])


def _log10_p(score: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """-log10 of the share of rearrangements (the observed one among them) whose largest score is at least this."""
    tolerance = 1e-6 * np.abs(largest).max()  # a flip of every fold gives the same score but for rounding
    below = np.searchsorted(np.sort(largest), score - tolerance)
    return -np.log10(np.maximum(len(largest) - below, 1) / len(largest))


def _effect_of_mean(mean: np.ndarray, error: np.ndarray, values: np.ndarray, design: Design) -> dict[str, np.ndarray]:
    """Cohen's d over participants with its interval over folds."""
    spread = values.std(axis=0, ddof=1)
    d, reach = _ratio(mean, spread), interval(design) * _ratio(error, spread)
    return {"effect": d, "effectLow": d - reach, "effectHigh": d + reach}


def _partial_correlation(t: np.ndarray, df: int) -> dict[str, np.ndarray]:
    """Of a slope, with its interval by Fisher's z."""
    r = t / np.sqrt(t**2 + df)
    reach = norm.ppf((1 + CONFIDENCE) / 2) / np.sqrt(max(1, df - 1))
    return {"effect": r, "effectLow": np.tanh(np.arctanh(r) - reach), "effectHigh": np.tanh(np.arctanh(r) + reach)}


def interval(design: Design) -> float:
    """Half-width of the 95 % interval in standard errors (Student's t)."""
    return float(t_distribution.ppf((1 + CONFIDENCE) / 2, design.degrees_of_freedom))


def residual_smoothness(
    values: np.ndarray, design: Design, mask: np.ndarray, spacing: tuple[float, ...]
) -> list[float]:
    """FWHM (mm) per axis of the residuals by the variance of differences between neighbours (Forman et al. 1995).

    Parameters
    ----------
    values : (participants, voxels in the mask)
    mask : (X, Y, Z) bool
    spacing : mm
    """
    model = design.model
    if np.linalg.matrix_rank(model) == len(values):
        return [float("nan")] * len(spacing)  # the model fits everything and leaves no residuals
    residuals = values - model @ np.linalg.lstsq(model, values, rcond=None)[0]
    scale = residuals.std(axis=0)
    standard = np.divide(residuals, scale, out=np.zeros_like(residuals), where=scale > 0)
    volume = np.zeros((len(values), *mask.shape), np.float32)
    volume[:, mask] = standard
    widths = []
    for axis, step in enumerate(spacing):
        both = np.logical_and(*_neighbours(mask, axis))
        here, there = _neighbours(volume, axis + 1)
        variance = float(np.square(there - here)[:, both].mean())
        sigma = np.sqrt(-1 / (4 * np.log(max(1 - variance / 2, 1e-6))))
        widths.append(float(np.sqrt(8 * np.log(2)) * sigma * step))
    return widths


def _neighbours(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Views of each voxel and of the next one along an axis."""
    n = values.shape[axis]
    return np.take(values, range(n - 1), axis), np.take(values, range(1, n), axis)
