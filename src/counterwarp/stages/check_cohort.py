"""Stage CHECK_COHORT: read the cohort and report every problem before any work."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from counterwarp.cohort.matching import Matching, check_matching
from counterwarp.cohort.samplesheet import (
    COLUMNS,
    add_scan_ids,
    choose_groups,
    read_bids,
    read_samplesheet,
    select_scans,
)
from counterwarp.cohort.targets import one_or_all
from counterwarp.cohort.validation import MISSING, find_problems
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record


@dataclass(frozen=True)
class Selection:
    """Which scans of the input are wanted: labels of participants and sessions (all if empty), less the excluded."""

    participants: list[str]
    sessions: list[str]
    excluded: list[str]


def check_cohort(
    source: Path, group_column: str, case: str, control: str, selection: Selection, on_bad_scan: str, folds: int,
    output: Path, matching: Matching | None = None,
) -> None:  # fmt: skip
    """Write cohort.csv (usable scans) and problems.csv.

    Raises
    ------
    InputError
        For every problem of the table at once, for bad scans if ``on_bad_scan`` is stop, and if the groups cannot be
        matched by what is asked for (PACK_COHORT does that; nothing is to be computed in vain).
    """
    output.mkdir(parents=True, exist_ok=True)
    with stage_record(output / "check_cohort.json", "check_cohort", selection, source=source) as record:
        if not source.exists():
            raise InputError(f"{source}: --input not found. Give a samplesheet (CSV, TSV) or a BIDS folder.")
        table = read_bids(source, group_column) if source.is_dir() else read_samplesheet(source, group_column)
        table = select_scans(add_scan_ids(table), selection.participants, selection.sessions, selection.excluded)
        cases, control = choose_groups(set(table["group"]) - set(MISSING), case, control)
        problems = find_problems(table, [*cases, control])
        problems.to_csv(output / "problems.csv", index=False)
        stops = problems if on_bad_scan == "stop" else problems[problems["severity"] == "table"]
        if len(stops):
            raise InputError("\n".join([f"{source}: {len(stops)} problem(s)", *_lines(stops)]))
        if len(problems):
            print(f"{source}: {len(problems)} scan(s) set aside", *_lines(problems), sep="\n")
        bad = set(problems["scan_id"])
        others = table.loc[~table["group"].isin([*cases, control, *MISSING]), "scan_id"]
        cohort = _cohort(table[~table["scan_id"].isin(bad)], [control, *cases])
        smallest = cohort.groupby("group")["participant_id"].nunique()
        if len(smallest) < 1 + len(cases) or smallest.min() < folds:
            raise InputError(
                f"{source}: groups have {smallest.to_dict()} participants, expected at least --folds {folds}."
            )
        if matching:
            check_matching(cohort, matching)
        cohort.to_csv(output / "cohort.csv", index=False)
        record |= {"case": one_or_all(cases), "control": control, "scans": len(cohort), "set_aside": sorted(bad)}
        record["other_groups"] = sorted(others)


def _cohort(table: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """The rows of the groups, controls first among them: COLUMNS first, covariates after."""
    table = table[table["group"].isin(groups)].drop(columns="row")
    table = table.assign(is_case=[groups.index(group) for group in table["group"]])
    return table[COLUMNS + [column for column in table if column not in COLUMNS]]


def _lines(problems: pd.DataFrame) -> list[str]:
    """Problems as lines of a message: row, file, what is wrong, what to do."""
    return [_line(problem) for problem in problems.to_dict("records")]


def _line(problem: dict[Hashable, Any]) -> str:
    """One problem as a line of the message: row, file, what is wrong, what to do."""
    row = f"row {problem['row']}: " if problem["row"] > 0 else ""
    file = f"{problem['file']}: " if problem["file"] else ""
    return f"  {row}{file}{problem['problem']}. To do: {problem['remedy']}."
