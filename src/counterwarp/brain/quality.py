"""The quality gate of a scan: how well its aligned brain agrees with the MNI152 brain."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from counterwarp.brain.tissue import contrast
from counterwarp.core.geometry import ras_matrix
from counterwarp.core.settings import AlignmentSettings

RESOLUTION = 2.0  # mm, about that of the comparison: as many whole voxels of the template as come near it
SMOOTHING = 3.0  # mm: Gaussian that hides anatomy that an affine cannot match
DEPTH = 4.0  # mm: rim left out, where brain against background alone would correlate
AXES = ("largest", "middle", "smallest")  # of the affine, by how much they are stretched


def quality_metrics(
    t1w: sitk.Image, mask: sitk.Image, template: sitk.Image, affine: sitk.AffineTransform, on_grid: np.ndarray
) -> dict[str, float]:
    """Numbers of the scan's record.

    Parameters
    ----------
    t1w, mask : scan and brain mask, float32
    template : MNI152 brain, 0 outside
    affine : maps template to scan points
    on_grid : the mask on the network grid (X, Y, Z)

    Returns
    -------
    template_correlation : Pearson's correlation in the template's interior, both images smoothed. The rim is left out
        because any blob of a brain's shape, noise included, correlates with the template's outline.
    template_dice : overlap of the aligned mask and the template's
    brain_volume_ml : of the mask on the scan's own grid
    edge_share : share of the mask's voxels that touch the border of the network grid
    contrast_to_noise, white_to_grey : of white and grey matter (see ``brain.tissue``)
    voxel_volume_mm3 : of the scan's own grid
    largest_scale, middle_scale, smallest_scale : singular values of the affine; 0.9 is a brain 0.9 times the
        template's length along that axis
    """
    coarser = [max(1, round(RESOLUTION / spacing)) for spacing in template.GetSpacing()]
    reference, expected = (sitk.BinShrink(i, coarser) for i in (template, sitk.Cast(template > 0, sitk.sitkFloat32)))
    found = sitk.Resample(mask, reference, affine, sitk.sitkLinear, 0.0)
    scan = sitk.Resample(t1w * mask, reference, affine, sitk.sitkLinear, 0.0)
    interior = sitk.BinaryErode(expected > 0.5, [round(DEPTH / RESOLUTION)] * 3)
    inside, here, there = (sitk.GetArrayViewFromImage(m > 0.5) > 0 for m in (interior, found, expected))
    faces = np.pad(np.zeros([n - 2 for n in on_grid.shape], bool), 1, constant_values=True)
    scales = np.linalg.svd(ras_matrix(affine)[:3, :3], compute_uv=False)
    return {
        "template_correlation": _correlation(_smooth(scan, found), _smooth(reference, expected), inside),
        "template_dice": float(2 * (here & there).sum() / (here.sum() + there.sum())),
        "brain_volume_ml": float(sitk.GetArrayViewFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000),
        "edge_share": float(on_grid[faces].sum() / on_grid.sum()),
        **contrast(sitk.GetArrayViewFromImage(scan)[here]),
        "voxel_volume_mm3": float(np.prod(mask.GetSpacing())),
        **{f"{which}_scale": float(scale) for which, scale in zip(AXES, scales, strict=True)},
    }


def _smooth(image: sitk.Image, mask: sitk.Image) -> np.ndarray:
    """Gaussian mean over the mask alone; 0 far from it."""
    total, weight = (sitk.SmoothingRecursiveGaussian(i, SMOOTHING) for i in (image, mask))
    total, weight = (sitk.GetArrayFromImage(i) for i in (total, weight))
    return np.where(weight > 0.1, total / np.maximum(weight, 0.1), 0)


def _correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Pearson's correlation; 0 if an image is constant there."""
    a, b = a[where] - a[where].mean(), b[where] - b[where].mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0


def judge(metrics: dict[str, float], settings: AlignmentSettings) -> tuple[str, list[str]]:
    """PASS, REVIEW or FAIL, with the reasons in words."""
    fail = [f"{name} could not be measured" for name, value in metrics.items() if not np.isfinite(value)]
    review: list[str] = []
    for name, what, least, doubtful in (
        ("template_correlation", "correlation with", settings.fail_correlation, settings.review_correlation),
        ("template_dice", "overlap (Dice) with", settings.fail_dice, settings.review_dice),
    ):
        if metrics[name] < doubtful:
            reasons = fail if metrics[name] < least else review
            reasons.append(f"{what} the MNI152 brain is {metrics[name]:.2f}, expected above {doubtful}")
    volume = metrics["brain_volume_ml"]
    if not settings.smallest_brain <= volume <= settings.largest_brain:
        fail.append(f"brain of {volume:.0f} ml, expected {settings.smallest_brain:.0f}-{settings.largest_brain:.0f}")
    scales = [metrics[f"{which}_scale"] for which in AXES]
    if max(*scales, *(1 / s for s in scales)) > settings.largest_scale:
        fail.append(f"axes of {', '.join(f'{s:.2f}' for s in scales)} times MNI152's length, expected about 1")
    if metrics["edge_share"] > settings.largest_edge_share:
        review.append(f"{metrics['edge_share']:.1%} of the brain touches the network grid's border")
    return ("FAIL" if fail else "REVIEW" if review else "PASS"), fail + review
