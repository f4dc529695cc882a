"""Training the coupled inject/remove simulator of one fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import SimulatorSettings
from counterwarp.networks.fields import field_spacing, warp
from counterwarp.networks.intensity import z_scored_as
from counterwarp.networks.parallel import batch_variance
from counterwarp.networks.simulator import CONDITIONS, AnySimulator, build_simulator
from counterwarp.networks.targets import TargetClassifier, TargetSimulator
from counterwarp.networks.warps import displacement_gradient, resample
from counterwarp.training.augmentation import Draws, augment
from counterwarp.training.classifier import correctly_classified, named
from counterwarp.training.critic import GroupMeanCritic
from counterwarp.training.data import group_means, training_batches
from counterwarp.training.loop import Batch, Run, Schedule, finish, fit


def simulate(
    simulator: nn.Module, images: Tensor, conditions: Tensor, spacing: Sequence[float], kind: str
) -> tuple[Tensor, Tensor]:
    """Warp images: (the simulator's field, mm, of a kind of ``networks.fields``; simulated images)."""
    field = simulator(images, conditions)
    return field, resample(images, warp(field, kind, spacing), spacing)


def simulator_losses(
    simulator: nn.Module,
    classifier: nn.Module,
    images: Tensor,
    spacing: Sequence[float],
    brain: Tensor,
    margin: float,
    settings: SimulatorSettings,
    critic: GroupMeanCritic | None = None,
    group: Tensor | None = None,
) -> dict[str, Tensor]:
    """Losses of one batch of scans (B, 1, *shape), both directions at once.

    hinge: relu(b - c (f(x_c) - f(x))) / b with b = ``margin`` in logits (Liu et al. 2021, eq. 2);
    smoothness: mean |grad v|^2 of the simulator's field, dimensionless; magnitude: mean |v|^2, mm^2, without
    which a classifier is flipped by broad tiny warps that have nothing to do with the disease; cycle: squared
    difference between x and the scan after inject and remove (or remove and inject), as a share of the variance of x;
    critic: of the scans that are moved towards the other group (``group`` (B,): see ``training.critic``). Classifier
    and critic see the simulated scans z-scored as scans are, over ``brain`` (*shape); see ``networks.intensity``.
    """
    batch = len(images)
    conditions = torch.tensor(list(CONDITIONS.values()), device=images.device).repeat_interleave(batch)
    images = images.repeat(len(CONDITIONS), *[1] * (images.ndim - 1))
    field, simulated = simulate(simulator, images, conditions, spacing, settings.field)
    with torch.no_grad():
        logits = classifier(images)
    seen = z_scored_as(images, simulated, brain)
    moved = conditions * (classifier(seen) - logits)
    _, returned = simulate(simulator, simulated, -conditions, spacing, settings.field)
    voxel = field_spacing(settings.field, spacing)
    losses = {
        "hinge": F.relu(margin - moved).mean() / margin,
        "smoothness": displacement_gradient(field, voxel).square().sum((1, 2)).mean(),
        "magnitude": field.square().sum(1).mean(),
        "cycle": F.mse_loss(returned, images) / batch_variance(images),
    }
    losses["total"] = (
        losses["hinge"]
        + settings.smoothness * losses["smoothness"]
        + settings.magnitude * losses["magnitude"]
        + settings.cycle * losses["cycle"]
    )
    if critic is not None and group is not None:
        group = group.repeat(len(CONDITIONS))
        crossed = group % 2 == (conditions < 0)  # what becomes of the others is not known
        losses["critic"] = critic(images[crossed], seen[crossed], group[crossed])
        losses["total"] = losses["total"] + settings.critic * losses["critic"]
    losses["margin_reached"] = (moved >= margin).float().mean()
    return losses


def simulator_settings(store: CohortStore, settings: SimulatorSettings) -> dict[str, Any]:
    """What the network is built from."""
    built = {name: getattr(settings, name) for name in ("width", "experts", "coupled", "field")}
    return {"dimensions": len(store.grid.spacing), **built} | named(store.targets)


class Training(nn.Module):
    """A simulator and, while it is trained, its critic, of which a checkpoint remembers the average."""

    def __init__(self, simulator: AnySimulator, critic: GroupMeanCritic | None):
        super().__init__()
        self.simulator, self.critic = simulator, critic

    def forward(self, images: Tensor, conditions: Tensor) -> Tensor:
        return self.simulator(images, conditions)


def choose_targets(is_case: Tensor, groups: int, draws: Draws) -> Tensor:
    """The case group (B,), from 0, that each scan of a step is warped for: a case's own, for a control one is drawn.

    So the simulator is trained with what it will explain: each target's cases, and the controls for every target.
    """
    return torch.where(is_case > 0, is_case.long() - 1, (draws.uniform() * groups).long().to(is_case.device))


def fit_simulator(
    store: CohortStore, classifier: nn.Module, margins: Sequence[float], fold: int, settings: SimulatorSettings,
    run: Run,
) -> AnySimulator:  # fmt: skip
    """Train on the scans outside a fold against a frozen classifier; ``margins``: of each case group, in logits.

    Raises
    ------
    InputError
        If only correctly classified scans are wanted and a group has none.
    """
    positions = store.positions(fold, held_out=False)
    if settings.only_correct:
        positions = correctly_classified(store, classifier.to(run.fabric.device), positions, run.fabric.device)
    loader, epoch = training_batches(store, positions, settings, run.seed, run.fabric)
    spacing, brain = store.grid.spacing, torch.from_numpy(store.brain_mask).to(run.fabric.device)
    classifier.to(run.fabric.device)
    simulator = build_simulator(**simulator_settings(store, settings))
    groups = len(store.targets)
    in_margins = torch.diag(1 / torch.tensor(margins)).to(run.fabric.device)
    critic = GroupMeanCritic(group_means(store, positions)).to(run.fabric.device) if settings.critic else None

    def step(network: nn.Module, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        images = augment(batch[0], spacing, settings.shift, settings.warp, settings.noise, draws)
        if not groups:
            return simulator_losses(network, classifier, images, spacing, brain, margins[0], settings, critic, batch[1])
        targets = choose_targets(batch[1], groups, draws)
        simulate = TargetSimulator(network, F.one_hot(targets, groups).to(images.dtype))
        classify = TargetClassifier(classifier, in_margins[targets])
        group = 2 * targets + (batch[1] > 0)
        return simulator_losses(simulate, classify, images, spacing, brain, 1.0, settings, critic, group)

    trained = fit(run, Training(simulator, critic), loader, step, Schedule(settings.steps, epoch), settings)
    finish([run])
    return trained.simulator
