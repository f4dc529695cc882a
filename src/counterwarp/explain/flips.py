"""The smallest dose that flips the decision, and the map at that dose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from counterwarp.core import layout
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.geometry import Grid
from counterwarp.explain.fields import read_field
from counterwarp.networks.fields import inverse_warp
from counterwarp.networks.warps import tissue_log_jacobian


def doses_to_flip(maps: FileTree) -> pd.Series:
    """Dose to flip by scan_id and direction, from the tables of map-jacobians; NaN where the full dose is not enough.

    Raises
    ------
    InputError
        If there is no such table.
    """
    tables = maps.matching("explanations_*.csv")
    if not tables:
        raise InputError(f"{maps}/explanations_*.csv: expected the tables of map-jacobians, found none.")
    rows = pd.concat([pd.read_csv(path, dtype={"scan_id": str}) for path in tables])
    return rows.drop_duplicates(["scan_id", "direction"]).set_index(["scan_id", "direction"])["dose_to_flip"]


def at_dose(maps: FileTree, scan_id: str, direction: str, dose: float, full: np.ndarray, grid: Grid) -> np.ndarray:
    """Log-Jacobian (X, Y, Z) of the tissue at a dose in [0, 1]; NaN where the warp folds.

    Parameters
    ----------
    full : (X, Y, Z)
        The map at dose 1, which need not be computed again.
    """
    if dose in (0, 1):
        return dose * full
    velocity, warp = (maps / name(scan_id, direction) for name in (layout.velocity, layout.warp))
    field, kind, _ = read_field(velocity if velocity.exists() else warp)
    tissue = inverse_warp(field, kind, grid.spacing, dose)
    return np.where(full != 0, tissue_log_jacobian(tissue, grid.spacing)[0].numpy(), 0)  # 0 outside the brain
