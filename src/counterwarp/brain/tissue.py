"""Tissue classes of a T1w brain by intensity alone."""

from __future__ import annotations

import numpy as np

START = (10, 50, 85)  # percentiles
ITERATIONS = 20


def tissue_centres(values: np.ndarray) -> np.ndarray:
    """Mean intensities of CSF, grey and white matter, dark to bright: k-means of the intensities within a brain."""
    centres = np.percentile(values, START)
    for _ in range(ITERATIONS):
        nearest = np.abs(values[:, None] - centres).argmin(1)
        members = [values[nearest == k] for k in range(3)]
        centres = np.array([m.mean() if len(m) else c for m, c in zip(members, centres, strict=True)])
    return centres


def contrast(values: np.ndarray) -> dict[str, float]:
    """How white and grey matter differ in a picture.

    ``white_to_grey``: ratio of their mean intensities. ``contrast_to_noise``: their distance over the spread of
    intensities within the two classes.
    """
    centres = tissue_centres(values)
    nearest = np.abs(values[:, None] - centres).argmin(1)
    spread = np.concatenate([values[nearest == k] - centres[k] for k in (1, 2)]).std()
    return {
        "contrast_to_noise": float((centres[2] - centres[1]) / spread),
        "white_to_grey": float(centres[2] / centres[1]),
    }
