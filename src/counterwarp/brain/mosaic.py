"""One small picture per scan: the head with its mask, and the aligned brain with the template's outline."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np


def draw_mosaic(
    path: Path, t1w: nib.Nifti1Image, mask: nib.Nifti1Image, aligned: np.ndarray, brain: np.ndarray, title: str
) -> None:
    """Upper row: the native head, mask contour in red. Lower row: the network grid, MNI152 outline in yellow.

    Slices are sagittal, coronal, axial through the brain's centre; the left of the head is on the left.
    """
    figure, axes = plt.subplots(2, 3, figsize=(6, 4.4), facecolor="black")
    head, inside = (np.asarray(nib.as_closest_canonical(image).dataobj) for image in (t1w, mask))
    for row, (image, outline, colour) in enumerate([(head, inside, "red"), (aligned, brain, "yellow")]):
        centre = np.argwhere(outline > 0).mean(0).astype(int)
        low, high = np.percentile(image, [1, 99.5])
        for axis in range(3):
            panel = axes[row, axis]
            panel.imshow(np.take(image, centre[axis], axis).T, origin="lower", cmap="gray", vmin=low, vmax=high)
            panel.contour(np.take(outline, centre[axis], axis).T, [0.5], colors=colour, linewidths=0.7)
            panel.axis("off")
            if axis:
                panel.text(0.02, 0.5, "L", color="white", transform=panel.transAxes, fontsize=8)
    figure.suptitle(title, color="white", fontsize=8)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=70)
    plt.close(figure)
