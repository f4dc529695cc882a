"""Explaining one scan: the warp that moves its logit, and the volume change that the warp asks of each tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterwarp.networks.simulator import CONDITIONS
from counterwarp.networks.warps import exponentiate, jacobian_determinant, resample, tissue_log_jacobian, upsample

DOSES = torch.linspace(0, 1, 21)
AT_ONCE = 7  # doses that are warped in one batch


@dataclass(frozen=True)
class Explanation:
    """One scan under one direction (inject or remove).

    Attributes
    ----------
    log_jacobian : Tensor, (X, Y, Z)
        log volume change of the scan's own tissue; negative = it loses volume.
    simulated : Tensor, (X, Y, Z)
        The counterfactual scan, z-scored intensity.
    displacement : Tensor, (3, X, Y, Z)
        mm, RAS+; simulated(p) = scan(p + displacement(p)).
    logit, logit_simulated : float
        Before and after.
    margin_reached : bool
        The logit moved by the margin in the right direction.
    folding_fraction : float
        Share of brain voxels at which the warp or its inverse folds.
    velocity : Tensor, (3, X/2, Y/2, Z/2)
        Stationary velocity field v, mm, RAS+, on voxels twice as long over the same box; the warp at
        dose t is exp(t v).
    dose_logits : Tensor, (21,)
        Logit at every dose t = 0, 0.05, ... 1.
    dose_to_flip : float or None
        Smallest of these doses at which the decision is for the direction's group; 0 if the scan is on that side
        already, None if the full dose does not flip it.
    mean_displacement : float
        Mean length of the displacement over the brain, mm.
    """

    log_jacobian: Tensor
    simulated: Tensor
    displacement: Tensor
    logit: float
    logit_simulated: float
    margin_reached: bool
    folding_fraction: float
    velocity: Tensor
    dose_logits: Tensor
    dose_to_flip: float | None
    mean_displacement: float


@torch.no_grad()
def explain(
    simulator: nn.Module,
    classifier: nn.Module,
    image: Tensor,
    direction: str,
    spacing: Sequence[float],
    brain: Tensor,
    margin: float,
) -> Explanation:
    """Warp one scan in one direction and measure the warp.

    Parameters
    ----------
    image : Tensor, (1, 1, X, Y, Z), z-scored intensity
    direction : "inject" or "remove"
    spacing : mm per voxel of the axis-aligned RAS+ grid
    brain : Tensor, (X, Y, Z) bool
    margin : logits

    Raises
    ------
    KeyError
        If the direction is unknown.
    """
    sign = CONDITIONS[direction]
    coarse = simulator(image, torch.tensor([sign], device=image.device))
    velocity = upsample(coarse)
    displacement = exponentiate(velocity, spacing)
    simulated = resample(image, displacement, spacing)
    path = dose_path(classifier, image, velocity, spacing)
    logit, logit_simulated = float(path[0]), float(path[-1])
    inverse = tissue_log_jacobian(velocity, spacing)[0]
    folded = (jacobian_determinant(displacement, spacing)[0] <= 0) | ~torch.isfinite(inverse)
    return Explanation(
        log_jacobian=inverse,
        simulated=simulated[0, 0],
        displacement=displacement[0],
        logit=logit,
        logit_simulated=logit_simulated,
        margin_reached=sign * (logit_simulated - logit) >= margin,
        folding_fraction=float(folded[brain].float().mean()),
        velocity=coarse[0],
        dose_logits=path,
        dose_to_flip=dose_to_flip(path, sign),
        mean_displacement=float(displacement[0].norm(dim=0)[brain].mean()),
    )


def dose_path(classifier: nn.Module, image: Tensor, velocity: Tensor, spacing: Sequence[float]) -> Tensor:
    """Logits of x o exp(t v) at every dose t of ``DOSES``, (doses,)."""
    logits = []
    for doses in DOSES.to(image.device).split(AT_ONCE):
        displacement = exponentiate(doses[:, None, None, None, None] * velocity, spacing)
        logits.append(classifier(resample(image.expand(len(doses), -1, -1, -1, -1), displacement, spacing)).float())
    return torch.cat(logits).cpu()


def dose_to_flip(logits: Tensor, sign: float) -> float | None:
    """Smallest dose at which sign * logit is positive, else None; ``logits`` as of ``dose_path``."""
    flipped = torch.nonzero(sign * logits > 0)
    return round(float(DOSES[flipped[0, 0]]), 2) if len(flipped) else None
