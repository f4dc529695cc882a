"""Explaining one scan: the warps that move its logit, and the volume change that they ask of each tissue.

All directions of a scan are one batch: of one image alone, PyTorch convolves without oneDNN on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from counterwarp.networks.fields import VELOCITY, inverse_warp, warp, warps_over_dose
from counterwarp.networks.intensity import z_scored_as
from counterwarp.networks.simulator import CONDITIONS
from counterwarp.networks.warps import compose, jacobian_determinant, resample, tissue_log_jacobian

Logits = Callable[[Tensor], Tensor]  # images (B, 1, X, Y, Z) to logits (B,)
SEARCHES = 5  # logits looked at to find the scale of a velocity
NEAR = 0.02  # share of the margin that a logit may move further than it


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
        The velocity (on voxels twice as long over the same box) or displacement, mm, RAS+; see ``networks.fields``
        for the warps at doses between 0 and 1.
    scale : float
        What the simulator's field was multiplied by, see ``margin_scale``.
    dose_logits : Tensor, (doses + 1,)
        Logit at every dose from 0 to 1, at equal steps.
    dose_to_flip : float or None
        Smallest of these doses at which the decision is for the direction's group; 0 if the scan is on that side
        already, None if the full dose does not flip it.
    mean_displacement : float
        Mean length of the displacement over the brain, mm.
    back : Return or None
        What the simulator's opposite direction makes of the counterfactual; None if that was not asked for.
    """

    log_jacobian: Tensor
    simulated: Tensor
    displacement: Tensor
    logit: float
    logit_simulated: float
    margin_reached: bool
    folding_fraction: float
    field: Tensor
    scale: float
    dose_logits: Tensor
    dose_to_flip: float | None
    mean_displacement: float
    back: Return | None


@torch.no_grad()
def explain(
    classifier: nn.Module,
    simulator: Callable[[Tensor, Tensor], Tensor],
    image: Tensor,
    spacing: Sequence[float],
    brain: Tensor,
    margin: float,
    doses: int,
    kind: str = VELOCITY,
    directions: Sequence[str] = tuple(CONDITIONS),
    cycle: bool = True,
    largest_scale: float = 1.0,
) -> dict[str, Explanation]:
    """Warp one scan in every direction and measure the warps.

    Logits of warped scans are those that they would have as scans, z-scored anew; see ``networks.intensity``.

    Parameters
    ----------
    image : Tensor, (1, 1, X, Y, Z), z-scored intensity
    spacing : mm per voxel of the axis-aligned RAS+ grid
    brain : Tensor, (X, Y, Z) bool
    margin : logits
    doses : steps of the path
    kind : what the simulator puts out, see ``networks.fields``
    directions : of inject and remove, those wanted
    cycle : warp every counterfactual back as well
    largest_scale : velocities that do not move the logit by the margin are multiplied by what does, at most by this

    Raises
    ------
    KeyError
        If a direction is unknown.
    """
    conditions = torch.tensor([CONDITIONS[direction] for direction in directions], device=image.device)
    images = image.expand(len(conditions), *image.shape[1:])
    fields = simulator(images, conditions)
    scales = torch.ones_like(conditions)

    def logits_of(warped: Tensor) -> Tensor:
        return classifier(z_scored_as(image, warped, brain))

    if largest_scale > 1 and kind == VELOCITY:
        scales = margin_scale(logits_of, images, fields, conditions, spacing, margin, largest_scale)
        fields = _times(scales, fields)
    displacements = warp(fields, kind, spacing)
    simulated = resample(images, displacements, spacing)
    paths = dose_path(logits_of, image, fields, simulated, spacing, doses, kind)
    log_jacobians = tissue_log_jacobian(inverse_warp(fields, kind, spacing), spacing)
    folded = (jacobian_determinant(displacements, spacing) <= 0) | ~torch.isfinite(log_jacobians)
    back: list[Return] | list[None] = [None] * len(directions)
    if cycle:
        backwards = _times(scales, simulator(simulated, -conditions))
        back = _returning(logits_of, image, simulated, displacements, warp(backwards, kind, spacing), spacing, brain)
    return {
        direction: Explanation(
            log_jacobian=log_jacobians[i],
            simulated=simulated[i, 0],
            displacement=displacements[i],
            logit=float(paths[i, 0]),
            logit_simulated=float(paths[i, -1]),
            margin_reached=CONDITIONS[direction] * float(paths[i, -1] - paths[i, 0]) >= margin,
            folding_fraction=float(folded[i][brain].float().mean()),
            field=fields[i],
            scale=float(scales[i]),
            dose_logits=paths[i],
            dose_to_flip=dose_to_flip(paths[i], CONDITIONS[direction]),
            mean_displacement=mean_length(displacements[i], brain),
            back=back[i],
        )
        for i, direction in enumerate(directions)
    }


def mean_length(displacement: Tensor, brain: Tensor) -> float:
    """Mean length of a displacement (D, *shape) over the brain, mm."""
    return float(displacement.square().sum(0).sqrt()[brain].mean())  # Tensor.norm is slow across channels


def margin_scale(
    classifier: Logits, images: Tensor, velocities: Tensor, conditions: Tensor, spacing: Sequence[float],
    margin: float, largest: float,
) -> Tensor:  # fmt: skip
    """Scales (B,) of velocities that move the logits by the margin; ``largest`` where that is not enough.

    The smallest scale from 1 on. The logit follows the dose nearly in a line, along which it is looked for (false
    position), a little above the margin. Warps that move it further than the margin are left as they are: how strong
    they are is what the critic has taught them.

    ``images`` (B, 1, *shape); ``velocities`` (B, D, *shape/2), mm; ``margin`` in logits.
    """
    logits, aim = classifier(images), margin * (1 + NEAR / 2)
    scale = low = torch.ones_like(conditions)  # not enough, or 1, and how far it moves the logit
    high, above = torch.full_like(scale, largest), torch.full_like(scale, torch.inf)
    below = torch.zeros_like(scale)
    for _ in range(SEARCHES):
        warps = warp(_times(scale, velocities), VELOCITY, spacing)
        moved = conditions * (classifier(resample(images, warps, spacing)) - logits).float()
        enough = moved >= margin
        high, above = torch.where(enough, scale, high), torch.where(enough, moved, above)
        low, below = torch.where(enough, low, scale), torch.where(enough, below, moved)
        if bool(((above <= margin * (1 + NEAR)) | (low >= high)).all()):
            break
        between = low + (high - low) * (aim - below) / (above - below)
        beyond = torch.where(below > 0, low * aim / below, largest)
        scale = torch.where(above < torch.inf, between, beyond).clamp(max=largest)
    return high


def _times(scales: Tensor, fields: Tensor) -> Tensor:
    """Every field of a batch times its own number."""
    return fields * scales.reshape(-1, *[1] * (fields.ndim - 1))


def _returning(
    classifier: Logits, image: Tensor, simulated: Tensor, displacements: Tensor, backwards: Tensor,
    spacing: Sequence[float], brain: Tensor,
) -> list[Return]:  # fmt: skip
    """Warp every counterfactual back and compare with the scan."""
    returned = resample(simulated, backwards, spacing)
    left = compose(displacements, backwards, spacing)
    scan = image[0, 0][brain]
    return [
        Return(
            logit=float(logit),
            image_error=float((one[0][brain] - scan).square().mean() / scan.var()),
            field_error=mean_length(displacement, brain),
        )
        for logit, one, displacement in zip(classifier(returned), returned, left, strict=True)
    ]


def dose_path(
    classifier: Logits, image: Tensor, fields: Tensor, simulated: Tensor, spacing: Sequence[float], doses: int,
    kind: str = VELOCITY,
) -> Tensor:  # fmt: skip
    """Logits of the scan under each of B fields at doses 0, 1/doses, ... 1, (B, doses + 1).

    ``image`` (1, 1, X, Y, Z); ``fields`` (B, 3, ...); ``simulated`` (B, 1, X, Y, Z) is the scan at dose 1.
    """
    images = image.expand_as(simulated)
    before, after = classifier(torch.cat([image, simulated])).float().split([1, len(fields)])
    displacements = islice(warps_over_dose(fields, kind, spacing, doses), doses - 1)
    between = [classifier(resample(images, displacement, spacing)).float() for displacement in displacements]
    return torch.stack([before.expand_as(after), *between, after], dim=1).cpu()


def dose_to_flip(logits: Tensor, sign: float) -> float | None:
    """Smallest dose at which sign * logit is positive, else None; ``logits`` (doses + 1,), as of ``dose_path``."""
    flipped = torch.nonzero(sign * logits > 0)
    return round(int(flipped[0, 0]) / (len(logits) - 1), 2) if len(flipped) else None
