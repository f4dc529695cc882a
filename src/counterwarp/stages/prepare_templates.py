"""Stage PREPARE_TEMPLATES: head template with brain mask, MNI152 brain, network grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from counterwarp.brain.alignment import register_affine
from counterwarp.brain.extraction import mask_of_stripped
from counterwarp.brain.head_template import brain_template, build_head_template
from counterwarp.brain.registration import resample_to_grid
from counterwarp.core import images, layout, templates
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import from_itk, same_grid, to_itk, write_itk_affine
from counterwarp.core.provenance import stage_record
from counterwarp.core.scans import load_t1w

IN_MNI152 = 0.85  # least overlap (Dice) of a given brain template with the embedded MNI152 brain


def prepare_templates(
    resolution: float, shape: tuple[int, int, int] | None, output: Path, head_template: Path | None = None,
    head_mask: Path | None = None, brain: Path | None = None,
) -> None:  # fmt: skip
    """Write head_T1w, head_mask, MNI152_T1w, MNI152_mask and grid_mask (MNI152 brain on the network grid).

    And where the head template lies: an ITK affine that maps MNI152 points to its points.

    Parameters
    ----------
    resolution : voxel of the network grid, mm; ignored if a shape is given
    shape : voxels of the network grid along x, y and z instead: the finest cubic ones that cover the brain
    head_template, head_mask : a whole-head T1w and its brain mask (default: the embedded mean head)
    brain : T1w of a brain in MNI152 space, 0 outside (default: the embedded MNI152 brain)

    Raises
    ------
    InputError
        If a template cannot be used, or the resolution is not positive.
    """
    if resolution <= 0:
        raise InputError(f"--resolution {resolution}: expected a voxel size above 0 mm.")
    if shape and (min(shape) < 8 or any(n % 8 for n in shape)):
        raise InputError(f"--shape {shape}: expected three multiples of 8 voxels; the networks halve the grid thrice.")
    output.mkdir(parents=True, exist_ok=True)
    grid = templates.network_grid_of_shape(shape) if shape else templates.network_grid(resolution)
    given = {"head_template": head_template, "head_mask": head_mask, "brain": brain}
    with stage_record(
        output / "templates.json", "prepare_templates", resolution=grid.spacing[0], shape=grid.shape, **given
    ):
        t1w, mask = _given_brain(brain) if brain else tuple(from_itk(image) for image in brain_template())
        head, inside = _head(head_template, head_mask)
        nib.save(head, output / "head_T1w.nii.gz")
        nib.save(inside, output / "head_mask.nii.gz")
        nib.save(t1w, output / "MNI152_T1w.nii.gz")
        nib.save(mask, output / "MNI152_mask.nii.gz")
        write_itk_affine(output / layout.HEAD_IN_MNI152, register_affine(head, inside, t1w))
        on_grid = resample_to_grid(to_itk(mask), grid) > 0.5
        images.save(output / "grid_mask.nii.gz", on_grid.astype(np.uint8), grid)


def _head(template: Path | None, mask: Path | None) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Given head template and its brain mask, or the embedded ones."""
    if (template is None) != (mask is None):
        given, missing = ("--head-mask", "--head-template") if template is None else ("--head-template", "--head-mask")
        raise InputError(f"{given} was given without {missing}: a head template and its brain mask go together.")
    if template is None or mask is None:
        embedded = build_head_template()
        return embedded["head"], embedded["head_mask"]
    head, inside = load_t1w(template), load_t1w(mask)
    if not same_grid(head, inside):
        raise InputError(f"{mask}: expected the grid of {template} {head.shape}, got {inside.shape}. Resample it.")
    return head, inside


def _given_brain(path: Path) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """A brain template of the user's and its mask, refused unless it lies where the MNI152 brain lies."""
    t1w = load_t1w(path)
    mask = mask_of_stripped(t1w)
    grid = templates.network_grid(resolution=4.0)
    ours, theirs = (resample_to_grid(image, grid) > 0.5 for image in (brain_template()[1], to_itk(mask)))
    dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
    if dice < IN_MNI152:
        raise InputError(
            f"{path}: expected a skull-stripped brain in MNI152 space, but it overlaps the MNI152 brain by {dice:.2f} "
            f"(Dice), less than {IN_MNI152}. Normalise it to MNI152 first."
        )
    return t1w, mask
