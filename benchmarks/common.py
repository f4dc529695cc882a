"""What the benchmarks share: a cohort to train on, the environment of the pipeline's tasks, tables."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import click
import numpy as np
import pandas as pd
import torch
from nilearn.datasets import load_mni152_template
from nilearn.image import resample_img
from rich.console import Console
from rich.table import Table

from counterwarp.core import images
from counterwarp.core.geometry import Grid
from counterwarp.core.settings import IPMI2021
from counterwarp.networks.warps import exponentiate, resample
from counterwarp.training.augmentation import Draws, random_displacement

FIELD = 192.0  # mm, side of the grid
CENTRE = np.array([0.0, -18.0, 10.0])  # RAS+ mm in MNI152
VARIATION = 6.0  # mm, of the random anatomy's velocity
GROWTH = 8.0  # mm, of the cases' velocity away from the centre
BRAINS = 8  # different ones; a larger cohort repeats them
FOLDS, CHUNK = 5, 8
# of nextflow.config
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "8589934592", "MALLOC_TOP_PAD_": "268435456"
}  # fmt: skip


def write_cohort(folder: Path, scans: int, side: int) -> Path:
    """A packed cohort of ``side``^3 voxels: the MNI152 brain in a few random shapes, wider at its centre in cases."""
    folder.mkdir(parents=True)
    spacing = FIELD / side
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = CENTRE - spacing * (side - 1) / 2
    grid = Grid((side,) * 3, affine)
    target = {"target_affine": affine, "target_shape": grid.shape}
    brain = np.nan_to_num(resample_img(load_mni152_template(resolution=2), **target).get_fdata())
    mask = brain > 0.05 * brain.max()
    brain = torch.from_numpy(np.where(mask, (brain - brain[mask].mean()) / brain[mask].std(), 0)).float()
    brains = brain.expand(BRAINS, 1, -1, -1, -1)
    warps = random_displacement(brains, grid.spacing, 0.0, VARIATION, Draws(0, BRAINS, slice(None)))
    shapes = resample(brains, warps, grid.spacing)
    away = torch.from_numpy(grid.points() - CENTRE).float().movedim(-1, 0)[None]
    velocity = -GROWTH * away / 20 * torch.exp(-away.square().sum(1, keepdim=True) / (2 * 20**2))
    wider = exponentiate(velocity, grid.spacing).expand(BRAINS // 2, -1, -1, -1, -1)
    shapes[1::2] = resample(shapes[1::2], wider, grid.spacing)
    shapes = shapes[:, 0].numpy().astype(np.float16)
    store = np.lib.format.open_memmap(folder / "images.npy", "w+", np.float16, (scans, *grid.shape))
    for position in range(scans):
        store[position] = shapes[position % BRAINS]
    store.flush()
    images.save(folder / "brain_mask.nii.gz", mask.astype(np.uint8), grid)
    names = [f"sub-{i:05d}" for i in range(scans)]
    is_case, fold = np.arange(scans) % 2, np.arange(scans) // 2 % FOLDS
    pd.DataFrame({
        "scan_id": names, "participant_id": names, "session_id": "", "group": np.where(is_case, "case", "control"),
        "is_case": is_case, "fold": fold,
        "chunk": np.arange(scans) // (2 * FOLDS) // (CHUNK // 2),
    }).to_csv(folder / "index.csv", index=False)  # fmt: skip
    (folder / "cohort.json").write_text("{}", encoding="utf-8")
    return folder


def measure_apart(*arguments: object, threads: int) -> dict[str, Any]:
    """Run this benchmark again in a process of its own, as a task of the pipeline; the JSON that it prints."""
    environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    return json.loads(output.splitlines()[-1])


def side_by_side(
    function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[Any, Any]]:
    """Every task (arguments) and what the function returns, as it is done, in processes of one CPU each."""
    os.environ.update({"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"} | ALLOCATOR)  # inherited
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(function, *task): task for task in tasks}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def changed(settings: Any, option: str, words: list[str]) -> Any:
    """Settings with some values replaced, written NAME=VALUE after an ``option`` of the command; a preset's values
    come before those beside it."""
    kinds, given = get_type_hints(type(settings)), {}
    for name, _, value in (word.partition("=") for word in words):
        if name not in kinds:
            raise SystemExit(f"{option} {name}: no such setting; there are {', '.join(kinds)}")
        given[name] = click.types.convert_type(kinds[name]).convert(value, None, None)
    preset = IPMI2021 if given.get("preset") == "ipmi2021" else {}
    return replace(settings, **preset | given)


def show(options: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """A table on standard error, JSON on standard output."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else f"{value}" for value in row.values()))
    Console(stderr=True).print(table)
    print(json.dumps(options | {"result": rows}, indent=2, default=str))
