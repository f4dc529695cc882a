"""Warps and maps of the network grid brought into a scan's own space."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform, map_coordinates

from counterwarp.core.geometry import Grid, apply_affine


def map_on_native(values: np.ndarray, grid: Grid, affine: np.ndarray, native: Grid) -> np.ndarray:
    """Bring a map (X, Y, Z) in MNI152 space onto a grid of the scan's own space, linearly; 0 outside of the map.

    Parameters
    ----------
    grid : of the map, RAS+ mm
    affine : (4, 4), maps MNI152 points to points of the scan, RAS+ mm
    native : any grid (oblique, anisotropic) of the scan's space
    """
    voxel_from_voxel = np.linalg.inv(affine @ grid.affine) @ native.affine
    return affine_transform(values, voxel_from_voxel, output_shape=native.shape, order=1, cval=0.0)


def displacement_on_native(displacement: np.ndarray, grid: Grid, affine: np.ndarray, native: Grid) -> np.ndarray:
    """A warp of the aligned scan as a warp of the scan where it lies.

    The point q of the scan goes to MNI152, through p -> p + u(p), and back: q + A u(A^-1 q) with A the linear part.

    Parameters
    ----------
    displacement : (X, Y, Z, 3), mm, RAS+, a pull-back in MNI152 space
    grid, affine, native : as of ``map_on_native``

    Returns
    -------
    (x, y, z, 3), mm, RAS+, on the native grid; 0 outside of the network grid.
    """
    components = [map_on_native(component, grid, affine, native) for component in np.moveaxis(displacement, -1, 0)]
    return np.stack(components, axis=-1) @ affine[:3, :3].T.astype(displacement.dtype)


def resample_on_native(image: np.ndarray, native: Grid, displacement: np.ndarray) -> np.ndarray:
    """Pull a scan (x, y, z) back through a displacement field (x, y, z, 3) in mm, RAS+, on its own grid, linearly."""
    voxels = apply_affine(np.linalg.inv(native.affine), native.points() + displacement)
    return map_coordinates(image, np.moveaxis(voxels, -1, 0), order=1, mode="nearest")
