"""The report's tables of people and scans."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from counterwarp.core import layout
from counterwarp.report.figures import thumbnail
from counterwarp.report.results import Results

SIGNIFICANT_P = 0.05
DOUBTFUL_FIRST = {"FAIL": 0, "REVIEW": 1, "PASS": 2}


def describe_groups(cohort: pd.DataFrame) -> list[dict[str, Any]]:
    """Per group: participants, scans, and mean (SD) over participants of every covariate that is a number."""
    described: list[dict[str, Any]] = []
    for group, members in cohort.groupby("group"):
        people = members.drop_duplicates("participant_id")
        numbers = people.select_dtypes("number").drop(columns="is_case").dropna(axis="columns", how="all")
        covariates = {str(name): f"{values.mean():.1f} ({values.std():.1f})" for name, values in numbers.items()}
        described.append({"group": group, "participants": len(people), "scans": len(members), **covariates})
    return described


def scan_quality(results: Results, groups: dict[str, str]) -> list[dict[str, Any]]:
    """Quality record of every aligned scan with its mosaic (a data URI, or empty), doubtful scans first.

    ``groups`` maps scan_id to group label.
    """
    mosaics = {path.name: path for path in results.all("*_mosaic.png")}
    scans = []
    for path in results.all("*_desc-qc.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        mosaic = mosaics.get(layout.scan_file(record["scan_id"], "mosaic.png", desc="qc"))
        record["mosaic"] = thumbnail(mosaic) if mosaic else ""
        record["group"] = groups.get(record["scan_id"], "")
        scans.append(record)
    return sorted(scans, key=lambda scan: (DOUBTFUL_FIRST[scan["status"]], scan["scan_id"]))


def quality_metrics(scans: list[dict[str, Any]]) -> pd.DataFrame:
    """Metrics of the scans' quality records, a row per scan, index scan_id."""
    return pd.DataFrame.from_dict({scan["scan_id"]: scan["metrics"] for scan in scans}, orient="index")


def participants(explanations: pd.DataFrame, typicality: dict[str, float], groups: dict[int, str]) -> pd.DataFrame:
    """A row per scan: logit, decision, dose to flip in each direction, and how typical its participant's map is.

    ``right``: whether the classifier is right. A dose is 0 if the scan is called so as it is, and empty if the full
    dose is not enough.
    """
    doses = explanations.pivot(index="scan_id", columns="direction", values="dose_to_flip")
    scans = explanations.drop_duplicates("scan_id").set_index("scan_id")
    called = (scans["logit"] > 0).astype(int)
    return pd.DataFrame({
        "group": scans["is_case"].map(groups),
        "logit": scans["logit"],
        "called": called.map(groups),
        "right": called == scans["is_case"],
        "inject_dose": doses["inject"].reindex(scans.index),
        "remove_dose": doses["remove"].reindex(scans.index),
        "typicality": scans["participant_id"].map(typicality),
    }).reset_index()  # fmt: skip


def significant_regions(regions: pd.DataFrame, column: str = "p_fwe") -> pd.DataFrame:
    """Regions below a corrected p of 0.05, the largest change first."""
    return regions[regions[column] < SIGNIFICANT_P].sort_values("change_percent", key=abs, ascending=False)


def with_measured(regions: pd.DataFrame, measured: pd.DataFrame | None) -> pd.DataFrame:
    """The region table beside what a segmentation measured (``region``, ``measured_percent``), empty where unknown."""
    return regions if measured is None else regions.merge(measured, on="region", how="left")


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as rows for the page, empty cells as empty words."""
    filled = table.astype(object).where(table.notna(), "")
    return [dict(zip(filled.columns.astype(str), row, strict=True)) for row in filled.to_numpy().tolist()]
