"""Affine alignment of a brain to MNI152 with a single interpolation, and the quality gate of a scan."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterwarp.brain.registration import isotropic, multistart_affine, refine_with_ants, to_itk
from counterwarp.core.geometry import LPS_FROM_RAS, Grid, itk_matrix
from counterwarp.core.settings import AlignmentSettings

WORKING_RESOLUTION = 2.0  # mm


@dataclass(frozen=True)
class Alignment:
    """A brain on the network grid: z-scored T1w (0 outside), mask, the affine (MNI152 to T1w points, RAS+ mm)."""

    t1w: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    metrics: dict[str, float]


def align_affine(t1w: nib.Nifti1Image, mask: nib.Nifti1Image, template: nib.Nifti1Image, grid: Grid) -> Alignment:
    """Register the masked brain to the MNI152 brain and resample it once, from its own grid to the network grid.

    Before a coarser grid samples it, the scan is smoothed to that grid's resolution (anti-aliasing).
    """
    native, native_mask = to_itk(t1w), to_itk(mask)
    fixed = isotropic(to_itk(template), WORKING_RESOLUTION)
    moving = isotropic(native * native_mask, WORKING_RESOLUTION)
    start = multistart_affine(fixed, moving)
    affine, _ = refine_with_ants(fixed, moving, start, "Affine", moving)
    reference = to_itk(nib.Nifti1Image(np.zeros(grid.shape, np.float32), grid.affine))
    share = _resample(native_mask, reference, affine)
    intensity = _resample(native * native_mask, reference, affine)
    inside = share > 0.5
    values = intensity[inside] / share[inside]
    scored = np.zeros(grid.shape, np.float32)
    scored[inside] = (values - values.mean()) / values.std()
    on_template = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, affine, sitk.sitkLinear, 0.0))
    expected = sitk.GetArrayFromImage(fixed)
    either = (on_template > 0) | (expected > 0)
    metrics = {
        "template_correlation": float(np.corrcoef(on_template[either], expected[either])[0, 1]),
        "brain_volume_ml": float(sitk.GetArrayViewFromImage(native_mask).sum() * np.prod(native.GetSpacing()) / 1000),
        **{f"scale_{i}": float(s) for i, s in enumerate(np.linalg.svd(itk_matrix(affine)[:3, :3])[1])},
    }
    return Alignment(scored, inside, LPS_FROM_RAS @ itk_matrix(affine) @ LPS_FROM_RAS, metrics)


def _resample(image: sitk.Image, reference: sitk.Image, affine: sitk.Transform) -> np.ndarray:
    """Smooth to the reference's resolution and interpolate linearly, once; (X, Y, Z)."""
    target, old = reference.GetSpacing()[0], np.array(image.GetSpacing())
    sigma = np.where(target > old, 0.4 * np.sqrt(np.maximum(target**2 - old**2, 0)), 0)
    if (sigma > 0).any():
        image = sitk.SmoothingRecursiveGaussian(image, np.maximum(sigma, 1e-3).tolist())
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, affine, sitk.sitkLinear, 0.0)).T


def judge(metrics: dict[str, float], settings: AlignmentSettings) -> tuple[str, list[str]]:
    """PASS, REVIEW or FAIL, with the reasons in words."""
    correlation, volume = metrics["template_correlation"], metrics["brain_volume_ml"]
    scales = [value for name, value in metrics.items() if name.startswith("scale_")]
    fail, review = [], []
    if correlation < settings.fail_correlation:
        fail.append(f"correlation with the MNI152 brain is {correlation:.2f}, expected {settings.review_correlation}")
    elif correlation < settings.review_correlation:
        review.append(f"correlation with the MNI152 brain is {correlation:.2f}, expected {settings.review_correlation}")
    if not settings.smallest_brain <= volume <= settings.largest_brain:
        fail.append(f"brain of {volume:.0f} ml, expected {settings.smallest_brain:.0f}-{settings.largest_brain:.0f}")
    if max(*scales, *(1 / s for s in scales)) > settings.largest_scale:
        fail.append(f"stretched by {', '.join(f'{s:.2f}' for s in scales)} to MNI152, expected about 1")
    return ("FAIL" if fail else "REVIEW" if review else "PASS"), fail + review
