"""Several case groups: which of them a table has, and the rows of one of them against the controls.

``is_case`` is 0 for controls and, for cases, the number of their group: from 1, in the order of ``--case``. Classifier
and simulator know all groups; whatever is explained is one of them, the target, against the controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from scipy.special import expit

from counterwarp.core.errors import InputError


def target_groups(table: pd.DataFrame) -> tuple[str, ...]:
    """Labels of the case groups in the order of their numbers, if there are several; of one alone nothing is asked."""
    labels = _case_groups(table)
    return labels if len(labels) > 1 else ()


def of_target(table: pd.DataFrame, target: str) -> pd.DataFrame:
    """The rows of the controls and of one case group, which ``is_case`` then tells apart by 0 and 1.

    Parameters
    ----------
    table : DataFrame with ``is_case`` and ``group``; rows keep their labels
    target : label of the case group; empty if there is only one

    Raises
    ------
    InputError
        If there is no such case group, or none is named although there are several.
    """
    labels = _case_groups(table)
    if target not in labels and (target or len(labels) > 1):
        known = f"{'one of ' if len(labels) > 1 else ''}{', '.join(labels)}"
        raise InputError(f"--target '{target}': expected {known}, as the case group to explain. Name it with --target.")
    number = labels.index(target) + 1 if target else 1
    rows = table[table["is_case"].isin([0, number])]
    return rows.assign(is_case=(rows["is_case"] == number).astype(int))


def predictions_of_target(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """A classifier's predictions as those of one case group against the controls.

    ``predictions``: see ``training.classifier.predictions_of``. ``logit`` and ``probability`` are then the target's
    against the controls.
    """
    if "group" not in predictions:  # there is one case group
        return predictions
    table = of_target(predictions, target)
    return table.assign(logit=table[logit_column(target)], probability=expit(table[logit_column(target)]))


def one_or_all(values: Sequence[Any]) -> Any:
    """A value per case group as records have it: alone if there is one, else a list."""
    return list(values) if len(values) > 1 else values[0]


def logit_column(target: str) -> str:
    """Name of the column of predictions that holds a case group's logit."""
    return f"logit_{target}"


def _case_groups(table: pd.DataFrame) -> tuple[str, ...]:
    cases = table[table["is_case"] > 0]
    return tuple(cases.groupby("is_case")["group"].first())
