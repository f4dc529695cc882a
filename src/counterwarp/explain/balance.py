"""What else differs between the groups. A classifier can use age, site or contrast just as well as anatomy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, mannwhitneyu
from scipy.stats.contingency import association

from counterwarp.explain.evaluation import auc

NOT_COVARIATES = ["scan_id", "participant_id", "session_id", "t1w", "mask", "group", "is_case"]
PICTURE_METRICS = ("contrast_to_noise", "white_to_grey", "voxel_volume_mm3")  # not of the brain
COVARIATE, PICTURE, BRAIN = "covariate", "picture", "brain"  # kinds
AUC, CRAMER = "AUC", "Cramér's V"
LEVELS = 20  # a column of more different words is no covariate but notes
FOUND, LARGE = 0.05, {AUC: 0.2, CRAMER: 0.3}  # q; distance of AUC from 0.5, and V, from which a reader is warned


def group_balance(cohort: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Compare controls and cases in every covariate and quality metric, over participants.

    Parameters
    ----------
    cohort : a row per scan: ``scan_id``, ``participant_id``, ``is_case`` and covariates
    metrics : quality metrics, a row per scan, index scan_id

    Returns
    -------
    DataFrame, the largest difference first. ``property``, ``kind`` (covariate, picture, brain); ``control``, ``case``:
    mean (standard deviation) or the levels' shares; ``measure``, ``size``: AUC (chance that a case's value is above a
    control's; 0.5: no difference) of numbers, Cramér's V of words; ``q``: Mann-Whitney or chi-squared p after
    Benjamini and Hochberg over all rows; ``warn``: large and q < 0.05.
    """
    covariates = cohort.drop(columns=NOT_COVARIATES, errors="ignore")
    kinds = dict.fromkeys(covariates, COVARIATE) | {
        name: PICTURE if name in PICTURE_METRICS else BRAIN for name in metrics if name not in covariates
    }
    scans = cohort[["scan_id", "participant_id", "is_case", *covariates]].merge(
        metrics[[name for name in metrics if name not in covariates]], left_on="scan_id", right_index=True, how="left"
    )
    grouped = scans.groupby("participant_id")
    people = grouped.first().assign(**grouped[scans.select_dtypes("number").columns.tolist()].mean())
    rows = [
        {"property": name, "kind": kind, **row}
        for name, kind in kinds.items()
        if (row := _compare(people[name], people["is_case"] == 1))
    ]
    if not rows:
        return pd.DataFrame(columns=["property", "kind", "control", "case", "measure", "size", "q", "warn"])
    table = pd.DataFrame(rows)
    table["q"] = false_discovery_control(table.pop("p"))
    distance = table["size"].where(table["measure"] == CRAMER, (table["size"] - 0.5).abs())
    limits = table["measure"].map(LARGE)
    table["warn"] = (table["q"] < FOUND) & (distance >= limits)
    return table.iloc[np.argsort(-(distance / limits), kind="stable")].reset_index(drop=True)


def _compare(values: pd.Series, is_case: pd.Series) -> dict[str, Any]:
    """One property of the participants in both groups; empty where there is nothing to compare."""
    known = values.notna()
    values, is_case = values[known], is_case[known]
    if values.nunique() < 2 or min(is_case.sum(), (~is_case).sum()) < 2:
        return {}
    if pd.api.types.is_numeric_dtype(values):
        controls, cases = values[~is_case].to_numpy(float), values[is_case].to_numpy(float)
        control, case = (f"{_digits(v.mean(), 3)} ({_digits(v.std(ddof=1), 2)})" for v in (controls, cases))
        p = float(mannwhitneyu(cases, controls).pvalue)
        return {"control": control, "case": case, "measure": AUC, "size": float(auc(cases, controls)), "p": p}
    counts = pd.crosstab(values, is_case)
    if len(counts) > LEVELS:
        return {}
    control, case = (
        ", ".join(f"{level} {share:.0%}" for level, share in (counts[group] / counts[group].sum()).items())
        for group in (False, True)
    )
    p, size = float(chi2_contingency(counts).pvalue), float(association(counts.to_numpy(), method="cramer"))
    return {"control": control, "case": case, "measure": CRAMER, "size": size, "p": p}


def _digits(value: float, digits: int) -> str:
    """A number with so many significant digits, without an exponent."""
    return f"{float(f'{value:.{digits}g}'):.15g}"
