"""One small picture per scan: the head with its mask, and the aligned brain with the template's outline."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

POSITIONS = (0.35, 0.6)  # of the two slices per axis, as shares of the brain's extent


def draw_mosaic(
    path: Path, t1w: nib.Nifti1Image, mask: nib.Nifti1Image, aligned: nib.Nifti1Image, brain: np.ndarray, title: str
) -> None:
    """Upper row: the scan, its mask's contour in red. Lower row: the network grid, MNI152's outline in yellow.

    Two sagittal, coronal and axial slices each; the left of the head is on the left (neurological).

    Parameters
    ----------
    t1w, mask : scan and brain mask on its own grid, any orientation
    aligned : brain on the network grid, 0 outside
    brain : (X, Y, Z), the template's mask on the network grid
    title : one line; longer text is cut
    """
    figure, axes = plt.subplots(2, 6, figsize=(8.4, 3.3), facecolor="black", layout="constrained")
    scan, inside = (nib.as_closest_canonical(image) for image in (t1w, mask))
    _draw_row(axes[0], scan, np.asarray(inside.dataobj), "red", low=0.0)
    data = np.asarray(aligned.dataobj)
    dark = np.where(data == 0, data.min(), data)
    _draw_row(axes[1], nib.Nifti1Image(dark, aligned.affine), brain, "yellow", low=float(data.min()))
    figure.suptitle(title[:120], color="white", fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_row(panels: np.ndarray, image: nib.Nifti1Image, outline: np.ndarray, colour: str, low: float) -> None:
    """Six slices of an image whose axes run to the right, front and top, with the outline of a mask."""
    data, spacing = np.asarray(image.dataobj), np.linalg.norm(image.affine[:3, :3], axis=0)
    brain = np.argwhere(outline > 0)
    first, last = brain.min(0), brain.max(0)
    high = np.percentile(data[outline > 0], 99.5)
    for index, panel in enumerate(panels):
        axis, position = index // 2, POSITIONS[index % 2]
        slice_number = round(first[axis] + position * (last[axis] - first[axis]))
        across, up = (a for a in range(3) if a != axis)
        panel.imshow(
            np.take(data, slice_number, axis).T, origin="lower", cmap="gray", vmin=low, vmax=high,
            aspect=spacing[up] / spacing[across],
        )  # fmt: skip
        contour = np.take(outline, slice_number, axis).T
        if contour.any():
            panel.contour(contour, [0.5], colors=colour, linewidths=0.6)
        panel.axis("off")
        if axis:
            panel.text(0.02, 0.5, "L", color="white", transform=panel.transAxes, fontsize=7)
