"""What the report says in numbers and words: evaluation.json, the headline, tables of settings and times."""

from __future__ import annotations

import platform
from collections import defaultdict
from importlib.metadata import version
from statistics import median
from typing import Any

import pandas as pd

from counterwarp import __version__
from counterwarp.explain.balance import AUC, PICTURE
from counterwarp.explain.evaluation import classifier_metrics, finite, simulator_metrics

PACKAGES = (
    "antspyx", "captum", "lightning-fabric", "monai", "nibabel", "nilearn", "numpy", "scikit-learn", "scipy",
    "simpleitk", "torch",
)  # fmt: skip
WEAK_AUC = 0.7  # below it the classifier has found little, and a map of its reasons shows little
WEAK_MARGIN = 0.9  # share of scans; below it the simulators often fail to do what they were trained for


def evaluate(
    predictions: pd.DataFrame, explanations: pd.DataFrame, comparison: dict[str, Any], records: list[dict[str, Any]],
    balance: pd.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    """The content of evaluation.json.

    Parameters
    ----------
    predictions : DataFrame
        Held-out scans only (split == test), over all folds.
    explanations : DataFrame
        One row per held-out scan and direction.
    comparison : dict
        comparison.json; its truth enters only if there is one.
    records : list of dict
        All stages' records.
    balance : DataFrame
        What else differs between the groups, see ``explain.balance``.
    """
    evaluation = {
        "version": __version__,
        "participants": comparison["participants"],
        "classifier": classifier_metrics(predictions),
        "simulator": simulator_metrics(explanations),
        "consistency": comparison["consistency"],
        "saliency": comparison["saliency"],
        "balance": balance.to_dict("records"),
        "seconds": seconds(records),
    }
    if "truth" in comparison:
        evaluation["truth"] = {key: value for key, value in comparison["truth"].items() if key != "planted"}
    return finite(evaluation)


def seconds(records: list[dict[str, Any]]) -> dict[str, float]:
    """Wall-clock seconds per stage, summed over its tasks."""
    return {stage: round(sum(times), 1) for stage, times in _times(records).items()}


def stage_table(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per stage: tasks, seconds in all and of the median task; the longest stage on top."""
    rows = [
        {"stage": stage, "tasks": len(times), "total": sum(times), "median": median(times)}
        for stage, times in _times(records).items()
    ]
    return sorted(rows, key=lambda row: -row["total"])


def settings_table(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings of each stage that has some (tasks of a stage share them)."""
    return {record["stage"]: record["settings"] for record in records if record.get("settings")}


def software() -> dict[str, str]:
    """Versions that make the numbers."""
    return {"counterwarp": __version__, "python": platform.python_version(), **{p: version(p) for p in PACKAGES}}


def warnings(evaluation: dict[str, Any]) -> list[str]:
    """What a reader must know before believing the maps, in plain words."""
    found = []
    if evaluation["classifier"]["auc"] < WEAK_AUC:
        found.append(
            f"The classifier barely tells the groups apart (AUC {evaluation['classifier']['auc']:.2f}). "
            "Maps of its reasons then show little more than chance."
        )
    for direction, share in evaluation["simulator"]["margin_reached"].items():
        if share < WEAK_MARGIN:
            found.append(
                f"Under {direction} only {share:.0%} of held-out scans moved by the margin: many maps explain less "
                "of the decision than they should."
            )
    folding = evaluation["simulator"]["folding_fraction"]
    if folding:
        found.append(f"Warps fold in {folding:.2%} of brain voxels; volume change has no meaning there.")
    return found + [_imbalance(row) for row in evaluation["balance"] if row["warn"]]


def _imbalance(row: dict[str, Any]) -> str:
    """One other difference between the groups, in words."""
    name = row["property"].replace("_", " ")
    size = f"{row['measure']} {row['size']:.2f}"
    if row["measure"] == AUC:
        size = f"a case is above a control with a chance of {row['size']:.0%}"
    what = f"The groups also differ in {name} ({row['control']} in controls, {row['case']} in cases; {size}). "
    if row["kind"] == PICTURE:
        return what + (
            "That is a property of the pictures: the classifier may have used it, and a warp cannot show it. Compare "
            "scans of one scanner and protocol."
        )
    return (
        what + "The maps may show this difference as much as the groups'. Match the groups, or compare within levels."
    )


def _times(records: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Seconds of every task by stage."""
    times: dict[str, list[float]] = defaultdict(list)
    for record in records:
        times[record["stage"]].append(record["seconds"])
    return times
