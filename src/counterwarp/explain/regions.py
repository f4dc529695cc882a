"""Volume change per atlas region, by integrating Jacobian determinants."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from counterwarp.core.geometry import Grid, apply_affine

SMALLEST_REGION_ML = 0.5  # below it a region is smaller than a few network voxels


@dataclass(frozen=True)
class Regions:
    """Regions of a label atlas as weights over the voxels of a grid.

    Attributes
    ----------
    names : DataFrame with ``region`` and ``volume_ml`` (of the atlas in template space), one row per region
    weights : (regions, voxels) sparse; rows sum to 1. ``weights @ map.ravel()`` is the mean over the atlas's voxels of
        the map, interpolated linearly.
    """

    names: pd.DataFrame
    weights: csr_array

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of a map (X, Y, Z) over each region, (regions,)."""
        return self.weights @ values.ravel()

    def volume_change(self, log_jacobian: np.ndarray) -> np.ndarray:
        """Relative volume change of each region: the integral of exp(log-Jacobian) over it, less 1."""
        return self.mean(np.expm1(log_jacobian))


def regions_on_grid(atlas: nib.Nifti1Image, names: pd.DataFrame, grid: Grid) -> Regions:
    """Weights of every region of an atlas over the voxels of a grid in the same space.

    Parameters
    ----------
    atlas : image of labels
    names : DataFrame with ``index`` (label) and ``name``; label 0 and regions under 0.5 ml are left out
    """
    labels = np.asarray(atlas.dataobj).astype(int)
    voxel_ml = abs(np.linalg.det(atlas.affine[:3, :3])) / 1000
    known = names[names["index"] > 0].drop_duplicates("index")
    counts = known["index"].map(pd.Series(labels.ravel()).value_counts()).fillna(0)
    known = known[counts * voxel_ml >= SMALLEST_REGION_ML]
    table = pd.DataFrame({
        "region": known["name"].str.replace("_", " "),
        "volume_ml": (counts * voxel_ml).loc[known.index],
    }).reset_index(drop=True)  # fmt: skip
    row_of_label = pd.Series(range(len(known)), index=known["index"])
    inside = np.isin(labels, known["index"])
    rows = row_of_label[labels[inside]].to_numpy()
    points = apply_affine(np.linalg.inv(grid.affine) @ atlas.affine, np.argwhere(inside))
    weights = _linear_weights(points, rows, grid.shape, len(known))
    return Regions(table, csr_array(weights / np.asarray(weights.sum(axis=1))[:, None]))


def _linear_weights(points: np.ndarray, rows: np.ndarray, shape: tuple[int, ...], regions: int) -> csr_array:
    """Sum over points (n, 3 voxel coordinates) of their trilinear weights, by region; outside counts at the border."""
    low = np.clip(np.floor(points).astype(int), 0, np.array(shape) - 2)
    share = np.clip(points - low, 0, 1)
    total = csr_array((regions, int(np.prod(shape))))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, share, 1 - share), axis=1)
        voxels = np.ravel_multi_index(tuple((low + corner).T), shape)
        total = total + csr_array((weight, (rows, voxels)), shape=total.shape)
    return total
