"""Stage CHECK_COHORT: read the cohort and report every problem before any work."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from counterwarp.cohort.samplesheet import choose_groups, normalise, read_bids, read_samplesheet
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record


def check_cohort(
    source: Path, group_column: str, case: str, control: str, on_bad_scan: str, folds: int, output: Path
) -> None:
    """Write cohort.csv (usable scans) and problems.csv.

    Raises
    ------
    InputError
        For every problem of the table at once, and for bad scans if ``on_bad_scan`` is stop.
    """
    output.mkdir(parents=True, exist_ok=True)
    with stage_record(output / "check_cohort.json", "check_cohort", source=source) as record:
        if not source.exists():
            raise InputError(f"{source}: --input not found. Give a samplesheet (CSV, TSV) or a BIDS folder.")
        table = read_bids(source, group_column) if source.is_dir() else read_samplesheet(source, group_column)
        case, control = choose_groups(set(table["group"]) - {"", "n/a"}, case, control)
        cohort, problems = normalise(table, case, control)
        problems.to_csv(output / "problems.csv", index=False)
        stops = problems if on_bad_scan == "stop" else problems[problems["severity"] == "table"]
        if len(stops):
            lines = [_line(problem) for problem in stops.to_dict("records")]
            raise InputError("\n".join([f"{source}: {len(stops)} problem(s)", *lines]))
        bad = set(problems.loc[problems["severity"] == "image", "scan_id"])
        cohort = cohort[~cohort["scan_id"].isin(bad)]
        smallest = cohort.groupby("group")["participant_id"].nunique()
        if len(smallest) < 2 or smallest.min() < folds:
            raise InputError(
                f"{source}: groups have {smallest.to_dict()} participants, expected at least --folds {folds}."
            )
        cohort.to_csv(output / "cohort.csv", index=False)
        record |= {"case": case, "control": control, "scans": len(cohort), "set_aside": sorted(bad)}


def _line(problem: dict[Hashable, Any]) -> str:
    """One problem as a line of the message: row, file, what is wrong, what to do."""
    row = f"row {problem['row']}: " if problem["row"] > 0 else ""
    file = f"{problem['file']}: " if problem["file"] else ""
    return f"  {row}{file}{problem['problem']}. To do: {problem['remedy']}."
