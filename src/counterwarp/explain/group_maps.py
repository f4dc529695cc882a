"""Maps over participants, read one scan at a time, and the planted truth brought onto the network grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform

from counterwarp.core import images
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, read_itk_affine

# A control is explained by inject, a case by remove; the sign turns both into "how cases differ from controls".
DIRECTION = {0: "inject", 1: "remove"}
ALIGNMENT = {"inject": 1.0, "remove": -1.0}
GRID_TOLERANCE_MM = 1e-3  # affines pass through float32 headers


class MeanMap:
    """Weighted mean of maps that are added one by one; memory does not grow with their number.

    Voxels where a map is NaN (the logarithm of a folded Jacobian) are left out of the mean there.
    """

    def __init__(self, shape: tuple[int, ...]):
        self._total = np.zeros(shape)
        self._weight = np.zeros(shape)

    def add(self, values: np.ndarray, weight: float = 1.0) -> None:
        """Add one map (X, Y, Z) with a weight (1 / scans of the participant: people count equally)."""
        finite = np.isfinite(values)
        self._total[finite] += weight * values[finite]
        self._weight += weight * finite

    @property
    def mean(self) -> np.ndarray:
        """(X, Y, Z) float32; 0 where nothing was added."""
        return np.divide(self._total, self._weight, out=np.zeros_like(self._total), where=self._weight > 0).astype(
            np.float32
        )


def load_on_grid(path: Path, grid: Grid) -> np.ndarray:
    """Read a map (X, Y, Z) that must lie on the network grid.

    Raises
    ------
    InputError
        If the file is missing or its grid is another.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a map of a scan in the cohort's index, found no such file.")
    values, found = images.load(path)
    if found.shape != grid.shape or not np.allclose(found.affine, grid.affine, atol=GRID_TOLERANCE_MM):
        raise InputError(
            f"{path}: expected the cohort's grid {grid.shape} at {grid.spacing} mm, got {found.shape} at "
            f"{found.spacing} mm. Maps and cohort must come from the same run."
        )
    return values


def truth_on_grid(truth: Path, affine: Path, grid: Grid) -> np.ndarray:
    """Bring a planted log-Jacobian from the scan's own space onto the network grid, linearly.

    The values stay as they are: conjugating a warp by an affine does not change its Jacobian determinant.

    Parameters
    ----------
    truth : Path
        Log-Jacobian on any grid of the scan's own (native) space.
    affine : Path
        The pipeline's ITK affine of the scan (maps MNI152 points to T1w points).
    grid : Grid
        The network grid in MNI152 space.

    Returns
    -------
    (X, Y, Z) float32, 0 outside the native field of view.

    Raises
    ------
    InputError
        If a file is missing.
    """
    for path, meaning in ((truth, "the planted log-Jacobian"), (affine, "the affine")):
        if not path.is_file():
            raise InputError(f"{path}: expected {meaning} of a scan in the cohort's index, found no such file.")
    values, native = images.load(truth)
    voxel_from_voxel = np.linalg.inv(native.affine) @ read_itk_affine(affine) @ grid.affine
    return affine_transform(values, voxel_from_voxel, output_shape=grid.shape, order=1, cval=0.0)
