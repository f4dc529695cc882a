"""The packed cohort: one memory-mapped array of scans on the network grid and an index table.

A cohort folder holds ``images.npy`` (N, X, Y, Z) float16, z-scored inside the brain and 0 outside;
``index.csv`` (one row per position: scan_id, participant_id, session_id, group, is_case, fold, chunk, qc_status,
covariates; see ``cohort.targets`` for is_case); ``brain_mask.nii.gz`` on the network grid; ``cohort.json`` (label of
the case group, or a list of several, and of the controls; folds, record);
``exclusions.csv`` (who was left out, at which stage and why).
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from counterwarp.cohort.targets import of_target, target_groups
from counterwarp.core import images
from counterwarp.core.geometry import Grid


class CohortStore:
    """Read access to a packed cohort; images stay on disk until they are indexed.

    Parameters
    ----------
    folder : of the packed cohort
    target : str, optional
        Label of a case group: the index then has the controls and this group alone (``is_case`` 0 and 1). Empty: the
        only case group. None: everybody.

    Attributes
    ----------
    index : DataFrame, a row per scan; its labels are positions in ``images``
    targets : labels of the case groups in the order of their numbers, if there are several

    Raises
    ------
    InputError
        If there is no such case group, or none is named although there are several.
    """

    def __init__(self, folder: str | Path, target: str | None = None):
        self.folder = Path(folder)
        words = {"participant_id": str, "session_id": str, "group": str}
        self.index = pd.read_csv(self.folder / "index.csv", dtype=words)
        self.targets = target_groups(self.index)
        if target is not None:
            self.index = of_target(self.index, target)
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
        return self.index.index[(self.index["fold"] == fold) == held_out].to_numpy()
