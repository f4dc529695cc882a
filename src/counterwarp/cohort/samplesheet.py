"""The cohort as the user gives it: a samplesheet (CSV, TSV) or a BIDS folder, as one table with a row per scan."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from counterwarp.cohort.validation import LABEL
from counterwarp.core.errors import InputError
from counterwarp.core.tables import read_table

COLUMNS = ["scan_id", "participant_id", "session_id", "t1w", "mask", "group", "is_case"]
BIDS_EXTENSIONS = [".nii", ".nii.gz"]


def read_samplesheet(path: Path, group_column: str) -> pd.DataFrame:
    """Rows of a CSV or TSV with absolute paths; the columns participant_id, t1w and the group are required."""
    table = read_table(path, ("participant_id", "t1w", group_column))
    table = table.rename(columns={group_column: "group"})
    for column in ("t1w", "mask"):
        values = table[column] if column in table else pd.Series("", index=table.index)
        table[column] = [str((path.parent / v).resolve()) if v else "" for v in values]
    return _with_rows(table)


def read_bids(folder: Path, group_column: str) -> pd.DataFrame:
    """All T1w scans of a BIDS folder joined with participants.tsv; who is missing there has no group."""
    from bids import BIDSLayout

    participants = folder / "participants.tsv"
    if not participants.is_file():
        raise InputError(f"{participants}: not found. A BIDS folder needs it for --group_column {group_column}.")
    people = read_table(participants, ("participant_id", group_column))
    if people["participant_id"].duplicated().any():
        twice = people.loc[people["participant_id"].duplicated(), "participant_id"].iloc[0]
        raise InputError(f"{participants}: {twice} has two rows. Drop one.")
    rows = []
    for scan in BIDSLayout(folder, validate=False).get(suffix="T1w", extension=BIDS_EXTENSIONS):
        entities = scan.get_entities()
        rows.append({
            "participant_id": f"sub-{entities['subject']}", "session_id": entities.get("session", ""),
            "run_id": str(entities.get("run", "")), "t1w": scan.path, "mask": "",
        })  # fmt: skip
    if not rows:
        raise InputError(f"{folder}: no T1w scan (sub-*/anat/*_T1w.nii.gz) found.")
    people = _with_rows(people.rename(columns={group_column: "group"}))
    table = pd.DataFrame(rows).merge(people, on="participant_id", how="left")
    table["row"] = table["row"].fillna(0).astype(int)
    return table.fillna("")


def _with_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The row numbers as a column, in place of one that a user calls so."""
    return table.drop(columns="row", errors="ignore").reset_index()


def add_scan_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Write participants and sessions as BIDS does and join them to the scan's name, e.g. sub-01_ses-1_run-2."""
    table = table.copy()
    empty = pd.Series("", index=table.index)
    table["participant_id"] = ["sub-" + str(p).removeprefix("sub-") for p in table["participant_id"]]
    table["session_id"] = [s.removeprefix("ses-") for s in table.get("session_id", empty).fillna("")]
    run = table.pop("run_id") if "run_id" in table else empty
    table["scan_id"] = [
        p + (f"_ses-{s}" if s else "") + (f"_run-{r}" if r else "")
        for p, s, r in zip(table["participant_id"], table["session_id"], run, strict=True)
    ]
    return table


def select_scans(
    table: pd.DataFrame, participants: list[str], sessions: list[str], excluded: list[str]
) -> pd.DataFrame:
    """Keep the named participants and sessions (all if none is named), less the excluded participants or scans.

    Labels are written with or without ``sub-`` and ``ses-``; an excluded one is a participant or a scan_id.

    Raises
    ------
    InputError
        If a label is nowhere in the table: a typing error would otherwise keep a scan that was to be left out.
    """
    participants = [f"sub-{label.removeprefix('sub-')}" for label in participants]
    sessions = [label.removeprefix("ses-") for label in sessions]
    excluded = [f"sub-{label.removeprefix('sub-')}" for label in excluded]
    for option, labels, known in (
        ("--participant_label", participants, table["participant_id"]),
        ("--session_label", sessions, table["session_id"]),
        ("--exclude", excluded, pd.concat([table["participant_id"], table["scan_id"]])),
    ):
        if unknown := sorted(set(labels) - set(known)):
            raise InputError(f"{option} {', '.join(unknown)}: no such scan in the cohort. Correct the label.")
    keep = ~(table["participant_id"].isin(excluded) | table["scan_id"].isin(excluded))
    if participants:
        keep &= table["participant_id"].isin(participants)
    if sessions:
        keep &= table["session_id"].isin(sessions)
    return table[keep].reset_index(drop=True)


def choose_groups(labels: set[str], case: str, control: str) -> tuple[list[str], str]:
    """Labels of the case groups, in the order given, and of the control group.

    Parameters
    ----------
    labels : that the table has
    case : one label, or several by commas
    control : one label

    Raises
    ------
    InputError
        If a label is unknown, named twice or unfit to name a folder, or if it is unclear which are meant.
    """
    if not case and not control and labels == {"case", "control"}:
        return ["case"], "control"
    cases = [case] if case in labels else [label.strip() for label in case.split(",")]
    named = [*cases, control]
    wrong = [f"'{label}' is no group" for label in dict.fromkeys(named) if label not in labels]
    wrong += [f"'{label}' is named twice" for label in dict.fromkeys(named) if named.count(label) > 1]
    if len(cases) > 1:
        wrong += [f"'{label}' is not letters and digits only" for label in cases if not LABEL.fullmatch(label)]
    if not wrong:
        return cases, control
    raise InputError(
        f"groups found: {', '.join(sorted(labels))}; asked for case '{case}' and control '{control}': "
        f"{', '.join(wrong)}. Name two of them with --case and --control, or several case groups by commas: "
        "--case MCI,AD."
    )
