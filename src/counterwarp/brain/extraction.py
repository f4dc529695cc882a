"""Bias correction and brain extraction of a whole-head T1w by registration of a head template (classical ANTs)."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy.ndimage import label as connected_components

from counterwarp.brain.registration import from_itk, isotropic, multistart_affine, refine_with_ants, to_itk
from counterwarp.core.settings import ExtractionSettings

WORKING_RESOLUTION = 2.0  # mm
CLIP = (1.0, 99.9)  # percentiles
MARGIN = 10.0  # mm of air kept around the head


@dataclass(frozen=True)
class Extraction:
    """Results on the scan's own grid: bias-corrected image, brain mask (uint8), and metrics of the record."""

    t1w: nib.Nifti1Image
    mask: nib.Nifti1Image
    metrics: dict[str, float]


def correct_bias(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """log bias field by N4 (Tustison et al. 2010) inside a mask, on the image's grid."""
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 30])
    n4.SetConvergenceThreshold(1e-3)
    n4.Execute(sitk.Shrink(image, [3] * 3), sitk.Shrink(mask, [3] * 3))
    return n4.GetLogBiasFieldAsImage(image)


def crop_to_head(image: sitk.Image, height: float) -> sitk.Image:
    """Cut the air around the head and what lies more than ``height`` mm below its top (z of the image is up)."""
    head = sitk.GetArrayViewFromImage(image) > _otsu(image)  # z, y, x
    margin = round(MARGIN / image.GetSpacing()[0])
    size, start = list(image.GetSize()), [0, 0, 0]
    for axis in range(3):
        share = head.mean(tuple(a for a in range(3) if a != 2 - axis))
        occupied = np.flatnonzero(share > 0.005)
        top = occupied.max()
        bottom = max(occupied.min(), round(top - height / image.GetSpacing()[2])) if axis == 2 else occupied.min()
        start[axis] = int(max(bottom - margin, 0))
        size[axis] = int(min(top + margin + 1, image.GetSize()[axis]) - start[axis])
    return sitk.RegionOfInterest(image, size, start)


def _otsu(image: sitk.Image) -> float:
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.Execute(image)
    return threshold.GetThreshold()


def extract_brain(
    scan: nib.Nifti1Image,
    head: nib.Nifti1Image,
    head_mask: nib.Nifti1Image,
    settings: ExtractionSettings,
    mask: nib.Nifti1Image | None = None,
) -> Extraction:
    """Bias-correct a scan and find its brain.

    Parameters
    ----------
    scan : float32, any orientation and voxel size
    head, head_mask : whole-head template and its brain mask
    mask : a brain mask on the scan's grid that is used instead of extraction

    Returns
    -------
    Extraction, on the scan's own grid.
    """
    native = to_itk(scan)
    upright = to_itk(nib.as_closest_canonical(scan))
    work = crop_to_head(isotropic(upright, WORKING_RESOLUTION), settings.neck)
    low, high = np.percentile(sitk.GetArrayViewFromImage(work), CLIP)
    work = sitk.Clamp(work, sitk.sitkFloat32, float(low), float(high)) - float(low)
    foreground = work > 0.5 * _otsu(work)
    bias = correct_bias(work + 1, foreground)
    work = work / sitk.Exp(bias)
    if mask is None:
        prior = _register_prior(work, to_itk(head), to_itk(head_mask), settings)
        brain = refine_mask(work, prior, settings)
    else:
        brain, prior = sitk.Resample(to_itk(mask), work), None
    native_bias = sitk.Resample(bias, native, sitk.Transform(), sitk.sitkLinear, 0.0)
    corrected = sitk.Maximum(native, 0.0) / sitk.Exp(native_bias)
    smooth = sitk.SmoothingRecursiveGaussian(sitk.Cast(brain, sitk.sitkFloat32), 0.7 * WORKING_RESOLUTION)
    native_mask = sitk.Resample(smooth, native, sitk.Transform(), sitk.sitkLinear, 0.0) > 0.5
    volume = float(sitk.GetArrayViewFromImage(native_mask).sum() * np.prod(native.GetSpacing()) / 1000)
    if mask is not None or prior is None:
        return Extraction(from_itk(corrected), _as_mask(mask or from_itk(native_mask)), {"brain_volume_ml": volume})
    agreement = _dice(sitk.GetArrayViewFromImage(brain) > 0, sitk.GetArrayViewFromImage(prior) > 0.5)
    return Extraction(
        from_itk(corrected), _as_mask(from_itk(native_mask)), {"brain_volume_ml": volume, "prior_dice": agreement}
    )


def _as_mask(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image((np.asarray(image.dataobj) > 0.5).astype(np.uint8), image.affine)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def _register_prior(
    work: sitk.Image, head: sitk.Image, head_mask: sitk.Image, settings: ExtractionSettings
) -> sitk.Image:
    """Brain mask of the head template on the scan, 0 to 1, by affine and SyN at a coarse resolution."""
    coarse = isotropic(work, settings.registration_resolution)
    affine = multistart_affine(coarse, head)
    template = isotropic(head, settings.registration_resolution)
    _, prior = refine_with_ants(coarse, template, affine, "SyNOnly", head_mask)
    return sitk.Resample(prior, work, sitk.Transform(), sitk.sitkLinear, 0.0)


def refine_mask(work: sitk.Image, prior: sitk.Image, settings: ExtractionSettings) -> sitk.Image:
    """Move the prior's border to the tissue: keep grey and white matter near it, cut bridges, close sulci.

    Tissue is the two brighter of three k-means classes of intensity within the prior.
    """
    radius = round(settings.opening / WORKING_RESOLUTION)
    inside = prior > 0.5
    near = sitk.BinaryDilate(inside, [2] * 3)
    values = sitk.GetArrayViewFromImage(work)[sitk.GetArrayViewFromImage(inside) > 0]
    centres = np.percentile(values, [10, 50, 85])
    for _ in range(20):
        nearest = np.abs(values[:, None] - centres).argmin(1)
        centres = np.array([values[nearest == k].mean() for k in range(3)])
    low, high = (centres[0] + centres[1]) / 2, centres[2] + 1.5 * (centres[2] - centres[1])
    tissue = (work > float(low)) & (work < float(high)) & near
    core = _largest(sitk.BinaryErode(tissue & sitk.BinaryDilate(inside, [1] * 3), [radius] * 3))
    grown = sitk.BinaryDilate(core, [radius + 1] * 3) & tissue
    brain = sitk.BinaryMorphologicalClosing(grown | sitk.BinaryErode(inside, [1] * 3), [3] * 3)
    return sitk.BinaryFillhole(sitk.BinaryDilate(_largest(brain), [1] * 3))  # the border's partial volume is brain


def _largest(mask: sitk.Image) -> sitk.Image:
    labels, count = connected_components(sitk.GetArrayViewFromImage(mask))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    result = sitk.GetImageFromArray((labels == sizes.argmax()).astype(np.uint8))
    result.CopyInformation(mask)
    return result
