"""Deformation-based morphometry, the classic way to a map of volume change: register everybody, compare the groups."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import ants
import nibabel as nib
import numpy as np
from nilearn.image import resample_img

from counterwarp.brain.head_template import brain_template
from counterwarp.brain.registration import SEED
from counterwarp.core.geometry import Grid, from_itk, to_itk

ITERATIONS = (40, 20, 10)
RADIUS = 2  # voxels: neighbourhood of the cross-correlation


def group_difference(scans: Iterable[np.ndarray], is_case: np.ndarray, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """Mean log-Jacobian of the cases minus that of the controls, on the network grid; every scan of a cohort.

    SyN (Avants et al., Med Image Anal 2008) from the MNI152 brain to each scan (X, Y, Z); ``brain`` is the mask of the
    template. The registrations know no group. Positive: larger in cases.
    """
    template = resample_img(
        from_itk(brain_template()[0]), grid.affine, grid.shape, interpolation="continuous", force_resample=True
    )
    fixed = np.asarray(template.dataobj, dtype=np.float32)
    fixed = np.where(brain, (fixed - fixed[brain].mean()) / fixed[brain].std(), 0)
    maps = np.stack([log_jacobian(fixed, scan.astype(np.float32), grid.affine) for scan in scans])
    return maps[is_case].mean(axis=0) - maps[~is_case].mean(axis=0)


def log_jacobian(fixed: np.ndarray, moving: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """log volume of the moving brain's tissue relative to the fixed one, on the fixed grid; images (X, Y, Z)."""
    ants.config._random_seed = SEED
    images = [ants.from_sitk(to_itk(nib.Nifti1Image(np.asarray(data, np.float32), affine))) for data in (fixed, moving)]
    with tempfile.TemporaryDirectory() as folder:
        found = ants.registration(
            *images, "SyNOnly", initial_transform="Identity", outprefix=f"{folder}/", syn_metric="CC",
            syn_sampling=RADIUS, reg_iterations=ITERATIONS,
        )  # fmt: skip
        warp = next(file for file in found["fwdtransforms"] if file.endswith("Warp.nii.gz"))
        jacobian = ants.create_jacobian_determinant_image(images[0], warp, do_log=True)
        return from_itk(ants.to_sitk(jacobian)).get_fdata(dtype=np.float32)
