"""What a simulator puts out, a velocity or a displacement, and the warps that this stands for.

``velocity``: a stationary velocity field on voxels twice as long; at dose t the warp is exp(t v), its inverse
exp(-t v).
``displacement``: the displacement field itself, at full resolution; at dose t the warp is p + t u(p). It may fold, the
warps at several doses are no flow, and the inverse is found by iteration: where the warp folds it means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from counterwarp.networks.warps import compose, exponentiate, invert, upsample

VELOCITY, DISPLACEMENT = "velocity", "displacement"


def field_spacing(kind: str, spacing: Sequence[float]) -> list[float]:
    """Voxel of the field itself, mm, on a network grid of voxels ``spacing``."""
    return [s * (2 if kind == VELOCITY else 1) for s in spacing]


def warp(field: Tensor, kind: str, spacing: Sequence[float], dose: float = 1.0) -> Tensor:
    """Displacement on the network grid, (B, D, *shape), mm, at a dose; ``spacing`` is the network grid's, mm.

    A velocity is exponentiated on its own grid, an eighth of the work in 3-D.
    """
    if kind == VELOCITY:
        return upsample(exponentiate(dose * field, field_spacing(kind, spacing)))
    return dose * field


def inverse_warp(field: Tensor, kind: str, spacing: Sequence[float], dose: float = 1.0) -> Tensor:
    """Displacement of the inverse of ``warp``; see ``networks.warps.invert`` for that of a displacement."""
    return warp(field, kind, spacing, -dose) if kind == VELOCITY else invert(dose * field, spacing)


def warps_over_dose(field: Tensor, kind: str, spacing: Sequence[float], doses: int) -> Iterator[Tensor]:
    """``warp`` at doses 1/doses, 2/doses, ... 1.

    exp(s v) o exp(t v) = exp((s + t) v): every warp of a velocity is one composition away from the one before.
    """
    own = field_spacing(kind, spacing)
    step = warp_so_far = exponentiate(field / doses, own) if kind == VELOCITY else field / doses
    for number in range(doses):
        if number:
            warp_so_far = compose(step, warp_so_far, own) if kind == VELOCITY else warp_so_far + step
        yield upsample(warp_so_far) if kind == VELOCITY else warp_so_far
