"""The one training loop, on Lightning Fabric."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from counterwarp.training.checkpoint import Checkpoint

log = logging.getLogger(__name__)
LOG_LINES = 20
SEED_STRIDE = 1_000_003  # more than a training has steps
Network = TypeVar("Network", bound=nn.Module)


def make_fabric(device: str, seed: int) -> Fabric:
    """One process on CPU (float32) or one GPU (bfloat16 where it is safe), every generator seeded."""
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    precision: Any = "bf16-mixed" if device == "cuda" else "32-true"
    fabric = Fabric(accelerator="cuda" if device == "cuda" else "cpu", devices=1, precision=precision)
    fabric.seed_everything(seed, verbose=False)
    return fabric


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    ``steps``: optimiser steps; ``learning_rate``: peak of the one-cycle schedule; ``weight_decay``: of AdamW;
    ``average_from``: share of the steps after which weights are averaged, 1: the last weights are returned.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    average_from: float = 1.0


Step = Callable[[nn.Module, Any, torch.Generator], dict[str, Tensor]]


def fit(
    fabric: Fabric, network: Network, loader: DataLoader, step: Step, schedule: Schedule, seed: int, history: Path,
    checkpoint: Checkpoint,
) -> Network:  # fmt: skip
    """Train a network with AdamW, a one-cycle learning rate and gradients clipped to norm 1.

    Everything random in a step follows from the seed and the step's number: a training that was stopped and continues
    from its checkpoint ends with the same weights (bitwise on CPU) as one that was not.

    Parameters
    ----------
    loader : DataLoader
        Of ``ShuffledBatches``.
    step : function of (network, batch, random generator on CPU)
        Named losses; ``total`` is minimised, all are written to ``history`` (CSV, one row per step).

    Returns
    -------
    The trained (or averaged) network, unwrapped, on its device, in evaluation mode.
    """
    training = _Training(fabric, network, schedule, checkpoint)
    loader.batch_sampler.start = len(training.rows)  # type: ignore[union-attr]
    data = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    training.model.train()
    with checkpoint.listening():
        for number, batch in zip(range(len(training.rows), schedule.steps), data, strict=False):
            torch.manual_seed(seed * SEED_STRIDE + number)  # dropout
            generator = torch.Generator().manual_seed(seed * SEED_STRIDE + number)
            training.update(step(training.model, batch, generator), len(batch[0]))
            if checkpoint.due:
                checkpoint.save(training.state())
                checkpoint.exit_if_stopped()
    pd.DataFrame(training.rows).rename_axis("step").to_csv(history, float_format="%.6g")
    checkpoint.remove()
    return (cast(Network, training.averaged.module) if schedule.average_from < 1 else network).eval()


class _Training:
    """What changes from step to step: weights, optimiser, schedule, average and the history's rows."""

    def __init__(self, fabric: Fabric, network: nn.Module, schedule: Schedule, checkpoint: Checkpoint):
        self.fabric, self.network, self.schedule = fabric, network, schedule
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.model, self.optimizer = fabric.setup(network, optimizer)
        self.rate = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, schedule.learning_rate, total_steps=schedule.steps
        )
        self.averaged = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
        self.rows: list[dict[str, float]] = []
        self._parts = {
            "network": network, "optimizer": self.optimizer, "rate": self.rate, "averaged": self.averaged
        }  # fmt: skip
        state = checkpoint.load()
        if state is not None:
            self.rows = state["rows"]
            for name, part in self._parts.items():
                part.load_state_dict(state[name])
        self._begin, self._scans = time.monotonic(), 0

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"rows": self.rows, **{name: part.state_dict() for name, part in self._parts.items()}}

    def update(self, losses: dict[str, Tensor], scans: int) -> None:
        """One optimiser step on the gradient of ``total``."""
        self.optimizer.zero_grad()
        self.fabric.backward(losses["total"])
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=1.0)
        self.optimizer.step()
        self.rate.step()
        if len(self.rows) >= self.schedule.average_from * self.schedule.steps:
            self.averaged.update_parameters(self.network)
        self.rows.append({name: float(value.detach()) for name, value in losses.items()})
        self._scans += scans
        done, steps = len(self.rows), self.schedule.steps
        if done == steps or (done - 1) % max(1, steps // LOG_LINES) == 0:
            self._log(done, steps, scans)

    def _log(self, done: int, steps: int, scans: int) -> None:
        """One line: losses, speed, time to go, peak memory."""
        speed = self._scans / max(time.monotonic() - self._begin, 1e-9)
        losses = "  ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items())
        left = timedelta(seconds=round((steps - done) * scans / speed))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
        log.info("step %d/%d  %s  %.1f scans/s  %s left  peak %.1f GiB", done, steps, losses, speed, left, memory)
