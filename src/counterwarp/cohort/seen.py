"""Which of a cohort's scans had a part in training the networks of an earlier run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from counterwarp.cohort.review import Verdict
from counterwarp.core import layout
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.geometry import Grid

COLUMNS = ["scan_id", "participant_id", "t1w_sha256"]


def scan_hash(scans: FileTree, scan_id: str) -> str | None:
    """SHA-256 of the scan's voxels as they were given, from the record of its extraction."""
    path = scans / layout.extraction_record(scan_id)
    return json.loads(path.read_text(encoding="utf-8")).get("t1w_sha256") if path.is_file() else None


def exclude_seen(verdicts: dict[str, Verdict], cohort: pd.DataFrame, scans: FileTree, models: Path) -> None:
    """Fail every scan of a participant, and every copy of a scan, that trained one of the earlier simulators."""
    seen = pd.concat(pd.read_csv(_of_simulator(folder, "scans.csv"), dtype=str) for folder in _folds(models))
    participants, hashes = set(seen["participant_id"]), set(seen["t1w_sha256"].dropna())
    for scan_id, participant in zip(cohort["scan_id"], cohort["participant_id"], strict=True):
        if verdicts[scan_id].status == "FAIL":
            continue
        if scan_hash(scans, scan_id) in hashes:
            verdicts[scan_id] = Verdict("pack_cohort", "FAIL", ["the simulators were trained on this very scan"])
        elif participant in participants:
            reason = "the simulators were trained on a participant of this name; if it is another person, rename it"
            verdicts[scan_id] = Verdict("pack_cohort", "FAIL", [reason])


def check_models(models: Path, grid: Grid, folds: int) -> None:
    """Do earlier networks fit this run?

    Raises
    ------
    InputError
        If there are not ``folds`` of them, or they were trained on another grid.
    """
    found = _folds(models)
    if len(found) != folds:
        raise InputError(
            f"{models}: expected --folds {folds} folders fold-*, found {len(found)}. Give --folds so many."
        )
    for folder in found:
        trained = json.loads(_of_simulator(folder, "simulator.json").read_text(encoding="utf-8"))["grid"]
        affine = np.array(trained["affine"])
        if tuple(trained["shape"]) != grid.shape or not np.allclose(affine, grid.affine, atol=1e-3):
            spacing = Grid(tuple(trained["shape"]), affine).spacing
            raise InputError(
                f"{folder}: expected networks of this run's grid {grid.shape} at {grid.spacing} mm, got "
                f"{tuple(trained['shape'])} at {spacing} mm. Give the --resolution or --shape of the earlier run."
            )


def _folds(models: Path) -> list[Path]:
    return sorted(path for path in models.glob("fold-*") if path.is_dir())


def _of_simulator(folder: Path, name: str) -> Path:
    path = folder / "simulator" / name
    if not path.is_file():
        raise InputError(f"{path}: expected what train-simulator wrote, found no such file. Give the folder models/.")
    return path
