"""The cohort as the user gives it: a samplesheet (CSV, TSV) or a BIDS folder; all of its problems at once."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from counterwarp.core import images
from counterwarp.core.errors import InputError

COLUMNS = ["scan_id", "participant_id", "session_id", "t1w", "mask", "group", "is_case"]
PROBLEM_COLUMNS = ["scan_id", "row", "file", "problem", "remedy", "severity"]
LABEL = re.compile(r"[A-Za-z0-9]+")


def read_samplesheet(path: Path, group_column: str) -> pd.DataFrame:
    """Rows of a CSV or TSV with absolute paths; the columns participant_id, t1w and the group are required."""
    separator = "\t" if path.suffix == ".tsv" else ","
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    missing = [c for c in ("participant_id", "t1w", group_column) if c not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(table.columns)}. Add it.")
    table = table.rename(columns={group_column: "group"})
    for column in ("t1w", "mask"):
        values = table[column] if column in table else pd.Series("", index=table.index)
        table[column] = [str((path.parent / v).resolve()) if v else "" for v in values]
    return table


def read_bids(folder: Path, group_column: str) -> pd.DataFrame:
    """All T1w scans of a BIDS folder joined with participants.tsv."""
    from bids import BIDSLayout

    participants = folder / "participants.tsv"
    if not participants.is_file():
        raise InputError(f"{participants}: not found. A BIDS folder needs it for --group_column {group_column}.")
    people = pd.read_csv(participants, sep="\t", dtype=str, keep_default_na=False)
    if group_column not in people:
        raise InputError(f"{participants}: no column {group_column}; found {', '.join(people.columns)}.")
    rows = []
    for scan in BIDSLayout(folder, validate=False).get(suffix="T1w", extension=[".nii", ".nii.gz"]):
        entities = scan.get_entities()
        rows.append({
            "participant_id": f"sub-{entities['subject']}", "session_id": entities.get("session", ""),
            "run_id": str(entities.get("run", "")), "t1w": scan.path, "mask": "",
        })  # fmt: skip
    if not rows:
        raise InputError(f"{folder}: no T1w scan (sub-*/anat/*_T1w.nii.gz) found.")
    return pd.DataFrame(rows).merge(people.rename(columns={group_column: "group"}), on="participant_id", how="inner")


def normalise(table: pd.DataFrame, case: str, control: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add scan_id and is_case, keep the two groups, and list everything that is wrong.

    Returns
    -------
    cohort : rows of the two groups with COLUMNS first, covariates after
    problems : a row per problem; ``severity`` table (always stops) or image (the scan can be set aside)
    """
    problems: list[dict] = []

    def report(row: int, problem: str, remedy: str, severity: str = "table", file: str = "") -> None:
        scan_id = table["scan_id"].get(row, "") if "scan_id" in table else ""
        problems.append(dict(zip(PROBLEM_COLUMNS, [scan_id, row + 2, file, problem, remedy, severity], strict=True)))

    table = table.copy()
    table["participant_id"] = ["sub-" + str(p).removeprefix("sub-") for p in table["participant_id"]]
    session = table["session_id"] if "session_id" in table else pd.Series("", index=table.index)
    table["session_id"] = [s.removeprefix("ses-") for s in session.fillna("")]
    run = table.pop("run_id") if "run_id" in table else pd.Series("", index=table.index)
    table["scan_id"] = [
        p + (f"_ses-{s}" if s else "") + (f"_run-{r}" if r else "")
        for p, s, r in zip(table["participant_id"], table["session_id"], run, strict=True)
    ]
    table = table[table["group"].isin([case, control])].copy()
    table["is_case"] = (table["group"] == case).astype(int)
    for row, scan in table.iterrows():
        number = int(str(row))
        for entity in (scan["participant_id"].removeprefix("sub-"), scan["session_id"]):
            if entity and not LABEL.fullmatch(entity):
                report(number, f"'{entity}' is not a BIDS label", "use letters and digits only")
        for file in filter(None, (scan["t1w"], scan["mask"])):
            if not Path(file).is_file():
                report(number, "file not found", "correct the path or drop the row", file=file)
                continue
            try:
                images.load_t1w(file)
            except InputError as error:
                report(number, str(error).removeprefix(f"{file}: "), "see the message, or drop the row", "image", file)
        if "age" in scan and scan["age"] and not re.fullmatch(r"\d+(\.\d+)?", str(scan["age"])):
            report(number, f"age '{scan['age']}' is not a number", "give years as a number, or leave it empty")
    for row in table.index[table["scan_id"].duplicated()]:
        report(int(row), f"{table['scan_id'][row]} appears twice", "add a session_id, or drop one row")
    for name, value in ((case, 1), (control, 0)):
        members = table.loc[table["is_case"] == value, "participant_id"].nunique()
        if members < 2:
            report(-2, f"group '{name}' has {members} participant", "add participants; every fold needs one")
    extra = [c for c in table.columns if c not in COLUMNS]
    return table[COLUMNS + extra], pd.DataFrame(problems, columns=PROBLEM_COLUMNS)


def choose_groups(labels: set[str], case: str, control: str) -> tuple[str, str]:
    """Which label is the case group and which the control group; InputError that lists the labels if unclear."""
    if not case and not control and labels == {"case", "control"}:
        return "case", "control"
    if case in labels and control in labels and case != control:
        return case, control
    raise InputError(
        f"groups found: {', '.join(sorted(labels))}; asked for case '{case}' and control '{control}'. "
        "Name two of them with --case and --control."
    )
