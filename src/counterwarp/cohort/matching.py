"""Cases and controls matched one to one, so that a classifier cannot tell them apart by age, sex or site."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from scipy.optimize import linear_sum_assignment

from counterwarp.cohort.samplesheet import COLUMNS
from counterwarp.cohort.targets import target_groups
from counterwarp.core.errors import InputError


@dataclass(frozen=True)
class Matching:
    """Covariates to match by: words exactly, numbers within ``caliper`` standard deviations over all participants."""

    columns: tuple[str, ...]
    caliper: float


def read_matching(columns: str, caliper: float) -> Matching | None:
    """What ``--match`` and ``--match_caliper`` ask for; None if no column is named."""
    names = dict.fromkeys(name.strip() for name in columns.split(",") if name.strip())
    if names and not 0 < caliper < math.inf:
        raise InputError(
            f"--match_caliper {caliper:g}: expected a number above 0, how many standard deviations of "
            f"{', '.join(names)} a pair may be apart. Give e.g. 0.5."
        )
    return Matching(tuple(names), caliper) if names else None


def check_matching(cohort: pd.DataFrame, matching: Matching) -> None:
    """Stop if a cohort lacks a column, or has several case groups: they would have to share the controls."""
    known = [str(name) for name in cohort if name not in COLUMNS]
    if unknown := [name for name in matching.columns if name not in known]:
        raise InputError(
            f"--match {', '.join(unknown)}: no such covariate in the cohort; it has {', '.join(known) or 'none'}. "
            "Correct the name, or add the column to the input."
        )
    if groups := target_groups(cohort):
        raise InputError(
            f"--match {','.join(matching.columns)}: expected one case group, got {', '.join(groups)}, which would "
            "have to share the controls. Name one with --case, or leave out --match."
        )


def match_groups(scans: pd.DataFrame, matching: Matching) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """As many pairs of a case and a control as there can be and, of all such choices, the most alike.

    That is the smallest sum of squared differences, in standard deviations, of the columns of numbers. A participant
    counts once, with the covariates of the first scan by name. The order of the rows has no effect.

    Parameters
    ----------
    scans : a row per scan: ``scan_id``, ``participant_id``, ``is_case`` (0 or 1) and the covariates

    Returns
    -------
    pairs : participants, (case, control)
    unmatched : why the others have no partner, by participant
    """
    people = scans.sort_values("scan_id").drop_duplicates("participant_id").set_index("participant_id")
    unmatched = {
        str(name): f"not matched: no {column} is given"
        for column in matching.columns
        for name in people.index[people[column].isna()]
    }
    groups = scans.groupby("participant_id")["is_case"].nunique()
    unmatched |= dict.fromkeys(groups.index[groups > 1], "not matched: there are scans in both groups")
    able = people.drop(index=list(unmatched))
    cases, controls = able[able["is_case"] == 1], able[able["is_case"] == 0]
    distance = _distances(cases, controls, people, matching)
    pairs = [(str(cases.index[case]), str(controls.index[control])) for case, control in _assign(distance)]
    possible = np.isfinite(distance)
    has_partner = {*cases.index[possible.any(axis=1)], *controls.index[possible.any(axis=0)]}
    for name, person in able.drop(index=[name for pair in pairs for name in pair]).iterrows():
        unmatched[str(name)] = _reason(person, name in has_partner, people, matching)
    return pairs, unmatched


def _distances(cases: pd.DataFrame, controls: pd.DataFrame, people: pd.DataFrame, matching: Matching) -> np.ndarray:
    """(cases, controls): sum of squared differences in standard deviations over ``people``; infinite: no pair."""
    distance = np.zeros((len(cases), len(controls)))
    for column in matching.columns:
        if _is_number(people[column]):
            spread = people[column].std() or 1.0  # 0: the same for everybody
            first, second = (table[column].to_numpy(float) / spread for table in (cases, controls))
            difference = np.abs(first[:, None] - second)
            distance += np.where(difference <= matching.caliper, difference**2, np.inf)
        else:
            distance[cases[column].to_numpy()[:, None] != controls[column].to_numpy()] = np.inf
    return distance


def _assign(distance: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns of the most pairs of finite distance and, among such choices, of the smallest sum."""
    possible = np.isfinite(distance)
    forbidden = 1.0 + min(distance.shape) * distance.max(initial=0.0, where=possible)  # dearer than all together
    chosen = zip(*linear_sum_assignment(np.where(possible, distance, forbidden)), strict=True)
    return [(int(row), int(column)) for row, column in chosen if possible[row, column]]


def _reason(person: pd.Series, has_partner: bool, people: pd.DataFrame, matching: Matching) -> str:
    """Why a participant has no partner, e.g. ``no control within 0.5 SD of age 71 and of sex M``."""
    own, other = ("case", "control") if person["is_case"] else ("control", "case")
    numbers = [f"{name} {person[name]:g}" for name in matching.columns if _is_number(people[name])]
    words = [f"{name} {person[name]}" for name in matching.columns if not _is_number(people[name])]
    within = f" within {matching.caliper:g} SD of {', '.join(numbers)}" if numbers else ""
    alike = f"{other}{within}{' and' * bool(numbers and words)}{' of ' + ', '.join(words) if words else ''}"
    return f"not matched: every {alike} is another {own}'s" if has_partner else f"not matched: no {alike}"


def _is_number(values: pd.Series) -> bool:
    return is_numeric_dtype(values) and not is_bool_dtype(values)
