"""Pictures of a scan for the reviewer's eye: its mask, the template's edges over it, and both one after the other."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from matplotlib.figure import Figure

from counterwarp.brain.tissue import tissue_centres
from counterwarp.core.geometry import from_itk, itk_transform, to_itk

POSITIONS = (0.35, 0.6)  # of the two slices per axis, as shares of the brain's extent
MARGIN = 8  # voxels of the 1 mm template around its brain
COARSER = 2  # voxels of the 1 mm template per voxel of a picture


def draw_mosaic(path: Path, t1w: nib.Nifti1Image, mask: nib.Nifti1Image, brain: nib.Nifti1Image, title: str) -> None:
    """Upper row: the scan, its mask's contour in red. Lower row: the aligned brain, in yellow the edges of tissue
    against fluid in MNI152.

    Two sagittal, coronal and axial slices each; the left of the head is on the left (neurological).

    Parameters
    ----------
    t1w, mask : scan and brain mask on its own grid, any orientation
    brain : the MNI152 brain and the aligned one, (X, Y, Z, 2), see ``side_by_side``
    title : one line; longer text is cut
    """
    figure = Figure(figsize=(8.4, 3.3), facecolor="black", layout="constrained")
    axes = figure.subplots(2, 6)
    scan, inside = (nib.as_closest_canonical(image) for image in (t1w, mask))
    _draw_row(axes[0], scan, np.asarray(inside.dataobj) > 0)
    _outline(axes[0], np.asarray(inside.dataobj), [0.5], "red")
    template, aligned = (image for image in nib.four_to_three(brain))
    values = np.asarray(template.dataobj)
    _draw_row(axes[1], aligned, values > 0)
    csf, grey, _ = tissue_centres(values[values > 0])
    _outline(axes[1], values, [(csf + grey) / 2], "yellow")
    figure.suptitle(title[:120], color="white", fontsize=8)
    figure.savefig(path, dpi=90)


def draw_flicker(path: Path, brain: nib.Nifti1Image) -> None:
    """Upper row: the aligned brain. Lower row: the MNI152 brain at the same slices; the rows are equally high.

    Shown one in place of the other, whatever jumps is not aligned. ``brain`` as in ``draw_mosaic``.
    """
    figure = Figure(figsize=(8.4, 3.0), facecolor="black")
    axes = figure.subplots(2, 6, gridspec_kw={"left": 0, "bottom": 0, "right": 1, "top": 1, "wspace": 0, "hspace": 0})
    template, aligned = nib.four_to_three(brain)
    for row, image in zip(axes, (aligned, template), strict=True):
        _draw_row(row, image, np.asarray(template.dataobj) > 0)
    figure.savefig(path, dpi=90)


def side_by_side(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, template: nib.Nifti1Image, affine: np.ndarray
) -> nib.Nifti1Image:
    """The MNI152 brain and the aligned brain on one grid around it, (X, Y, Z, 2), each with 0 outside.

    ``affine`` (4, 4) maps MNI152 points to the scan's, RAS+ mm.
    """
    first, last = _extent(np.asarray(template.dataobj) > 0)
    first, last = np.maximum(first - MARGIN, 0), last + MARGIN
    reference = template.slicer[tuple(slice(a, b, COARSER) for a, b in zip(first, last, strict=True))]
    brain = sitk.Mask(to_itk(t1w), to_itk(mask) > 0)
    aligned = from_itk(sitk.Resample(brain, to_itk(reference), itk_transform(affine), sitk.sitkLinear, 0.0))
    both = [np.asarray(image.dataobj, np.float32) for image in (reference, aligned)]
    return nib.Nifti1Image(np.stack(both, axis=-1), reference.affine)


def _extent(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel of a mask along every axis."""
    found = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([voxels[0] for voxels in found]), np.array([voxels[-1] for voxels in found])


def _slices(inside: np.ndarray) -> list[tuple[int, int]]:
    """Axis and number of the six slices, by the extent of a mask."""
    first, last = _extent(inside)
    return [(axis, round(first[axis] + p * (last[axis] - first[axis]))) for axis in range(3) for p in POSITIONS]


def _draw_row(panels: np.ndarray, image: nib.Nifti1Image, inside: np.ndarray) -> None:
    """Six slices through a mask of an image whose axes run to the right, front and top."""
    data, spacing = np.asarray(image.dataobj), np.linalg.norm(image.affine[:3, :3], axis=0)
    high = np.percentile(data[inside], 99.5)
    for panel, (axis, number) in zip(panels, _slices(inside), strict=True):
        across, up = (a for a in range(3) if a != axis)
        panel.imshow(
            np.take(data, number, axis).T, origin="lower", cmap="gray", vmin=0.0, vmax=high,
            aspect=spacing[up] / spacing[across],
        )  # fmt: skip
        panel.axis("off")
        if axis:
            panel.text(0.02, 0.5, "L", color="white", transform=panel.transAxes, fontsize=7)


def _outline(panels: np.ndarray, values: np.ndarray, levels: list[float], colour: str) -> None:
    """Contours of an image's values over the slices that ``_draw_row`` drew of the same mask."""
    for panel, (axis, number) in zip(panels, _slices(values > 0), strict=True):
        contour = np.take(values, number, axis).T
        if contour.min() < levels[0] < contour.max():
            panel.contour(contour, levels, colors=colour, linewidths=0.5)
