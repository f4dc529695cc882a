"""The questions that the group statistics ask, of voxels and of regions alike."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from counterwarp.core.errors import InputError
from counterwarp.explain.designs import MEAN, Design, levels, make_design, pairs

GROUP_DIFFERENCE = "groupDifference"
BOTH = "half of inject minus remove, of everybody"  # the same function of every participant, whatever the group
MAPS = {"Control": "inject of controls", "Case": "remove of cases", "": BOTH}


@dataclass(frozen=True)
class Contrast:
    """One question.

    Attributes
    ----------
    name : letters and digits, for file names
    design : its linear model
    values : (participants of the design, columns)
    tested : ``mean`` or a column of the table of people
    question : in words
    maps : which maps ``values`` are, in words
    enhanced : whether TFCE is worth its time (it takes nearly all of the statistics')
    comparisons : of how many pairs of levels this is one; its family-wise p is corrected for them
    """

    name: str
    design: Design
    values: np.ndarray
    tested: str
    question: str
    maps: str
    enhanced: bool = False
    comparisons: int = 1


def standard(people: pd.DataFrame, aligned: np.ndarray, both: np.ndarray, covariates: list[str]) -> list[Contrast]:
    """The questions of every run.

    Parameters
    ----------
    people : DataFrame
        One row per participant, with ``is_case`` (see ``designs.make_design``).
    aligned : (participants, columns)
        Inject of controls and minus remove of cases.
    both : (participants, columns)
        Half of inject minus remove.
    covariates : list of str
        Nuisance columns.
    """
    is_case = people["is_case"].to_numpy()
    controls, cases, everyone = np.flatnonzero(is_case == 0), np.flatnonzero(is_case == 1), np.arange(len(people))
    again = "do networks trained on other participants show this change again"
    strangers = "do the networks ask for something else of a held-out case than of a held-out control"

    def ask(name: str, rows: np.ndarray, values: np.ndarray, tested: str, question: str, maps: str) -> Contrast:
        design = make_design(people, rows, tested, covariates)
        return Contrast(name, design, values[rows], tested, question, maps, len(rows) == len(people))

    return [
        ask("injectControl", controls, aligned, MEAN, again, MAPS["Control"]),
        ask("removeCase", cases, -aligned, MEAN, again, MAPS["Case"]),
        ask("aligned", everyone, aligned, MEAN, again, "inject of controls and minus remove of cases"),
        ask(GROUP_DIFFERENCE, everyone, both, "is_case", strangers, BOTH),
    ]


def of_covariate(
    people: pd.DataFrame, aligned: np.ndarray, both: np.ndarray, column: str, covariates: list[str]
) -> tuple[list[Contrast], dict[str, str]]:
    """Whether the change goes with a column: among everybody, controls and cases, and between every two of its words.

    A group in which the column is empty, or the same for everybody, is not asked.

    Returns
    -------
    The contrasts, and by name why others could not be asked (too few participants, or confounded with a covariate).

    Raises
    ------
    InputError
        If there is no such column, nobody can be asked, or two words differ in signs alone.
    """
    if column not in people:
        known = ", ".join(str(name) for name in people.columns)
        raise InputError(f"--comparison.tested {column}: no such column in the cohort; it has {known}.")
    is_case = people["is_case"].to_numpy()
    groups = {
        "": (np.arange(len(people)), both),
        "Control": (np.flatnonzero(is_case == 0), aligned),
        "Case": (np.flatnonzero(is_case == 1), -aligned),
    }
    asked: list[Contrast] = []
    refused: dict[str, str] = {}
    for group, (rows, values) in groups.items():
        if not _can_be_asked(people.iloc[rows], column):
            continue
        name, maps, question = label(column) + group, MAPS[group], f"does the change go with {column}"
        wanted = [(name, people, rows, question, 1), *_pairs(people, rows, column, name)]
        for name, table, some, question, comparisons in wanted:
            try:
                design = make_design(table, some, column, covariates)
            except InputError as error:
                refused[name] = str(error)
                continue
            enhanced = len(some) == len(people)
            asked.append(Contrast(name, design, values[some], column, question, maps, enhanced, comparisons))
    if not asked:
        why = "; ".join(refused.values()) or "in each group it is empty or the same for everybody"
        raise InputError(f"--comparison.tested {column}: {why}. Test another column.")
    return asked, refused


def label(text: str) -> str:
    """Letters and digits of a column or a word, the initial of every further part in capitals: ``a_b`` -> ``aB``."""
    first, *rest = re.findall(r"[A-Za-z0-9]+", text) or [""]
    return first + "".join(part[0].upper() + part[1:] for part in rest)


def _can_be_asked(people: pd.DataFrame, column: str) -> bool:
    """Whether neither group is without values, and the values differ."""
    known = people[column].notna().groupby(people["is_case"]).any()
    return bool(known.all()) and people[column].nunique() > 1


def _pairs(
    people: pd.DataFrame, rows: np.ndarray, column: str, name: str
) -> list[tuple[str, pd.DataFrame, np.ndarray, str, int]]:
    """Name, people, rows, question and number of comparisons of every two levels of a factor of three or more."""
    found = pairs(people, rows, column)
    words = levels(people.iloc[rows], column)
    if found and len({label(word).lower() for word in words}) < len(words):
        raise InputError(
            f"--comparison.tested {column}: file names tell levels by letters and digits, which are not unique among "
            f"{', '.join(words)}. Rename them."
        )
    return [
        (
            f"{name}{label(second).capitalize()}Minus{label(first).capitalize()}", renamed, some,
            f"does the change differ between {column} {second} and {first}", len(found),
        )
        for (first, second), (renamed, some) in found.items()
    ]  # fmt: skip
