"""Bias correction and brain extraction of a whole-head T1w by registration of a head template (classical ANTs)."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from scipy.ndimage import binary_closing, binary_fill_holes
from scipy.ndimage import label as connected_components

from counterwarp.brain.registration import isotropic, multistart_affine, register
from counterwarp.brain.tissue import tissue_centres
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import from_itk, ras_matrix, same_grid, to_itk
from counterwarp.core.settings import ExtractionSettings

WORKING_RESOLUTION = 2.0  # mm
CLIP = (1.0, 99.9)  # percentiles
BRIGHTEST = 1000.0  # of the working image, whatever the scan's unit: N4 adds 1 to keep away from log 0
MARGIN = 10.0  # mm of air kept around the head
OUTLINE = 0.12  # level of the smoothed tissue mask, 1.6 mm outside of its border: partial volume is brain as well
NO_HEAD = "found no head: hardly any voxel is brighter than the rest. Look at the scan, or drop it."
NO_BRAIN = "found no brain where the head template's lies. Look at the scan; it may not be an upright head."
BACKGROUND_SHARE = 0.1  # of a skull-stripped scan that must be 0


@dataclass(frozen=True)
class Extraction:
    """Results on the scan's own grid: bias-corrected image, brain mask (uint8), and metrics of the record.

    ``affine`` maps the head template's points to the scan's, RAS+ mm, (4, 4); None if the brain was not searched for.
    """

    t1w: nib.Nifti1Image
    mask: nib.Nifti1Image
    metrics: dict[str, float]
    affine: np.ndarray | None


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
    Extraction, on the scan's own grid. ``metrics``: brain_volume_ml and, of an extraction, the correlation with
    the head template around the brain after the affine (head_correlation_affine) and after SyN (head_correlation), and
    prior_dice (of the mask before and after its refinement).

    Raises
    ------
    InputError
        If the mask is empty or on another grid.
    RuntimeError
        From ITK or ANTs, if a step fails.
    """
    native = to_itk(scan)
    work = working_image(scan, settings.neck)
    if mask is None:
        bias = correct_bias(work, work > 0.5 * _otsu(work))
        work = work / sitk.Exp(bias)
        brain, start, metrics = _find_brain(work, to_itk(head), to_itk(head_mask), settings)
        native_mask, affine = from_itk(_on_scan(brain, native)), np.linalg.inv(ras_matrix(start))
    else:
        native_mask, affine, metrics = _checked(mask, scan), None, {}
        bias = correct_bias(work, sitk.Resample(to_itk(native_mask), work) > 0.5)
    native_bias = sitk.Resample(bias, native, sitk.Transform(), sitk.sitkLinear, 0.0)
    corrected = from_itk(sitk.Maximum(native, 0.0) / sitk.Exp(native_bias))
    inside = (np.asarray(native_mask.dataobj) > 0.5).astype(np.uint8)
    volume = float(inside.sum() * np.prod(native.GetSpacing()) / 1000)
    return Extraction(corrected, nib.Nifti1Image(inside, scan.affine), {"brain_volume_ml": volume, **metrics}, affine)


def mask_of_stripped(scan: nib.Nifti1Image) -> nib.Nifti1Image:
    """Brain mask of a skull-stripped scan: what is above 0, gaps of a voxel closed, holes filled.

    Raises
    ------
    InputError
        If hardly anything is 0: then nothing says where the brain ends.
    """
    inside = np.asarray(scan.dataobj) > 0
    if inside.mean() > 1 - BACKGROUND_SHARE:
        raise InputError(
            f"expected a skull-stripped scan with 0 outside the brain, but {inside.mean():.0%} of its voxels are above "
            "0. Give its mask, or run with --skull-stripped no."
        )
    closed = binary_closing(np.pad(inside, 1))[1:-1, 1:-1, 1:-1]
    return nib.Nifti1Image(binary_fill_holes(closed).astype(np.uint8), scan.affine)


def _checked(mask: nib.Nifti1Image, scan: nib.Nifti1Image) -> nib.Nifti1Image:
    """A given mask as 0 and 1; refused if empty or on another grid than its scan."""
    if not same_grid(mask, scan):
        raise InputError(f"the mask is not on its scan's grid ({mask.shape} and {scan.shape}). Resample it.")
    inside = (np.asarray(mask.dataobj) > 0.5).astype(np.uint8)
    if not inside.any():
        raise InputError("the mask is empty (no voxel above 0.5). Correct it, or drop it from the row.")
    return nib.Nifti1Image(inside, scan.affine)


def working_image(scan: nib.Nifti1Image, neck: float) -> sitk.Image:
    """The scan upright, isotropic at the working resolution, cropped to the head, clipped, from 0 to BRIGHTEST.

    Raises
    ------
    InputError
        If there is no head in it.
    """
    work = crop_to_head(isotropic(to_itk(nib.as_closest_canonical(scan)), WORKING_RESOLUTION), neck)
    low, high = (float(value) for value in np.percentile(sitk.GetArrayViewFromImage(work), CLIP))
    if not high > low:
        raise InputError(NO_HEAD)
    return (sitk.Clamp(work, sitk.sitkFloat32, low, high) - low) * (BRIGHTEST / (high - low))


def correct_bias(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """log bias field by N4 (Tustison et al. 2010) inside a mask, on the image's grid; the image is not negative."""
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 30])
    n4.SetConvergenceThreshold(1e-3)
    n4.Execute(sitk.Shrink(image + 1, [3] * 3), sitk.Shrink(mask, [3] * 3))
    return n4.GetLogBiasFieldAsImage(image)


def crop_to_head(image: sitk.Image, height: float) -> sitk.Image:
    """Cut the air around the head and what lies more than ``height`` mm below its top (z of the image is up)."""
    head = sitk.GetArrayViewFromImage(image) > _otsu(image)  # z, y, x
    margin = round(MARGIN / image.GetSpacing()[0])
    size, start = list(image.GetSize()), [0, 0, 0]
    for axis in range(3):
        share = head.mean(tuple(a for a in range(3) if a != 2 - axis))
        occupied = np.flatnonzero(share > 0.005)
        if not len(occupied):
            raise InputError(NO_HEAD)
        top = occupied.max()
        bottom = max(occupied.min(), round(top - height / image.GetSpacing()[2])) if axis == 2 else occupied.min()
        start[axis] = int(max(bottom - margin, 0))
        size[axis] = int(min(top + margin + 1, image.GetSize()[axis]) - start[axis])
    return sitk.RegionOfInterest(image, size, start)


def _otsu(image: sitk.Image) -> float:
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.Execute(image)
    return threshold.GetThreshold()


def _find_brain(
    work: sitk.Image, head: sitk.Image, head_mask: sitk.Image, settings: ExtractionSettings
) -> tuple[sitk.Image, sitk.AffineTransform, dict[str, float]]:
    """The head template's brain mask, warped onto the scan by affine and SyN at a coarse resolution, and refined.

    With the affine, which maps the scan's points to the template's.
    """
    coarse, template = (isotropic(image, settings.registration_resolution) for image in (work, head))
    start = multistart_affine(coarse, head)
    warped = register(coarse, template, "SyNOnly", start, forward=[(head_mask, coarse)])
    around = sitk.GetArrayFromImage(sitk.BinaryDilate(warped.forward[0] > 0.5, [2] * 3)) > 0
    images = coarse, sitk.Resample(template, coarse, start), warped.moved
    scan, placed, moved = (sitk.GetArrayViewFromImage(image)[around] for image in images)
    prior = sitk.Resample(warped.forward[0], work, sitk.Transform(), sitk.sitkLinear, 0.0)
    brain = refine_mask(work, prior, settings)
    metrics = {
        "head_correlation_affine": float(np.corrcoef(scan, placed)[0, 1]),
        "head_correlation": float(np.corrcoef(scan, moved)[0, 1]),
        "prior_dice": _dice(sitk.GetArrayViewFromImage(brain) > 0, sitk.GetArrayViewFromImage(prior) > 0.5),
    }
    return brain, start, metrics


def _on_scan(brain: sitk.Image, native: sitk.Image) -> sitk.Image:
    """A mask of the working image on the scan's own grid, its staircase smoothed, its outline moved outwards."""
    smooth = sitk.SmoothingRecursiveGaussian(sitk.Cast(brain, sitk.sitkFloat32), 0.7 * WORKING_RESOLUTION)
    return sitk.Resample(smooth, native, sitk.Transform(), sitk.sitkLinear, 0.0) > OUTLINE


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def refine_mask(work: sitk.Image, prior: sitk.Image, settings: ExtractionSettings) -> sitk.Image:
    """Move the prior's border to the tissue: keep grey and white matter near it, cut bridges, close sulci.

    Tissue is the two brighter of three k-means classes of intensity within the prior.

    Raises
    ------
    InputError
        If the prior lies outside the scan or there is no such tissue.
    """
    radius = round(settings.opening / WORKING_RESOLUTION)
    inside = prior > 0.5
    near = sitk.BinaryDilate(inside, [3] * 3)
    values = sitk.GetArrayViewFromImage(work)[sitk.GetArrayViewFromImage(inside) > 0]
    if not len(values):
        raise InputError(NO_BRAIN)
    csf, grey, white = tissue_centres(values)
    low, high = (csf + grey) / 2, white + 1.5 * (white - grey)
    tissue = (work > float(low)) & (work < float(high)) & near
    core = _largest(sitk.BinaryErode(tissue & sitk.BinaryDilate(inside, [2] * 3), [radius] * 3))
    grown = sitk.BinaryDilate(core, [radius + 1] * 3) & tissue
    brain = sitk.BinaryMorphologicalClosing(grown | sitk.BinaryErode(inside, [2] * 3), [4] * 3)
    return sitk.BinaryFillhole(_largest(brain))


def _largest(mask: sitk.Image) -> sitk.Image:
    labels, count = connected_components(sitk.GetArrayViewFromImage(mask))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    if not count:
        raise InputError(NO_BRAIN)
    sizes[0] = 0
    result = sitk.GetImageFromArray((labels == sizes.argmax()).astype(np.uint8))
    result.CopyInformation(mask)
    return result
