"""Registration with ITK and ANTs. Images here are SimpleITK images (LPS+ mm); transforms map points of the fixed to
the moving image. One thread and a fixed seed, so that the same image gives the same bits."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

SEED = 1
START_ANGLES = (-20.0, 0.0, 20.0)  # degrees of pitch and of roll
os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # read by ANTs' ITK when it is first loaded
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def to_itk(image: nib.Nifti1Image) -> sitk.Image:
    """A nibabel image (RAS+) as a SimpleITK image (LPS+), float32."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    result = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=np.float32).T)
    result.SetSpacing(spacing.tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    result.SetDirection((affine[:3, :3] / spacing).flatten().tolist())
    return result


def from_itk(image: sitk.Image) -> nib.Nifti1Image:
    """A SimpleITK image (LPS+) as a nibabel image (RAS+)."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return nib.Nifti1Image(sitk.GetArrayFromImage(image).T, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def isotropic(image: sitk.Image, spacing: float) -> sitk.Image:
    """Resample to cubic voxels on the image's own axes, smoothed first along axes that get coarser."""
    old = np.array(image.GetSpacing())
    sigma = np.where(spacing > old, 0.4 * np.sqrt(np.maximum(spacing**2 - old**2, 0)), 0)
    if (sigma > 0).any():
        image = sitk.SmoothingRecursiveGaussian(image, np.maximum(sigma, 1e-3).tolist())
    size = np.ceil(np.array(image.GetSize()) * old / spacing).astype(int)
    return sitk.Resample(
        image, size.tolist(), sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), [spacing] * 3, image.GetDirection()
    )


def multistart_affine(fixed: sitk.Image, moving: sitk.Image) -> sitk.AffineTransform:
    """Affine by mutual information from nine starts of pitch and roll; the two best are refined, the best is returned.

    Centres of mass alone lose heads that are turned by more than about 15 degrees.
    """
    coarse_fixed, coarse_moving = (isotropic(image, 8.0) for image in (fixed, moving))
    fine_fixed, fine_moving = (isotropic(image, 4.0) for image in (fixed, moving))
    centred = sitk.CenteredTransformInitializer(
        fine_fixed, fine_moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    starts = []
    for pitch in START_ANGLES:
        for roll in START_ANGLES:
            start = sitk.Euler3DTransform(centred)
            start.SetRotation(np.deg2rad(pitch), np.deg2rad(roll), 0.0)
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


def refine_with_ants(
    fixed: sitk.Image, moving: sitk.Image, start: sitk.Transform, kind: str, carried: sitk.Image
) -> tuple[sitk.AffineTransform, sitk.Image]:
    """ANTs registration from a start: ``kind`` is "Affine" or "SyNOnly".

    Returns
    -------
    affine : the refined affine, or the start for SyNOnly
    warped : ``carried`` (an image in the moving image's space) resampled to the fixed grid
    """
    import ants

    ants.config._random_seed = SEED
    images = [ants.from_sitk(image) for image in (fixed, moving)]
    with tempfile.TemporaryDirectory() as folder:
        sitk.WriteTransform(start, f"{folder}/start.mat")
        result = ants.registration(
            *images,
            kind,
            initial_transform=f"{folder}/start.mat",
            outprefix=f"{folder}/out",
            aff_metric="mattes",
            aff_iterations=(100, 50, 5),
            aff_shrink_factors=(4, 2, 1),
            aff_smoothing_sigmas=(2, 1, 0),
            syn_metric="mattes",
            reg_iterations=(40, 20, 3),
            random_seed=SEED,
        )
        transforms = result["fwdtransforms"]
        affine = sitk.AffineTransform(3)
        if kind == "Affine":
            affine = sitk.AffineTransform(sitk.ReadTransform(next(t for t in transforms if Path(t).suffix == ".mat")))
        warped = ants.apply_transforms(images[0], ants.from_sitk(carried), transforms)
        return affine, ants.to_sitk(warped)
