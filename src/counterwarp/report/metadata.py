"""The files that make the outputs a BIDS derivative: participants.tsv and dataset_description.json."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from counterwarp import __version__

BIDS_VERSION = "1.10.0"
NOT_OF_PEOPLE = ["scan_id", "session_id", "t1w", "mask", "is_case"]  # of scans, or of this machine


def write_participants(path: Path, cohort: pd.DataFrame) -> None:
    """One row per participant with group and covariates; empty cells are ``n/a`` as BIDS wants them."""
    people = cohort.drop(columns=[column for column in NOT_OF_PEOPLE if column in cohort])
    people = people.drop_duplicates("participant_id")
    first = ["participant_id", "group"]
    people = people[first + [column for column in people if column not in first]]
    people.to_csv(path, sep="\t", index=False, na_rep="n/a")


def write_description(path: Path) -> None:
    """dataset_description.json of a derivative dataset."""
    description = {
        "Name": "Counterwarp: log-Jacobian explanations of a case/control classifier of T1w MRI",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "counterwarp", "Version": __version__}],
    }
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
