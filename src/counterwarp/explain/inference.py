"""Mass-univariate inference over participants: a linear model with permutation control of the family-wise error."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.maskers import NiftiMasker
from nilearn.mass_univariate import permuted_ols
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
    tested : (n,) ones for the mean, else a covariate with mean 0 and standard deviation 1
    nuisance : (n, k) covariates with mean 0, so that the mean is that of an average participant
    table : DataFrame, the same with names, for people to read
    """

    rows: np.ndarray
    tested: np.ndarray
    nuisance: np.ndarray
    table: pd.DataFrame

    @property
    def model(self) -> np.ndarray:
        """(n, columns): intercept, nuisance, tested."""
        return np.column_stack([np.ones(len(self.rows)), self.nuisance, self.tested])

    @property
    def degrees_of_freedom(self) -> int:
        """Participants less fitted parameters (the mean is one of them)."""
        return len(self.rows) - int(np.linalg.matrix_rank(self.model))


def make_design(people: pd.DataFrame, rows: np.ndarray, tested: str, covariates: list[str]) -> Design:
    """Design of a contrast over some participants.

    Parameters
    ----------
    people : DataFrame
        One row per participant.
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
    table.insert(1, tested, values)
    design = Design(rows, values, nuisance, table)
    if design.degrees_of_freedom < 1:
        raise InputError(
            f"{len(rows)} participants are too few for a model with {', '.join(table.columns[1:])}. "
            "Use fewer --comparison.covariates."
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
    values: np.ndarray, design: Design, permutations: int, seed: int, tfce_mask: nib.Nifti1Image | None = None
) -> dict[str, np.ndarray]:
    """Fit one model per column and correct over the columns.

    Sign flips test the mean, Freedman-Lane permutations a covariate; both two-sided (Winkler et al. 2014). The
    family-wise p-values come from the distribution of the largest \\|t\\| (and, with a mask, the largest TFCE score,
    Smith and Nichols 2009). They take participants as exchangeable given the trained networks.

    Parameters
    ----------
    values : (participants of the design, columns), float32
    tfce_mask : image
        Its voxels above 0, in their order, are the columns; without it there is no TFCE.

    Returns
    -------
    dict of (columns,) arrays: ``t``; ``effect`` (Cohen's d of the mean, or the partial correlation), ``effectLow``
    and ``effectHigh`` (95 % interval); ``log10pFWE``, ``log10pTFCE`` (-log10 of the corrected p); ``qFDR``
    (Benjamini-Hochberg).
    """
    masker = NiftiMasker(tfce_mask).fit() if tfce_mask is not None else None
    found = permuted_ols(
        design.tested[:, None], values, design.nuisance if design.nuisance.size else None,
        n_perm=permutations, two_sided_test=True, random_state=seed, masker=masker, tfce=masker is not None,
    )  # fmt: skip
    t = np.nan_to_num(found["t"][0])
    freedom = design.degrees_of_freedom
    uncorrected = 2 * t_distribution.sf(np.abs(t), freedom)
    result = {"t": t, **_effect(t, design), "log10pFWE": found["logp_max_t"][0]}
    if masker is not None:
        result["log10pTFCE"] = found["logp_max_tfce"][0]
    return result | {"qFDR": false_discovery_control(uncorrected)}


def _effect(t: np.ndarray, design: Design) -> dict[str, np.ndarray]:
    """Effect size with its large-sample interval (Hedges and Olkin 1985; Fisher's z for a correlation)."""
    n, z = len(design.rows), norm.ppf((1 + CONFIDENCE) / 2)
    if np.ptp(design.tested) == 0:
        d = t / np.sqrt(n)
        error = np.sqrt(1 / n + d**2 / (2 * n))
        return {"effect": d, "effectLow": d - z * error, "effectHigh": d + z * error}
    r = t / np.sqrt(t**2 + design.degrees_of_freedom)
    error = z / np.sqrt(max(1, design.degrees_of_freedom - 1))
    return {"effect": r, "effectLow": np.tanh(np.arctanh(r) - error), "effectHigh": np.tanh(np.arctanh(r) + error)}


def residual_smoothness(
    values: np.ndarray, design: Design, mask: np.ndarray, spacing: tuple[float, ...]
) -> list[float]:
    """FWHM (mm) per axis of the residuals, from the variance of differences between neighbours (Forman et al. 1995).

    Parameters
    ----------
    values : (participants, voxels in the mask)
    mask : (X, Y, Z) bool
    spacing : mm
    """
    residuals = values - design.model @ np.linalg.lstsq(design.model, values, rcond=None)[0]
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
