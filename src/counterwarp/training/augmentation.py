"""Random but anatomy-preserving changes of training images, made for a whole batch at once on its device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from counterwarp.networks.warps import INTERPOLATION, exponentiate, resample

CONTROL_POINT_SPACING = 24.0  # mm: as coarse as the gyral pattern, so that no single structure is resized alone


def random_displacement(
    images: Tensor, spacing: Sequence[float], shift: float, warp: float, generator: torch.Generator
) -> Tensor:
    """Random translation plus a random smooth diffeomorphism, (B, D, *shape), mm.

    ``shift`` and ``warp`` are standard deviations per axis of the translation and of the velocity at the
    control points, mm.
    """
    batch, _, *shape = images.shape
    dimensions = len(shape)
    coarse = [max(2, round(n * s / CONTROL_POINT_SPACING)) for n, s in zip(shape, spacing, strict=True)]
    control = warp * torch.randn(batch, dimensions, *coarse, generator=generator)
    velocity = F.interpolate(control, size=tuple(shape), mode=INTERPOLATION[dimensions], align_corners=True)
    translation = shift * torch.randn(batch, dimensions, *[1] * dimensions, generator=generator)
    return exponentiate((velocity + translation).to(images.device), spacing, squarings=3)


def augment(
    images: Tensor,
    spacing: Sequence[float],
    shift: float,
    warp: float,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """Shift and warp images (mm) and add white noise (standard deviation in z-scored intensity)."""
    images = resample(images, random_displacement(images, spacing, shift, warp, generator), spacing)
    return images + noise * torch.randn(images.shape, generator=generator).to(images.device)
