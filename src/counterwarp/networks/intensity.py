"""What preprocessing would have done to the intensities of a scan whose anatomy is another."""

from __future__ import annotations

from torch import Tensor


def z_scored_as(scans: Tensor, warped: Tensor, brain: Tensor) -> Tensor:
    """Give warped scans the mean and standard deviation over the brain that they had before they were warped.

    Real scans are z-scored: where a ventricle is larger, all other tissue is a little brighter for it. A classifier and
    a critic that see warped scans without this ask for warps of healthy tissue that make up for the difference.

    Parameters
    ----------
    scans, warped : Tensor, (B, 1, *shape), z-scored intensity; one scan alone counts for all
    brain : Tensor, (*shape) bool
    """
    axes, voxels = tuple(range(1, warped.ndim)), brain.sum()

    def moments(images: Tensor) -> tuple[Tensor, Tensor]:
        mean = (images * brain).sum(axes, keepdim=True) / voxels
        return mean, ((images - mean).square() * brain).sum(axes, keepdim=True).div(voxels).sqrt()

    (mean, deviation), (mean_warped, deviation_warped) = moments(scans), moments(warped)
    return (warped - mean_warped) * (deviation / deviation_warped) + mean
