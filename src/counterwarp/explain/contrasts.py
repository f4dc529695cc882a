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
    people : DataFrame, see ``designs.make_design``
    rows : positions of its participants
    values : (participants of the question, columns)
    tested : ``mean`` or a column of ``people``
    question : in words
    maps : which maps ``values`` are, in words
    enhanced : whether TFCE is worth its time (it takes nearly all of the statistics')
    comparisons : of how many pairs of levels this is one; its family-wise p is corrected for them
    """

    name: str
    people: pd.DataFrame
    rows: np.ndarray
    values: np.ndarray
    tested: str
    question: str
    maps: str
    enhanced: bool = False
    comparisons: int = 1

    def design(self, covariates: list[str]) -> Design:
        """Its linear model."""
        return make_design(self.people, self.rows, self.tested, covariates)


def standard(people: pd.DataFrame, aligned: np.ndarray, both: np.ndarray) -> list[Contrast]:
    """The questions of every run.

    Parameters
    ----------
    people : DataFrame
        One row per participant, with ``is_case``.
    aligned : (participants, columns)
        Inject of controls and minus remove of cases.
    both : (participants, columns)
        Half of inject minus remove.
    """
    is_case = people["is_case"].to_numpy()
    controls, cases, everyone = np.flatnonzero(is_case == 0), np.flatnonzero(is_case == 1), np.arange(len(people))
    again = "do networks trained on other participants show this change again"
    strangers = "do the networks ask for something else of a held-out case than of a held-out control"
    return [
        Contrast("injectControl", people, controls, aligned[controls], MEAN, again, MAPS["Control"]),
        Contrast("removeCase", people, cases, -aligned[cases], MEAN, again, MAPS["Case"]),
        Contrast(
            "aligned", people, everyone, aligned, MEAN, again, "inject of controls and minus remove of cases", True
        ),
        Contrast(GROUP_DIFFERENCE, people, everyone, both, "is_case", strangers, BOTH, True),
    ]


def of_covariate(people: pd.DataFrame, aligned: np.ndarray, both: np.ndarray, column: str) -> list[Contrast]:
    """Whether the change goes with a column: among everybody, controls and cases, and between every two of its words.

    A group in which the column is empty, or the same for everybody, is not asked.

    Raises
    ------
    InputError
        If there is no such column, nobody can be asked, or two words differ in signs alone.
    """
    if column not in people:
        known = ", ".join(str(name) for name in people.columns)
        raise InputError(f"--comparison.tested {column}: no such column in the cohort; it has {known}.")
    is_case, name = people["is_case"].to_numpy(), label(column)
    groups = {
        "": (np.arange(len(people)), both),
        "Control": (np.flatnonzero(is_case == 0), aligned),
        "Case": (np.flatnonzero(is_case == 1), -aligned),
    }
    found = []
    for group, (rows, values) in groups.items():
        if not _can_be_asked(people.iloc[rows], column, groups=people["is_case"].iloc[rows]):
            continue
        question = f"does the change go with {column}"
        found.append(Contrast(name + group, people, rows, values[rows], column, question, MAPS[group], not group))
        found += _pairs(people, rows, values, column, name + group, MAPS[group])
    if not found:
        raise InputError(
            f"--comparison.tested {column}: in each group it is empty or the same for everybody. Test another column."
        )
    return found


def label(text: str) -> str:
    """Letters and digits of a column or a word, the initial of every further part in capitals: ``a_b`` -> ``aB``."""
    first, *rest = re.findall(r"[A-Za-z0-9]+", text) or [""]
    return first + "".join(part[0].upper() + part[1:] for part in rest)


def _can_be_asked(people: pd.DataFrame, column: str, groups: pd.Series) -> bool:
    """Whether no group is without values, and the values differ."""
    known = people[column].notna().groupby(groups).any()
    return bool(known.all()) and people[column].nunique() > 1


def _pairs(
    people: pd.DataFrame, rows: np.ndarray, values: np.ndarray, column: str, name: str, maps: str
) -> list[Contrast]:
    """A contrast for every two levels of a factor of three or more."""
    found = pairs(people, rows, column)
    words = levels(people.iloc[rows], column)
    if found and len({label(word).lower() for word in words}) < len(words):
        raise InputError(
            f"--comparison.tested {column}: file names tell levels by letters and digits, which are not unique among "
            f"{', '.join(words)}. Rename them."
        )
    return [
        Contrast(
            f"{name}{label(second).capitalize()}Minus{label(first).capitalize()}", renamed, some, values[some], column,
            f"does the change differ between {column} {second} and {first}", maps, comparisons=len(found),
        )
        for (first, second), (renamed, some) in found.items()
    ]  # fmt: skip
