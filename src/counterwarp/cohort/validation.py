"""All problems of a cohort at once, before any work: one table with file, row, what is wrong and what to do."""

from __future__ import annotations

import re

import pandas as pd

from counterwarp.core.errors import ScanError
from counterwarp.core.geometry import same_grid
from counterwarp.core.scans import content_hash, load_t1w

PROBLEM_COLUMNS = ["scan_id", "row", "file", "problem", "remedy", "severity"]
LABEL = re.compile(r"[A-Za-z0-9]+")
AGE = re.compile(r"\d{1,3}(\.\d*)?")
MISSING = ("", "n/a")  # as BIDS writes what is not known


class Problems:
    """The rows of the table. ``severity`` is table (always stops the run) or image (the scan can be set aside)."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def add(self, scan: pd.Series, problem: str, remedy: str, severity: str = "table", file: str = "") -> None:
        """Note what is wrong with a scan's row of the table, or with one of its files."""
        values = [scan["scan_id"], scan["row"], file, problem, remedy, severity]
        self.rows.append(dict(zip(PROBLEM_COLUMNS, values, strict=True)))

    def table(self) -> pd.DataFrame:
        """PROBLEM_COLUMNS, a row per problem, in the order of the samplesheet."""
        return pd.DataFrame(self.rows, columns=PROBLEM_COLUMNS).sort_values("row", kind="stable", ignore_index=True)


def find_problems(table: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Check every row and open every image of the cohort's groups.

    Parameters
    ----------
    table : a row per scan with scan_id, participant_id, session_id, t1w, mask (paths), group and row

    Returns
    -------
    A row per problem, PROBLEM_COLUMNS. Rows of another group are not the cohort's and are not opened.
    """
    problems = Problems()
    for _, scan in table[table["group"].isin(MISSING)].iterrows():
        problems.add(scan, "no group", "name its group in the table, or exclude the scan", "image")
    ours = table[table["group"].isin(groups)]
    for _, scan in ours.iterrows():
        _check_row(scan, problems)
    for _, scan in ours[ours["scan_id"].duplicated()].iterrows():
        problems.add(scan, f"{scan['scan_id']} appears twice", "add a session_id, or drop one row")
    _check_images(ours, problems)
    for name in groups:
        members = ours.loc[ours["group"] == name, "participant_id"].nunique()
        if members < 2:
            nobody = pd.Series({"scan_id": "", "row": 0})
            problems.add(nobody, f"group '{name}' has {members} participant", "add participants; every fold needs one")
    return problems.table()


def _check_row(scan: pd.Series, problems: Problems) -> None:
    """What can be said without opening an image."""
    participant = scan["participant_id"].removeprefix("sub-")
    if not participant:
        problems.add(scan, "no participant_id", "name the participant, or drop the row")
    for entity in (participant, scan["session_id"]):
        if entity and not LABEL.fullmatch(entity):
            problems.add(scan, f"'{entity}' is not a BIDS label", "use letters and digits only")
    age = str(scan.get("age", "")).strip()
    if age not in MISSING and not AGE.fullmatch(age):
        problems.add(scan, f"age '{age}' is not a number of years", "give years as a number, or leave it empty")


def _check_images(table: pd.DataFrame, problems: Problems) -> None:
    """Open every image once; the same picture under two names would stand on both sides of a fold."""
    owners: dict[str, str] = {}
    for _, scan in table.iterrows():
        if not scan["t1w"]:
            problems.add(scan, "no t1w", "give the path of the scan, or drop the row")
            continue
        file = scan["t1w"]
        try:
            t1w = load_t1w(file)
            owner = owners.setdefault(content_hash(t1w), scan["scan_id"])
            if owner != scan["scan_id"]:
                problems.add(scan, f"the same image as {owner}", "correct the path, or drop one row", file=file)
            if scan["mask"]:
                file = scan["mask"]
                mask = load_t1w(file)
                if not same_grid(mask, t1w):
                    what = f"a mask of {mask.shape} voxels on another grid than its scan {t1w.shape}"
                    problems.add(scan, what, "resample it to the scan", "image", file)
        except ScanError as error:
            severity = "table" if error.problem == "file not found" else "image"
            problems.add(scan, error.problem, error.remedy, severity, file)
