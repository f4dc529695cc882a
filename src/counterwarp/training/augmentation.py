"""Random but anatomy-preserving changes of training images, made for a whole batch at once on its device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from counterwarp.networks.warps import INTERPOLATION, exponentiate, resample

CONTROL_POINT_SPACING = 24.0  # mm: as coarse as the gyral pattern, so that no single structure is resized alone


class Draws:
    """Random numbers for some scans of a step's batch: what they would be if one process drew for all of the batch.

    Parameters
    ----------
    seed : int
        Of the step.
    batch : int
        Scans of the step, in all processes.
    rows : slice
        Which of them are computed here and now.
    """

    def __init__(self, seed: int, batch: int, rows: slice):
        self.seed, self.batch, self.rows = seed, batch, rows
        self._generators = {"cpu": torch.Generator().manual_seed(seed)}

    def normal(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Standard normal numbers, (rows, *shape), drawn on a device (each kind of device has numbers of its own)."""
        kind = torch.device(device).type
        if kind not in self._generators:
            self._generators[kind] = torch.Generator(device).manual_seed(self.seed)
        return torch.randn(self.batch, *shape, generator=self._generators[kind], device=device)[self.rows]

    def uniform(self, *shape: int) -> Tensor:
        """Numbers between 0 and 1, (rows, *shape), drawn on the CPU."""
        return torch.rand(self.batch, *shape, generator=self._generators["cpu"])[self.rows]


def mirror(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Swap left and right of some images, (B, 1, X, ...); the network grid is symmetric about the midsagittal plane."""
    swapped = draws.uniform(*[1] * (images.ndim - 1)).to(images.device) < probability
    return torch.where(swapped, images.flip(2), images)


def random_displacement(images: Tensor, spacing: Sequence[float], shift: float, warp: float, draws: Draws) -> Tensor:
    """Random translation plus a random smooth diffeomorphism, (B, D, *shape), mm.

    ``shift`` and ``warp`` are standard deviations per axis of the translation and of the velocity at the
    control points, mm.
    """
    shape = images.shape[2:]
    dimensions = len(shape)
    coarse = [max(2, round(n * s / CONTROL_POINT_SPACING)) for n, s in zip(shape, spacing, strict=True)]
    control = (warp * draws.normal(dimensions, *coarse)).to(images.device)
    velocity = F.interpolate(control, size=tuple(shape), mode=INTERPOLATION[dimensions], align_corners=True)
    translation = (shift * draws.normal(dimensions, *[1] * dimensions)).to(images.device)
    return exponentiate(velocity + translation, spacing, squarings=3)


def augment(images: Tensor, spacing: Sequence[float], shift: float, warp: float, noise: float, draws: Draws) -> Tensor:
    """Shift and warp images (mm) and add white noise (standard deviation in z-scored intensity)."""
    if shift or warp:
        images = resample(images, random_displacement(images, spacing, shift, warp, draws), spacing)
    return images + noise * draws.normal(*images.shape[1:], device=images.device) if noise else images
