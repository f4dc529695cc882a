"""Designs of the group statistics: which participants, what is tested, what is held constant."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from counterwarp.core.errors import InputError

MEAN = "mean"  # the tested variable that asks: is the mean over participants 0?


@dataclass(frozen=True)
class Design:
    """One linear model and the hypothesis tested in it.

    Attributes
    ----------
    rows : positions of the participants in the table of people
    folds : (n,) fold of each participant
    tested : (n, k) columns that are tested together: one covariate, or the indicators of a factor; none for the mean
    nuisance : (n, m) covariates with mean 0, so that the mean is that of an average participant
    table : DataFrame, the design matrix with names, for people and other software to read
    contrast : DataFrame, the tested hypothesis on that matrix: ``row``, ``column``, ``weight``
    """

    rows: np.ndarray
    folds: np.ndarray
    tested: np.ndarray
    nuisance: np.ndarray
    table: pd.DataFrame
    contrast: pd.DataFrame

    @property
    def tests_mean(self) -> bool:
        """Whether the mean is tested, else covariates."""
        return self.tested.shape[1] == 0

    @property
    def statistic(self) -> str:
        """``F`` if several columns are tested together, else ``t``."""
        return "F" if self.tested.shape[1] > 1 else "t"

    @property
    def confounds(self) -> np.ndarray:
        """(n, folds + nuisance): an indicator of every fold, and the nuisance variables."""
        return np.column_stack([self.folds[:, None] == np.unique(self.folds), self.nuisance]).astype(float)

    @property
    def model(self) -> np.ndarray:
        """(n, folds + nuisance + tested): the whole model."""
        return np.column_stack([self.confounds, self.tested])

    @property
    def degrees_of_freedom(self) -> int:
        """Of the mean: folds less one; of covariates: participants less fitted parameters."""
        if self.tests_mean:
            return len(np.unique(self.folds)) - 1
        return len(self.rows) - int(np.linalg.matrix_rank(self.model))

    @property
    def smallest_p(self) -> float | None:
        """Smallest p-value that sign flips of the folds can reach; None for covariates, where permutations abound."""
        return 2.0 ** (1 - len(np.unique(self.folds))) if self.tests_mean else None


def make_design(people: pd.DataFrame, rows: np.ndarray, tested: str, covariates: list[str]) -> Design:
    """Design of a contrast over some participants.

    Parameters
    ----------
    people : DataFrame
        One row per participant, with ``participant_id`` and ``fold``.
    tested : str
        ``mean``, or a covariate: of numbers the slope is tested, of words the differences between all of them.
    covariates : list of str
        Nuisance columns; numbers are standardised, words become indicators.

    Raises
    ------
    InputError
        If a column is missing or empty for somebody, if there are too few participants for the model, or the tested
        covariate is the same for everybody, or cannot be told from folds and nuisance variables.
    """
    some = people.iloc[rows]
    columns = [_encode(some, name) for name in covariates if name != tested]
    nuisance = pd.concat([some[[]], *columns], axis=1)
    values = some[[]] if tested == MEAN else _encode(some, tested)
    if tested != MEAN and values.empty:
        raise InputError(f"--comparison.tested {tested}: it is the same for everybody. Test another column.")
    folds = some["fold"].to_numpy()
    indicators = pd.DataFrame({f"fold_{f}": (folds == f).astype(float) for f in np.unique(folds)}, index=some.index)
    weights = np.eye(values.shape[1]) if tested != MEAN else np.full((1, indicators.shape[1]), 1 / indicators.shape[1])
    design = Design(
        rows, folds, values.to_numpy(float), nuisance.to_numpy(float),
        pd.concat([some[["participant_id", "fold"]], indicators, values, nuisance], axis=1),
        _contrast(weights, values if tested != MEAN else indicators),
    )  # fmt: skip
    _require_estimable(design, tested, [str(name) for name in nuisance])
    return design


def levels(people: pd.DataFrame, name: str) -> list[str]:
    """Names of a factor's levels, sorted; none if the column holds numbers."""
    values = people[name].dropna()
    return [] if pd.api.types.is_numeric_dtype(values) else sorted(values.astype(str).unique())


def pairs(people: pd.DataFrame, rows: np.ndarray, name: str) -> dict[tuple[str, str], tuple[pd.DataFrame, np.ndarray]]:
    """Every two levels of a factor of three or more: people with the column as an indicator of the second, and rows.

    Only the participants of the two levels enter a pair, so that its permutations are exact.
    """
    found = levels(people.iloc[rows], name)
    if len(found) < 3:
        return {}
    values = people[name].astype(str)
    return {
        (first, second): (
            people.assign(**{name: (values == second).astype(float)}),
            rows[values.iloc[rows].isin([first, second])],
        )
        for first, second in combinations(found, 2)
    }


def _contrast(weights: np.ndarray, columns: pd.DataFrame) -> pd.DataFrame:
    """Weights (rows of the contrast, columns) as a long table."""
    return pd.DataFrame(
        [
            {"row": row, "column": column, "weight": weight}
            for row, line in enumerate(weights)
            for column, weight in zip(columns, line, strict=True)
            if weight
        ]
    )


def _require_estimable(design: Design, tested: str, nuisance: list[str]) -> None:
    """Refuse a model with too few participants, and a covariate that folds and nuisance variables determine."""
    if design.degrees_of_freedom < 1:
        names = ", ".join(["the folds", *([tested] if tested != MEAN else []), *nuisance])
        raise InputError(
            f"{len(design.rows)} participants in {len(np.unique(design.folds))} folds are too few for a model with "
            f"{names}. Use fewer --comparison.covariates."
        )
    without = np.linalg.matrix_rank(design.confounds)
    if np.linalg.matrix_rank(design.model) < without + design.tested.shape[1]:
        others = " and ".join(["the folds", *nuisance])
        raise InputError(
            f"--comparison.tested {tested}: it cannot be told from {others}. Drop a covariate, or test another column."
        )


def _encode(people: pd.DataFrame, name: str) -> pd.DataFrame:
    """A covariate as centred columns; constant ones carry nothing and are left out."""
    if name not in people:
        known = ", ".join(str(column) for column in people.columns)
        raise InputError(f"--comparison: no column '{name}' in the cohort; it has {known}.")
    values = people[name]
    if values.isna().any():
        who = ", ".join(people.loc[values.isna(), "participant_id"].head(3))
        raise InputError(f"column '{name}' is empty for {who}. Fill it in, or leave it out of --comparison.")
    if pd.api.types.is_numeric_dtype(values):
        frame = values.to_frame().astype(float)
    else:
        frame = pd.get_dummies(values, prefix=name, drop_first=True, dtype=float)
    frame = frame.loc[:, frame.std() > 0]
    return (frame - frame.mean()) / frame.std()
