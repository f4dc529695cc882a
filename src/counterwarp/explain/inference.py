"""Mass-univariate inference over participants whose maps come from one simulator per fold.

Participants of a fold share a simulator, so their maps agree whatever is true. What may be rearranged under the null
is therefore the fold: a mean is tested between folds (whole folds change sign), a covariate within folds (participants
change places; the networks have never seen them, so given the networks they are exchangeable).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from nilearn.mass_univariate._utils import calculate_tfce  # public only inside permuted_ols, which knows no blocks
from scipy.ndimage import generate_binary_structure
from scipy.stats import false_discovery_control, norm
from scipy.stats import t as t_distribution

from counterwarp.core.errors import InputError

MEAN = "mean"  # the tested variable that asks: is the mean over participants 0?
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Design:
    """One linear model: which participants, the tested variable and the nuisance variables.

    Attributes
    ----------
    rows : positions of the participants in the table of people
    folds : (n,) fold of each participant
    tested : (n,) ones for the mean, else a covariate with mean 0 and standard deviation 1
    nuisance : (n, k) covariates with mean 0, so that the mean is that of an average participant
    table : DataFrame, the same with names, for people to read
    """

    rows: np.ndarray
    folds: np.ndarray
    tested: np.ndarray
    nuisance: np.ndarray
    table: pd.DataFrame

    @property
    def tests_mean(self) -> bool:
        """Whether the mean is tested, else the slope of a covariate."""
        return bool(np.ptp(self.tested) == 0)

    @property
    def confounds(self) -> np.ndarray:
        """(n, folds + nuisance): an indicator of every fold, and the nuisance variables."""
        return np.column_stack([self.folds[:, None] == np.unique(self.folds), self.nuisance]).astype(float)

    @property
    def degrees_of_freedom(self) -> int:
        """Of the mean: folds less one; of a slope: participants less fitted parameters."""
        if self.tests_mean:
            return len(np.unique(self.folds)) - 1
        return len(self.rows) - int(np.linalg.matrix_rank(np.column_stack([self.confounds, self.tested])))

    @property
    def smallest_p(self) -> float | None:
        """Smallest p-value that sign flips of the folds can reach; None for a slope, where permutations abound."""
        return 2.0 ** (1 - len(np.unique(self.folds))) if self.tests_mean else None


def make_design(people: pd.DataFrame, rows: np.ndarray, tested: str, covariates: list[str]) -> Design:
    """Design of a contrast over some participants.

    Parameters
    ----------
    people : DataFrame
        One row per participant, with ``participant_id`` and ``fold``.
    tested : str
        ``mean``, or a covariate whose slope is tested.
    covariates : list of str
        Nuisance columns; numbers are standardised, words become indicators.

    Raises
    ------
    InputError
        If a column is missing or empty for somebody, if there are too few participants for the model, or the tested
        covariate is not a number or is the same for everybody.
    """
    some = people.iloc[rows]
    columns = {name: _encode(some, name) for name in covariates if name != tested}
    table = pd.concat([some[["participant_id"]], *columns.values()], axis=1)
    nuisance = table.drop(columns="participant_id").to_numpy(float)
    values = np.ones(len(rows))
    if tested != MEAN:
        encoded = _encode(some, tested)
        if list(encoded) != [tested]:
            raise InputError(f"--comparison.tested {tested}: expected numbers that differ, or '{MEAN}'.")
        values = encoded[tested].to_numpy(float)
    table.insert(1, "fold", some["fold"])
    table.insert(2, tested, values)
    design = Design(rows, some["fold"].to_numpy(), values, nuisance, table)
    if design.degrees_of_freedom < 1:
        raise InputError(
            f"{len(rows)} participants in {len(np.unique(design.folds))} folds are too few for a model with "
            f"{', '.join(table.columns[1:])}. Use fewer --comparison.covariates."
        )
    return design


def _encode(people: pd.DataFrame, name: str) -> pd.DataFrame:
    """A covariate as centred columns; constant ones carry nothing and are left out."""
    if name not in people:
        known = ", ".join(str(column) for column in people.columns)
        raise InputError(f"--comparison.covariates {name}: no such column in the cohort; it has {known}.")
    values = people[name]
    if values.isna().any():
        who = ", ".join(people.loc[values.isna(), "participant_id"].head(3))
        raise InputError(f"column '{name}' is empty for {who}. Fill it in, or drop it from --comparison.covariates.")
    if pd.api.types.is_numeric_dtype(values):
        frame = values.to_frame().astype(float)
    else:
        frame = pd.get_dummies(values, prefix=name, drop_first=True, dtype=float)
    frame = frame.loc[:, frame.std() > 0]
    return (frame - frame.mean()) / frame.std()


def infer(
    values: np.ndarray, design: Design, permutations: int, seed: int, tfce_mask: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Fit one model per column and correct over the columns, two-sided.

    The family-wise p-values come from the largest \\|t\\| (and, with a mask, the largest TFCE score, Smith and Nichols
    2009) over rearrangements within exchangeability blocks (Winkler et al. 2014): all sign flips of whole folds for
    the mean, as many as there are or ``permutations`` random ones; Freedman-Lane permutations within folds for a slope.

    Parameters
    ----------
    values : (participants of the design, columns), float32
    tfce_mask : (X, Y, Z) bool
        Its voxels, in their order, are the columns; without it there is no TFCE.

    Returns
    -------
    dict of (columns,) arrays: ``t``; ``effect`` (Cohen's d of the mean, or the partial correlation), ``effectLow``
    and ``effectHigh`` (95 % interval); ``log10pFWE``, ``log10pTFCE`` (-log10 of the corrected p); ``qFDR``
    (Benjamini-Hochberg, from Student's t).
    """
    rng = np.random.default_rng(seed)
    rearranged = (_fold_flips if design.tests_mean else _permutations_within_folds)(values, design, permutations, rng)
    t = rearranged[0]()
    uncorrected = 2 * t_distribution.sf(np.abs(t), design.degrees_of_freedom)
    scores = {"log10pFWE": np.abs} | ({"log10pTFCE": lambda t: _enhance(t, tfce_mask)} if tfce_mask is not None else {})
    largest: dict[str, list[float]] = {name: [] for name in scores}
    for statistic in rearranged:
        null = statistic()
        for name, score in scores.items():
            largest[name].append(float(score(null).max()))
    corrected = {name: _log10_p(score(t), np.array(largest[name])) for name, score in scores.items()}
    return {"t": t, **_effect(t, values, design), **corrected, "qFDR": false_discovery_control(uncorrected)}


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


def _standard_error(means: np.ndarray) -> np.ndarray:
    """Of a mean over cross-validation folds: variance x (1 / folds + test share / training share)."""
    folds = len(means)
    return np.sqrt(means.var(axis=0, ddof=1) * (1 / folds + 1 / (folds - 1)))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0 (columns without variation)."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _fold_flips(
    values: np.ndarray, design: Design, permutations: int, rng: np.random.Generator
) -> list[Callable[[], np.ndarray]]:
    """t of the mean over folds: as observed, and under sign flips of whole folds."""
    means = _fold_means(values, design)
    folds = len(means)
    if 2**folds <= permutations:
        signs = np.array(list(product((1, -1), repeat=folds)))
    else:
        signs = np.vstack([np.ones(folds, int), rng.choice((1, -1), (permutations, folds))])

    def t(flip: np.ndarray) -> np.ndarray:
        flipped = flip[:, None] * means
        return _ratio(flipped.mean(axis=0), _standard_error(flipped))

    return [partial(t, flip) for flip in signs]


def _permutations_within_folds(
    values: np.ndarray, design: Design, permutations: int, rng: np.random.Generator
) -> list[Callable[[], np.ndarray]]:
    """t of a covariate's slope: as observed, and with the participants of each fold in another order."""
    basis = np.linalg.svd(design.confounds, full_matrices=False)
    basis = basis.U[:, 1e-9 * basis.S.max() < basis.S]
    residual = values - basis @ (basis.T @ values)
    tested = design.tested - basis @ (basis.T @ design.tested)
    tested = tested / np.linalg.norm(tested)

    def t(order: np.ndarray) -> np.ndarray:
        shuffled = residual[order]
        along = tested @ shuffled
        left = np.square(shuffled).sum(axis=0) - np.square(basis.T @ shuffled).sum(axis=0) - along**2
        return _ratio(along, np.sqrt(np.maximum(left, 0) / design.degrees_of_freedom))

    def shuffle() -> np.ndarray:
        order = np.arange(len(values))
        for fold in np.unique(design.folds):
            order[design.folds == fold] = rng.permutation(order[design.folds == fold])
        return order

    orders = [np.arange(len(values)), *(shuffle() for _ in range(permutations))]
    return [partial(t, order) for order in orders]


def _enhance(t: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Size of the TFCE score of every voxel of the mask."""
    volume = np.zeros((*mask.shape, 1))
    volume[mask, 0] = t
    return np.abs(calculate_tfce(volume, generate_binary_structure(3, 1))[mask, 0])


def _log10_p(score: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """-log10 of the share of rearrangements (the observed one among them) whose largest score is at least this."""
    tolerance = 1e-6 * np.abs(largest).max()  # a flip of every fold gives the same score but for rounding
    below = np.searchsorted(np.sort(largest), score - tolerance)
    return -np.log10(np.maximum(len(largest) - below, 1) / len(largest))


def _effect(t: np.ndarray, values: np.ndarray, design: Design) -> dict[str, np.ndarray]:
    """Cohen's d over participants with its interval over folds, or a partial correlation (Fisher's z)."""
    if design.tests_mean:
        mean, error = mean_over_folds(values, design)
        spread = values.std(axis=0, ddof=1)
        d, reach = _ratio(mean, spread), interval(design) * _ratio(error, spread)
        return {"effect": d, "effectLow": d - reach, "effectHigh": d + reach}
    r = t / np.sqrt(t**2 + design.degrees_of_freedom)
    error = norm.ppf((1 + CONFIDENCE) / 2) / np.sqrt(max(1, design.degrees_of_freedom - 1))
    return {"effect": r, "effectLow": np.tanh(np.arctanh(r) - error), "effectHigh": np.tanh(np.arctanh(r) + error)}


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
    model = design.confounds if design.tests_mean else np.column_stack([design.confounds, design.tested])
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
