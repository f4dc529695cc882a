"""What a simulator puts out, a velocity or a displacement, and the warps that this stands for.

``velocity``: a stationary velocity field on voxels twice as long; at dose t the warp is exp(t v), its inverse
exp(-t v).
``displacement``: the displacement field itself, at full resolution; at dose t the warp is p + t u(p). It may fold, the
warps at several doses are no flow, and the inverse is found by iteration: where the warp folds it means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from counterwarp.networks.warps import compose, exponentiate, invert, upsample

VELOCITY, DISPLACEMENT = "velocity", "displacement"


def field_spacing(kind: str, spacing: Sequence[float]) -> list[float]:
    """Voxel of the field itself, mm, on a network grid of voxels ``spacing``."""
    return [s * (2 if kind == VELOCITY else 1) for s in spacing]


def warp(field: Tensor, kind: str, spacing: Sequence[float], dose: float = 1.0) -> Tensor:
    """Displacement on the network grid, (B, D, *shape), mm, at a dose; ``spacing`` is the network grid's, mm."""
    return exponentiate(dose * upsample(field), spacing) if kind == VELOCITY else dose * field


def inverse_warp(field: Tensor, kind: str, spacing: Sequence[float], dose: float = 1.0) -> Tensor:
    """Displacement of the inverse of ``warp``; see ``networks.warps.invert`` for that of a displacement."""
    return warp(field, kind, spacing, -dose) if kind == VELOCITY else invert(dose * field, spacing)


def training_warp(field: Tensor, kind: str, spacing: Sequence[float]) -> Tensor:
    """``warp`` at dose 1; a velocity is exponentiated on its own grid, an eighth of the work in 3-D."""
    return upsample(exponentiate(field, field_spacing(kind, spacing))) if kind == VELOCITY else field


def further(warp_so_far: Tensor, step: Tensor, kind: str, spacing: Sequence[float]) -> Tensor:
    """The warp whose dose is higher by that of ``step``: exp(s v) o exp(t v) = exp((s + t) v); displacements add."""
    return compose(step, warp_so_far, spacing) if kind == VELOCITY else warp_so_far + step
