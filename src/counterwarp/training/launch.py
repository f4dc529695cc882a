"""Where a training computes: one process, several GPUs of a machine, or several nodes under Slurm."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning_fabric.strategies import DDPStrategy

from counterwarp.core.errors import InputError

PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def launch(device: str, devices: int, precision: str, seed: int) -> Fabric:
    """Start the processes of a training, with every generator seeded alike.

    Parameters
    ----------
    device : "cpu" or "cuda"
    devices : int
        Processes per node, one per GPU. Under ``srun`` Slurm has started them (``--ntasks-per-node``), on all nodes of
        the job step; otherwise this process starts the others, on its own machine, by its own command line.
    precision : "auto", "fp32", "bf16" or "fp16"
        The two of 16 bits are mixed precision: weights, losses and warps stay fp32.

    Returns
    -------
    Of every process, its Fabric; the first process alone is ``is_global_zero``, and it alone logs.

    Raises
    ------
    InputError
        If there are not as many GPUs, or if fp16 is asked of a CPU.
    """
    if device == "cuda" and torch.cuda.device_count() < devices:
        raise InputError(
            f"--device cuda --devices {devices}: expected {devices} GPUs on this machine, found "
            f"{torch.cuda.device_count()}. Ask the scheduler for more, or use fewer --devices or --device cpu."
        )
    if (device, precision) == ("cpu", "fp16"):
        raise InputError("--precision fp16: a CPU cannot train in it. Use bf16 or fp32, or --device cuda.")
    if precision == "auto":
        precision = "bf16" if device == "cuda" else "fp32"
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    step_tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))  # of srun; a batch script alone has none
    by_srun = step_tasks > 1
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=int(os.environ["SLURM_STEP_NUM_NODES"]) if by_srun else 1,
        strategy=DDPStrategy(broadcast_buffers=False) if by_srun or devices > 1 else "auto",
        precision=PRECISIONS[precision],
        plugins=[SLURMEnvironment(auto_requeue=False) if by_srun else LightningEnvironment()],
    )
    fabric.launch()
    fabric.seed_everything(seed, verbose=False)
    if not fabric.is_global_zero:
        logging.getLogger("counterwarp").setLevel(logging.ERROR)
    return fabric


def first_process_only(fabric: Fabric) -> None:
    """Let the first process go on alone; the others end here."""
    if fabric.world_size > 1:
        fabric.barrier()
        torch.distributed.destroy_process_group()
    if not fabric.is_global_zero:
        raise SystemExit(0)
