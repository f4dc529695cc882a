"""The packed cohort: one memory-mapped array of scans on the network grid and an index table.

A cohort folder holds ``images.npy`` (N, X, Y, Z) float16, z-scored inside the brain and 0 outside;
``index.csv`` (one row per position: scan_id, participant_id, session_id, group, is_case, fold, chunk, qc_status,
covariates); ``brain_mask.nii.gz`` on the network grid; ``cohort.json`` (case and control label, folds, record);
``exclusions.csv`` (who was left out, at which stage and why).
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from counterwarp.core import images
from counterwarp.core.geometry import Grid


class CohortStore:
    """Read access to a packed cohort; images stay on disk until they are indexed."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.index = pd.read_csv(self.folder / "index.csv", dtype={"participant_id": str, "session_id": str})
        self.index["group"] = self.index["group"].astype(str)
        self.info = json.loads((self.folder / "cohort.json").read_text(encoding="utf-8"))

    @cached_property
    def images(self) -> np.ndarray:
        """(N, X, Y, Z) float16 memory map, z-scored inside the brain."""
        return np.load(self.folder / "images.npy", mmap_mode="r")

    @cached_property
    def brain_mask(self) -> np.ndarray:
        """(X, Y, Z) bool: the template's brain on the network grid."""
        return images.load(self.folder / "brain_mask.nii.gz")[0] > 0

    @cached_property
    def grid(self) -> Grid:
        """The network grid, axis-aligned RAS+ mm."""
        return images.load(self.folder / "brain_mask.nii.gz")[1]

    def positions(self, fold: int, held_out: bool) -> np.ndarray:
        """Positions of the scans in (``held_out``) or outside a fold; a participant is on one side only."""
        return np.flatnonzero((self.index["fold"] == fold).to_numpy() == held_out)
