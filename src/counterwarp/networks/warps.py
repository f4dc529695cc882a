"""Warps as tensors. Fields are pull-backs in mm along the array axes (RAS+ on the network grid), channel first:
out(p) = in(p + u(p)). Works in 2-D and 3-D; D is the number of spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

SQUARINGS = 5
INVERSIONS, RELAXATION = 60, 0.5  # fixed-point iterations and their step: converge where a warp stretches up to 4 times
NOT_INVERTED = 0.1  # voxels: what may be left of warp and inverse together
INTERPOLATION = {2: "bilinear", 3: "trilinear"}


@lru_cache(2)
def identity_grid(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sampling positions of the identity, (1, *shape, D), in grid_sample's order (last axis first) and [-1, 1].

    Kept, as every composition asks for them: those of the network grid and those of the velocity's.
    """
    axes = [torch.linspace(-1, 1, n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]


def resample(image: Tensor, displacement: Tensor, spacing: Sequence[float]) -> Tensor:
    """Pull an image back through a displacement field, linearly; the border value continues outside.

    Parameters
    ----------
    image : Tensor, (B, C, *shape)
    displacement : Tensor, (B, D, *shape), mm
    spacing : D floats, mm per voxel

    Returns
    -------
    Tensor, (B, C, *shape): image(p + displacement(p)).
    """
    shape = image.shape[2:]
    scale = torch.tensor(
        [2.0 / (s * max(n - 1, 1)) for n, s in zip(shape, spacing, strict=True)],
        device=image.device,
        dtype=displacement.dtype,
    )
    offset = (displacement.movedim(1, -1) * scale).flip(-1)
    positions = identity_grid(tuple(shape), displacement.device, displacement.dtype) + offset
    return F.grid_sample(image, positions.to(image.dtype), align_corners=True, padding_mode="border")


def compose(outer: Tensor, inner: Tensor, spacing: Sequence[float]) -> Tensor:
    """Displacement of (id + outer) o (id + inner), (B, D, *shape), mm: resampling by ``outer`` and then ``inner``."""
    return inner + resample(outer, inner, spacing)


def upsample(field: Tensor) -> Tensor:
    """Linear interpolation (B, C, *shape) to (B, C, *2 shape) on voxels half as long over the same box."""
    return F.interpolate(field, scale_factor=2, mode=INTERPOLATION[field.ndim - 2], align_corners=False)


def exponentiate(velocity: Tensor, spacing: Sequence[float], squarings: int = SQUARINGS) -> Tensor:
    """Displacement of exp(velocity) by scaling and squaring (Arsigny et al., MICCAI 2006).

    ``velocity`` (B, D, *shape) is a stationary velocity field in mm; exp(-velocity) is the inverse warp and
    exp(t velocity), t in [0, 1], the path from the identity.
    """
    displacement = velocity / 2**squarings
    for _ in range(squarings):
        displacement = compose(displacement, displacement, spacing)
    return displacement


def invert(displacement: Tensor, spacing: Sequence[float]) -> Tensor:
    """Displacement v of the inverse, v(q) = -u(q + v(q)), by fixed-point iteration (Chen et al., Med Phys 2008).

    NaN where it does not converge. Where the warp folds, several points go to one, and this finds one of them or none.
    """
    inverse = torch.zeros_like(displacement)
    for _ in range(INVERSIONS):
        inverse = inverse - RELAXATION * compose(displacement, inverse, spacing)
    left = compose(displacement, inverse, spacing) / inverse.new_tensor(spacing).reshape(-1, *[1] * len(spacing))
    return inverse.where(left.norm(dim=1, keepdim=True) < NOT_INVERTED, torch.nan)


def displacement_gradient(displacement: Tensor, spacing: Sequence[float]) -> Tensor:
    """Spatial derivatives by central differences, (B, D, D, *shape): [:, i, j] = d u_i / d p_j (mm per mm)."""
    return torch.stack(_derivatives(displacement, spacing), dim=2)


def _derivatives(displacement: Tensor, spacing: Sequence[float]) -> tuple[Tensor, ...]:
    """Along each of the axes, each (B, D, *shape)."""
    return torch.gradient(displacement, spacing=list(spacing), dim=tuple(range(2, displacement.ndim)))


def jacobian_determinant(displacement: Tensor, spacing: Sequence[float]) -> Tensor:
    """Local volume ratio of p -> p + u(p): above 1 the map expands, below 0 it folds.

    Parameters
    ----------
    displacement : Tensor, (B, D, *shape), mm
    spacing : D floats, mm per voxel

    Returns
    -------
    Tensor, (B, *shape), dimensionless.
    """
    derivatives = _derivatives(displacement, spacing)
    axes = range(len(derivatives))
    # by components, which lie side by side in memory; those of one voxel's matrix do not
    rows = [[derivatives[j][:, i] + (i == j) for j in axes] for i in axes]
    if len(axes) == 2:
        (a, b), (c, d) = rows
        return a * d - b * c
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def tissue_log_jacobian(inverse: Tensor, spacing: Sequence[float]) -> Tensor:
    """log volume change of each piece of the original tissue when the image is resampled by a warp phi.

    ``inverse`` (B, D, *shape), mm, is the displacement of phi^-1: the tissue at q moves to phi^-1(q), so this is
    log det D phi^-1 at q: negative = this tissue loses volume. Shape (B, *shape); NaN where the inverse folds.
    """
    return jacobian_determinant(inverse, spacing).log()
