"""Volume change per atlas region, from maps of log volume change."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import resample_to_img
from scipy import ndimage

SMALLEST_REGION_ML = 0.5  # below it a region is smaller than a few network voxels


def volume_changes(maps: dict[str, nib.Nifti1Image], atlas: nib.Nifti1Image, names: pd.DataFrame) -> pd.DataFrame:
    """Mean volume change of each region: exp(log-Jacobian) - 1 averaged over its voxels.

    Parameters
    ----------
    maps : dict of images
        Log volume change in MNI152 space, sampled linearly at the atlas's voxels; each gives one column.
    atlas : image of labels in MNI152 space
    names : DataFrame with ``index`` (label) and ``name``

    Returns
    -------
    DataFrame with ``region``, ``volume_ml`` (of the atlas) and per map its change in percent, the largest change of
    the first map on top.
    """
    labels = np.asarray(atlas.dataobj).astype(int)
    voxel_ml = abs(np.linalg.det(atlas.affine[:3, :3])) / 1000
    volumes = ndimage.sum_labels(np.ones(labels.shape), labels, names["index"]) * voxel_ml
    large = volumes >= SMALLEST_REGION_ML
    table = pd.DataFrame({"region": names["name"][large].str.replace("_", " "), "volume_ml": volumes[large]})
    for name, image in maps.items():
        on_atlas = resample_to_img(image, atlas, interpolation="linear").get_fdata()
        table[name] = 100 * ndimage.mean(np.expm1(on_atlas), labels, names["index"][large])
    return table.sort_values(next(iter(maps)), key=np.abs, ascending=False, ignore_index=True)
