"""Affine alignment of a brain to MNI152: its registration, and its single interpolation on the network grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterwarp.brain.quality import quality_metrics
from counterwarp.brain.registration import isotropic, multistart_affine, register, resample_to_grid
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, itk_transform, ras_matrix, read_itk_affine, same_grid, to_itk

if TYPE_CHECKING:  # spares ALIGN_AFFINE the import of SciPy
    from counterwarp.brain.extraction import Extraction

WORKING_RESOLUTION = 3.0  # mm, of the registration; the scan itself is resampled from its own grid


@dataclass(frozen=True)
class Alignment:
    """A brain on the network grid: z-scored T1w (0 outside) and mask, both (X, Y, Z)."""

    t1w: np.ndarray
    mask: np.ndarray
    metrics: dict[str, float]


def register_affine(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, template: nib.Nifti1Image, start: np.ndarray | None = None
) -> np.ndarray:
    """Register a masked brain to the MNI152 brain by ANTs.

    Parameters
    ----------
    t1w, mask : bias-corrected scan and its brain mask, on one grid
    template : MNI152 brain, 0 outside
    start : where ANTs starts, MNI152 to T1w points, (4, 4), RAS+ mm; default: the best of many poses

    Returns
    -------
    The affine, MNI152 to T1w points, (4, 4), RAS+ mm.

    Raises
    ------
    InputError
        If the mask is empty or on another grid.
    RuntimeError
        From ITK or ANTs, if the registration fails.
    """
    native, native_mask = _checked(t1w, mask)
    fixed, moving = (isotropic(image, WORKING_RESOLUTION) for image in (to_itk(template), native * native_mask))
    first = multistart_affine(fixed, moving) if start is None else itk_transform(start)
    return ras_matrix(register(fixed, moving, "Affine", first).affine)


def registration_targets(templates: Path) -> tuple[nib.Nifti1Image, np.ndarray]:
    """The MNI152 brain, and the affine of MNI152 to head template points ((4, 4), RAS+ mm), of prepare-templates.

    Raises
    ------
    InputError
        If one of them is missing.
    """
    brain = images.read(templates / "MNI152_T1w.nii.gz", "prepare-templates")
    head = images.output_of("prepare-templates", templates / layout.HEAD_IN_MNI152, "Run it again.")
    return brain, read_itk_affine(head)


def affine_to_mni152(brain: Extraction, template: nib.Nifti1Image, head_in_mni152: np.ndarray) -> np.ndarray:
    """``register_affine`` of an extracted brain, from the pose of its head where that is known.

    ``template`` and ``head_in_mni152`` are ``registration_targets``.
    """
    start = None if brain.affine is None else brain.affine @ head_in_mni152
    return register_affine(brain.t1w, brain.mask, template, start)


def align_affine(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, template: nib.Nifti1Image, grid: Grid, affine: np.ndarray
) -> Alignment:
    """Resample a brain once, from its own grid to the network grid.

    Before a coarser grid samples it, the scan is smoothed to that grid's resolution (anti-aliasing). Voxels of the
    mask's border are averages of brain alone, not of brain and the zeros around it.

    Parameters
    ----------
    t1w, mask : bias-corrected scan and its brain mask, on one grid
    template : MNI152 brain, 0 outside
    grid : network grid
    affine : of ``register_affine``

    Raises
    ------
    InputError
        If the mask is empty or on another grid.
    RuntimeError
        If no brain arrives on the grid.
    """
    native, native_mask = _checked(t1w, mask)
    transform = itk_transform(affine)
    t1w_on_grid, mask_on_grid = _z_scored(native, native_mask, transform, grid)
    metrics = quality_metrics(native, native_mask, to_itk(template), transform, mask_on_grid)
    return Alignment(t1w_on_grid, mask_on_grid, metrics)


def _checked(t1w: nib.Nifti1Image, mask: nib.Nifti1Image) -> tuple[sitk.Image, sitk.Image]:
    """Scan and brain mask for ITK; refused if the mask is empty or on another grid."""
    if not same_grid(t1w, mask):
        raise InputError(f"expected the mask on the T1w's grid {t1w.shape}, got {mask.shape}. Resample it to the T1w.")
    if not np.any(mask.dataobj):
        raise InputError("the brain mask is empty. See the scan and its extraction record.")
    return to_itk(t1w), to_itk(mask)


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
