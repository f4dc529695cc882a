"""The one training loop, on Lightning Fabric."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from counterwarp.core.settings import TrainingSettings
from counterwarp.training.augmentation import Draws
from counterwarp.training.checkpoint import Checkpoint
from counterwarp.training.data import read_ahead
from counterwarp.training.launch import first_process_only
from counterwarp.training.progress import TrainingProgress

log = logging.getLogger(__name__)
SEED_STRIDE = 1_000_003  # more than a training has steps
Network = TypeVar("Network", bound=nn.Module)
Batch = tuple[Tensor, Tensor]
Step = Callable[[nn.Module, Batch, Draws], dict[str, Tensor]]
Validate = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Run:
    """One training: where it computes, from which seed, its table of losses (CSV) and from where it goes on."""

    fabric: Fabric
    seed: int
    history: Path
    checkpoint: Checkpoint

    def member(self, number: int) -> Run:
        """One of several trainings of the same task, with a table and a checkpoint of its own."""
        history = self.history.parent / f"member-{number}" / self.history.name
        return replace(self, history=history, checkpoint=self.checkpoint.part(member=number))


@dataclass(frozen=True)
class Schedule:
    """How long to train.

    ``steps``: optimiser steps, of which an epoch has ``epoch``; ``average_from``: share of the steps after which
    weights are averaged, 1: never; ``patience``: epochs without a lower validation loss that end the training, 0: none.
    """

    steps: int
    epoch: int
    average_from: float = 1.0
    patience: int = 0


def fit(
    run: Run, network: Network, loader: DataLoader, step: Step, schedule: Schedule, settings: TrainingSettings,
    validate: Validate | None = None,
) -> Network:  # fmt: skip
    """Train a network with AdamW and a one-cycle learning rate; after a task's last training call ``finish``.

    Everything random in a step follows from the seed and the step's number: a training that was stopped and continues
    from its checkpoint ends with the same weights (bitwise on CPU) as one that was not. A step's scans do not depend
    on the number of processes either.

    Parameters
    ----------
    loader : DataLoader
        Of ``ShuffledBatches``.
    step : function of (network, batch, draws)
        Named losses; ``total`` is minimised, all are written to the history, a row per step.
    validate : function of a network in evaluation mode, optional
        The validation loss, equal in all processes; asked after every epoch, for ``schedule.patience``.

    Returns
    -------
    The trained, averaged or best network, unwrapped, on its device, in evaluation mode.
    """
    training = _Training(run, network, step, schedule, settings)
    loader.batch_sampler.start = len(training.rows)  # type: ignore[union-attr]
    data = run.fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    first = run.fabric.is_global_zero
    with (
        run.checkpoint.listening(),
        closing(read_ahead(data)) as batches,
        TrainingProgress(run.history if first else None, schedule.steps, training.rows) as progress,
    ):
        for number, batch in zip(range(len(training.rows), schedule.steps), batches, strict=False):
            if training.waited_too_long():
                break
            stopped = training.update(number, batch)
            if validate is not None and (number + 1) % schedule.epoch == 0:
                training.judge(validate)
            progress.update(len(batch[0]) * run.fabric.world_size)
            if (stopped or run.checkpoint.due) and first:
                run.checkpoint.save(training.state())
            if stopped:
                run.checkpoint.leave(first)
    if first:
        run.checkpoint.save(training.state())  # the task may have more to train
    return training.result()


def finish(runs: Sequence[Run]) -> None:
    """Of a task whose trainings are complete the first process goes on, without their checkpoints; the others end."""
    first_process_only(runs[0].fabric)
    for run in runs:
        run.checkpoint.remove()


class _Training:
    """What changes from step to step: weights, optimiser, schedule, average, best weights and the history's rows."""

    def __init__(self, run: Run, network: nn.Module, step: Step, schedule: Schedule, settings: TrainingSettings):
        self.run, self.network, self.step, self.schedule, self.settings = run, network, step, schedule, settings
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.model, self.optimizer = run.fabric.setup(network, optimizer)
        self.rate = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=schedule.steps
        )
        moving = get_ema_multi_avg_fn(settings.ema_decay) if settings.ema_decay else None
        self.average_from = 0 if moving else schedule.average_from * schedule.steps
        self.averaged = AveragedModel(network, multi_avg_fn=moving, use_buffers=True)
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        self._parts = {
            "network": network, "optimizer": self.optimizer, "rate": self.rate, "averaged": self.averaged,
            "precision": run.fabric.strategy.precision,
        }  # fmt: skip
        state = run.checkpoint.load()
        if state is not None:
            self.rows, self.best = state["rows"], state["best"]
            for name, part in self._parts.items():
                part.load_state_dict(state[name])
            log.info("continuing from step %d of %d, %s", len(self.rows), schedule.steps, run.checkpoint.path)
        self.model.train()

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        return {"rows": self.rows, "best": self.best, **parts}

    def update(self, number: int, batch: Batch) -> bool:
        """One optimiser step on the gradient of ``total``; was any process told to stop?"""
        fabric, parts = self.run.fabric, self.settings.accumulation
        seed, here = self.run.seed * SEED_STRIDE + number, len(batch[0])
        torch.manual_seed(seed)  # dropout
        self.optimizer.zero_grad()
        values = []
        for part, pieces in enumerate(zip(*(tensor.chunk(parts) for tensor in batch), strict=True)):
            begin = fabric.global_rank * here + part * (here // parts)
            draws = Draws(seed, here * fabric.world_size, slice(begin, begin + here // parts))
            with fabric.no_backward_sync(self.model, enabled=part < parts - 1):
                losses = self.step(self.model, pieces, draws)
                fabric.backward(losses["total"] / parts)
            values.append(torch.stack([value.detach() for value in losses.values()]))
        if self.settings.clip:
            fabric.clip_gradients(self.model, self.optimizer, max_norm=self.settings.clip)
        self.optimizer.step()
        self.rate.step()
        if number >= self.average_from:
            self.averaged.update_parameters(self.network)
        told = values[0].new_tensor([self.run.checkpoint.stopped])
        everywhere = fabric.all_reduce(torch.cat([torch.stack(values).mean(0), told]), reduce_op="mean")
        *means, stopped = cast(Tensor, everywhere).tolist()
        self.rows.append(dict(zip(losses, means, strict=True)))
        if self.schedule.patience:
            self.rows[-1]["validation"] = math.nan  # until an epoch ends
        return stopped > 0

    def judge(self, validate: Validate) -> None:
        """Keep the weights if no epoch before had a validation loss as low."""
        network = self._candidate().eval()
        self.rows[-1]["validation"] = loss = validate(network)
        network.train()
        if loss < self.best.get("loss", math.inf):
            weights = copy.deepcopy(network.state_dict())
            self.best = {"loss": loss, "step": len(self.rows), "weights": weights}

    def waited_too_long(self) -> bool:
        """Has the validation loss been no lower than its best for the epochs of patience?"""
        wait = self.schedule.patience * self.schedule.epoch
        return bool(wait and self.best and len(self.rows) - self.best["step"] >= wait)

    def _candidate(self) -> nn.Module:
        """The network that would be the result if training ended now."""
        return self.averaged.module if self.averaged.n_averaged else self.network

    def result(self) -> Any:
        network = self._candidate()
        if self.best:
            network.load_state_dict(self.best["weights"])
        return network.eval()
