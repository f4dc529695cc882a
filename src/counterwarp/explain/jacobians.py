"""Explaining one scan: the warp that moves its logit, and the volume change that the warp asks of each tissue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from counterwarp.networks.fields import VELOCITY, inverse_warp, warp, warps_over_dose
from counterwarp.networks.simulator import CONDITIONS
from counterwarp.networks.warps import compose, jacobian_determinant, resample, tissue_log_jacobian

AT_ONCE = 7  # doses that are classified in one batch


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
        Share of brain voxels at which the warp folds or its inverse folds or is not found.
    field : Tensor, (3, X/2, Y/2, Z/2) or (3, X, Y, Z)
        The velocity (on voxels twice as long over the same box) or displacement that the simulator put out, mm, RAS+;
        see ``networks.fields`` for the warps at doses between 0 and 1.
    dose_logits : Tensor, (doses + 1,)
        Logit at every dose from 0 to 1, at equal steps.
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
    field: Tensor
    dose_logits: Tensor
    dose_to_flip: float | None
    mean_displacement: float


@torch.no_grad()
def explain(
    classifier: nn.Module,
    image: Tensor,
    field: Tensor,
    direction: str,
    spacing: Sequence[float],
    brain: Tensor,
    margin: float,
    doses: int,
    kind: str = VELOCITY,
) -> Explanation:
    """Warp one scan in one direction and measure the warp.

    Parameters
    ----------
    image : Tensor, (1, 1, X, Y, Z), z-scored intensity
    field : Tensor, (3, X/2, Y/2, Z/2) or, of a displacement, (3, X, Y, Z)
        The simulator's output for this scan and direction, mm.
    direction : "inject" or "remove"
    spacing : mm per voxel of the axis-aligned RAS+ grid
    brain : Tensor, (X, Y, Z) bool
    margin : logits
    doses : steps of the path
    kind : what the field is, see ``networks.fields``

    Raises
    ------
    KeyError
        If the direction is unknown.
    """
    sign = CONDITIONS[direction]
    displacement = warp(field[None], kind, spacing)
    simulated = resample(image, displacement, spacing)
    path = dose_path(classifier, image, field[None], simulated, spacing, doses, kind)
    logit, logit_simulated = float(path[0]), float(path[-1])
    log_jacobian = tissue_log_jacobian(inverse_warp(field[None], kind, spacing), spacing)[0]
    folded = (jacobian_determinant(displacement, spacing)[0] <= 0) | ~torch.isfinite(log_jacobian)
    return Explanation(
        log_jacobian=log_jacobian,
        simulated=simulated[0, 0],
        displacement=displacement[0],
        logit=logit,
        logit_simulated=logit_simulated,
        margin_reached=sign * (logit_simulated - logit) >= margin,
        folding_fraction=float(folded[brain].float().mean()),
        field=field,
        dose_logits=path,
        dose_to_flip=dose_to_flip(path, sign),
        mean_displacement=mean_length(displacement[0], brain),
    )


def mean_length(displacement: Tensor, brain: Tensor) -> float:
    """Mean length of a displacement (D, *shape) over the brain, mm."""
    return float(displacement.square().sum(0).sqrt()[brain].mean())  # Tensor.norm is slow across channels


@dataclass(frozen=True)
class Return:
    """A counterfactual scan warped in the opposite direction, which ought to give the scan back.

    Attributes
    ----------
    logit : float
        Of the scan that came back.
    image_error : float
        Its mean squared difference from the scan over the brain, as a share of the scan's variance there.
    field_error : float
        Mean length of the displacement that is left over the brain, mm.
    """

    logit: float
    image_error: float
    field_error: float


@torch.no_grad()
def returning(
    classifier: nn.Module,
    simulator: Callable[[Tensor, Tensor], Tensor],
    image: Tensor,
    there: Explanation,
    direction: str,
    spacing: Sequence[float],
    brain: Tensor,
    kind: str = VELOCITY,
) -> Return:
    """Warp the counterfactual of a scan in the opposite direction and compare with the scan (see ``explain``)."""
    simulated, away = there.simulated[None, None], there.displacement[None]
    opposite = torch.tensor([-CONDITIONS[direction]], device=image.device)
    back = warp(simulator(simulated, opposite), kind, spacing)
    returned = resample(simulated, back, spacing)
    scan = image[0, 0][brain]
    return Return(
        logit=float(classifier(returned)),
        image_error=float((returned[0, 0][brain] - scan).square().mean() / scan.var()),
        field_error=mean_length(compose(away, back, spacing)[0], brain),
    )


def dose_path(
    classifier: nn.Module, image: Tensor, field: Tensor, simulated: Tensor, spacing: Sequence[float], doses: int,
    kind: str = VELOCITY,
) -> Tensor:  # fmt: skip
    """Logits of the scan at doses 0, 1/doses, ... 1, (doses + 1,); ``simulated`` is the scan at dose 1."""
    between = islice(warps_over_dose(field, kind, spacing, doses), doses - 1)
    warped = [resample(image, displacement, spacing) for displacement in between]
    path = torch.cat([image, *warped, simulated]).split(AT_ONCE)
    return torch.cat([classifier(images).float() for images in path]).cpu()


def dose_to_flip(logits: Tensor, sign: float) -> float | None:
    """Smallest dose at which sign * logit is positive, else None; ``logits`` as of ``dose_path``."""
    flipped = torch.nonzero(sign * logits > 0)
    return round(int(flipped[0, 0]) / (len(logits) - 1), 2) if len(flipped) else None
