"""Affine alignment of a brain to MNI152 with a single interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterwarp.brain.quality import quality_metrics
from counterwarp.brain.registration import isotropic, multistart_affine, register, resample_to_grid
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, ras_matrix, same_grid, to_itk

WORKING_RESOLUTION = 3.0  # mm, of the registration; the scan itself is resampled from its own grid


@dataclass(frozen=True)
class Alignment:
    """A brain on the network grid: z-scored T1w (0 outside), mask, the affine (MNI152 to T1w points, RAS+ mm)."""

    t1w: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    metrics: dict[str, float]


def align_affine(t1w: nib.Nifti1Image, mask: nib.Nifti1Image, template: nib.Nifti1Image, grid: Grid) -> Alignment:
    """Register the masked brain to the MNI152 brain and resample it once, from its own grid to the network grid.

    Before a coarser grid samples it, the scan is smoothed to that grid's resolution (anti-aliasing). Voxels of the
    mask's border are averages of brain alone, not of brain and the zeros around it.

    Parameters
    ----------
    t1w, mask : bias-corrected scan and its brain mask, on one grid
    template : MNI152 brain, 0 outside
    grid : network grid

    Raises
    ------
    InputError
        If the mask is empty or on another grid.
    RuntimeError
        From ITK or ANTs, if the registration fails.
    """
    if not same_grid(t1w, mask):
        raise InputError(f"expected the mask on the T1w's grid {t1w.shape}, got {mask.shape}. Resample it to the T1w.")
    if not np.any(mask.dataobj):
        raise InputError("the brain mask is empty. See the scan and its extraction record.")
    native, native_mask, brain_template = to_itk(t1w), to_itk(mask), to_itk(template)
    fixed = isotropic(brain_template, WORKING_RESOLUTION)
    moving = isotropic(native * native_mask, WORKING_RESOLUTION)
    affine = register(fixed, moving, "Affine", multistart_affine(fixed, moving)).affine
    t1w_on_grid, mask_on_grid = _z_scored(native, native_mask, affine, grid)
    metrics = quality_metrics(native, native_mask, brain_template, affine, mask_on_grid)
    return Alignment(t1w_on_grid, mask_on_grid, ras_matrix(affine), metrics)


def _z_scored(
    native: sitk.Image, mask: sitk.Image, affine: sitk.Transform, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """T1w with mean 0 and standard deviation 1 within the mask, 0 outside, and the mask; both (X, Y, Z)."""
    share = resample_to_grid(mask, grid, affine)
    inside = share > 0.5
    if not inside.any():
        raise RuntimeError("the aligned brain lies outside the network grid")
    values = resample_to_grid(native * mask, grid, affine)[inside] / share[inside]
    if not values.std() > 0:
        raise RuntimeError("every voxel of the aligned brain has the same value")
    t1w = np.zeros(grid.shape, np.float32)
    t1w[inside] = (values - values.mean()) / values.std()
    return t1w, inside
