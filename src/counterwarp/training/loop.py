"""The one training loop, on Lightning Fabric."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

log = logging.getLogger(__name__)
LOG_LINES = 20
Network = TypeVar("Network", bound=nn.Module)


def make_fabric(device: str, seed: int) -> Fabric:
    """One process on CPU (float32) or one GPU (bfloat16 where it is safe), every generator seeded."""
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    precision: Any = "bf16-mixed" if device == "cuda" else "32-true"
    fabric = Fabric(accelerator="cuda" if device == "cuda" else "cpu", devices=1, precision=precision)
    fabric.seed_everything(seed, verbose=False)
    return fabric


def endless(loader: Iterable) -> Iterator:
    """Batches for ever, epoch after epoch."""
    while True:
        yield from loader


def fit(
    fabric: Fabric,
    network: Network,
    loader: DataLoader,
    step: Callable[[nn.Module, Any], dict[str, Tensor]],
    steps: int,
    learning_rate: float,
    weight_decay: float,
    history: Path,
    average_from: float = 1.0,
) -> Network:
    """Train a network with AdamW, a one-cycle learning rate and gradients clipped to norm 1.

    Parameters
    ----------
    step : function of (network, batch)
        Named losses; ``total`` is minimised, all are written to ``history`` (CSV, one row per step).
    steps : int
        Number of optimiser steps.
    average_from : float in [0, 1]
        Share of the steps after which weights are averaged; 1 returns the last weights.

    Returns
    -------
    The trained (or averaged) network, unwrapped, on its device, in evaluation mode.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    model, optimizer = fabric.setup(network, optimizer)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    averaged = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
    model.train()
    with history.open("w", newline="") as file:
        writer = csv.writer(file)
        for number, batch in zip(range(steps), endless(fabric.setup_dataloaders(loader)), strict=False):
            optimizer.zero_grad()
            losses = step(model, batch)
            fabric.backward(losses["total"])
            fabric.clip_gradients(model, optimizer, max_norm=1.0)
            optimizer.step()
            schedule.step()
            if number >= average_from * steps:
                averaged.update_parameters(network)
            values = {name: float(value.detach()) for name, value in losses.items()}
            if number == 0:
                writer.writerow(["step", *values])
            writer.writerow([number, *(f"{v:.6g}" for v in values.values())])
            if number % max(1, steps // LOG_LINES) == 0 or number == steps - 1:
                log.info("step %d/%d %s", number + 1, steps, "  ".join(f"{k} {v:.4g}" for k, v in values.items()))
    return network.eval() if average_from >= 1 else cast(Network, averaged.module).eval()
