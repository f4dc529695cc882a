"""Registration with ITK and ANTs. Images here are SimpleITK images (LPS+ mm); transforms map points of the fixed to
the moving image. One thread and a fixed seed, so that the same image gives the same bits."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterwarp.brain.antspyx import load_ants
from counterwarp.core.geometry import Grid, to_itk

SEED = 1
START_ANGLES = (-20.0, 0.0, 20.0)  # degrees of pitch, roll and yaw
ANTI_ALIAS = 0.4  # Gaussian sigma that takes a voxel s to S: ANTI_ALIAS * sqrt(S^2 - s^2)
AFFINE_SCHEDULE = {
    "aff_metric": "mattes",
    "aff_iterations": (100, 50, 5),
    "aff_shrink_factors": (4, 2, 1),
    "aff_smoothing_sigmas": (2, 1, 0),
}
SYN_SCHEDULE = {"syn_metric": "mattes", "reg_iterations": (40, 20, 3)}
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # read by ANTs' ITK when it is first loaded
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def anti_aliased(image: sitk.Image, spacing: float) -> sitk.Image:
    """Blur to the resolution of coarser cubic voxels (mm); axes that are coarser already stay as they are."""
    old = np.array(image.GetSpacing())
    sigma = ANTI_ALIAS * np.sqrt(np.maximum(spacing**2 - old**2, 0))
    if not (sigma > 0).any():
        return image
    return sitk.SmoothingRecursiveGaussian(image, np.maximum(sigma, 1e-3).tolist())


def isotropic(image: sitk.Image, spacing: float) -> sitk.Image:
    """Resample to cubic voxels (mm) on the image's own axes, smoothed first along axes that get coarser."""
    size = np.ceil(np.array(image.GetSize()) * np.array(image.GetSpacing()) / spacing).astype(int)
    return sitk.Resample(
        anti_aliased(image, spacing), size.tolist(), sitk.Transform(), sitk.sitkLinear,
        image.GetOrigin(), [spacing] * 3, image.GetDirection(),
    )  # fmt: skip


def resample_to_grid(image: sitk.Image, grid: Grid, transform: sitk.Transform | None = None) -> np.ndarray:
    """Interpolate linearly on a grid, once, smoothed first if the grid is coarser; (X, Y, Z), 0 outside the image.

    ``transform`` maps points of the grid to points of the image (default: the same points).
    """
    reference = to_itk(nib.Nifti1Image(np.zeros(grid.shape, np.float32), grid.affine))
    smooth = anti_aliased(image, grid.spacing[0])
    resampled = sitk.Resample(smooth, reference, transform or sitk.Transform(), sitk.sitkLinear, 0.0)
    return sitk.GetArrayFromImage(resampled).T


def multistart_affine(fixed: sitk.Image, moving: sitk.Image) -> sitk.AffineTransform:
    """Affine by mutual information from 27 starts of pitch, roll and yaw; the two best are refined, the best wins.

    Centres of mass alone lose heads that are turned by more than about 15 degrees.
    """
    coarse_fixed, coarse_moving = (isotropic(image, 8.0) for image in (fixed, moving))
    fine_fixed, fine_moving = (isotropic(image, 4.0) for image in (fixed, moving))
    centred = sitk.CenteredTransformInitializer(
        fine_fixed, fine_moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    starts = []
    for angles in product(START_ANGLES, repeat=3):
        start = sitk.Euler3DTransform(centred)
        start.SetRotation(*np.deg2rad(angles))
        starts.append(_optimise(coarse_fixed, coarse_moving, start, iterations=25))
    starts.sort(key=lambda pair: pair[0])
    refined = []
    for _, rigid in starts[:2]:
        affine = sitk.AffineTransform(3)
        affine.SetCenter(rigid.GetCenter())
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetTranslation(rigid.GetTranslation())
        refined.append(_optimise(fine_fixed, fine_moving, affine, iterations=60))
    return min(refined, key=lambda pair: pair[0])[1]


def _optimise(fixed: sitk.Image, moving: sitk.Image, start: sitk.Transform, iterations: int) -> tuple:
    """Minimise negative mutual information from a start; (value, transform)."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.05, iterations, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(type(start)(start), inPlace=True)
    transform = method.Execute(fixed, moving)
    return method.GetMetricValue(), type(start)(transform)


@dataclass(frozen=True)
class Registration:
    """What ``register`` found.

    affine : maps fixed to moving points; of "SyNOnly" it is the start
    moved : the moving image on the fixed grid
    forward, inverse : the carried images on their references
    """

    affine: sitk.AffineTransform
    moved: sitk.Image
    forward: list[sitk.Image]
    inverse: list[sitk.Image]


Carried = Sequence[tuple[sitk.Image, sitk.Image]]  # (image, reference grid)


def register(
    fixed: sitk.Image, moving: sitk.Image, kind: str, start: sitk.AffineTransform,
    forward: Carried = (), inverse: Carried = (), mask: sitk.Image | None = None,
) -> Registration:  # fmt: skip
    """ANTs registration from a start, mutual information, all files in a folder that is deleted.

    Parameters
    ----------
    kind : "Affine" or "SyNOnly"
    start : maps fixed to moving points
    forward : images in the moving image's space, each with a reference grid in the fixed image's space
    inverse : images in the fixed image's space, each with a reference grid in the moving image's space
    mask : where the fixed image is compared (default everywhere)

    Raises
    ------
    RuntimeError
        From ANTs, if the registration fails.
    """
    ants = load_ants()
    ants.config._random_seed = SEED  # the only way antspyx passes a seed to antsRegistration
    images = [ants.from_sitk(image) for image in (fixed, moving)]
    with tempfile.TemporaryDirectory() as folder:
        sitk.WriteTransform(start, f"{folder}/start.mat")
        found = ants.registration(
            *images, kind, initial_transform=f"{folder}/start.mat", outprefix=f"{folder}/out",
            mask=None if mask is None else ants.from_sitk(mask), **AFFINE_SCHEDULE, **SYN_SCHEDULE,
        )  # fmt: skip

        def carry(image: sitk.Image, reference: sitk.Image, back: bool) -> sitk.Image:
            files = found["invtransforms" if back else "fwdtransforms"]
            flips = [back and Path(file).suffix == ".mat" for file in files]
            pair = ants.from_sitk(reference), ants.from_sitk(image)
            return ants.to_sitk(ants.apply_transforms(*pair, files, whichtoinvert=flips))

        affine_file = next(file for file in found["fwdtransforms"] if Path(file).suffix == ".mat")
        return Registration(
            sitk.AffineTransform(sitk.ReadTransform(affine_file)),
            ants.to_sitk(found["warpedmovout"]),
            [carry(*pair, back=False) for pair in forward],
            [carry(*pair, back=True) for pair in inverse],
        )
