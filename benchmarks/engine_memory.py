"""Memory and speed of training and export from stores of 100 to 10,000 scans.

    python benchmarks/engine_memory.py [--sizes 100 1000 10000] [--side 64] [--threads 2] [--rounds 3]
        [--folder DIR]

A store (5.2 GB for 10,000 scans at 64^3) holds a few brains again and again. Each has a process of its own, which
trains a classifier for one epoch over a sample of 96 scans that lie all over the store, then exports 8 scans. Printed
per size: memory of the process without mapped files, scans trained per second, how long reading a batch takes, and
how long a step waits for its batch, which is read ahead; none of the store is in memory before. Stores take turns;
medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from common import measure_apart, show, write_cohort
from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import ClassifierSettings, JacobianSettings
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.networks.simulator import Simulator, save_simulator
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.training import loop
from counterwarp.training.augmentation import augment
from counterwarp.training.checkpoint import Checkpoint
from counterwarp.training.data import mean_image, read_ahead, training_batches
from counterwarp.training.launch import launch
from counterwarp.training.loop import Run, Schedule

SAMPLE = 96
SETTINGS = ClassifierSettings()


def private_memory() -> float:
    """Memory of this process that is not a mapped file, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024


def forget(path: Path) -> None:
    """Drop a file from the system's memory, so that it is read from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(items: Iterable[Any], seconds: list[float]) -> Iterator[Any]:
    """The items; how long each was waited for goes to the list."""
    iterator = iter(items)
    while True:
        begin = time.perf_counter()
        item = next(iterator)
        seconds.append(time.perf_counter() - begin)
        yield item


def measure(folder: Path) -> dict[str, float]:
    """One epoch over a sample of a store, and the export of one chunk."""
    fabric = launch("cpu", 1, "fp32", 0)
    scans = len(CohortStore(folder).index)
    positions = np.linspace(0, scans - 1, SAMPLE).astype(int)
    mean = mean_image(CohortStore(folder), positions)
    forget(folder / "images.npy")
    loader, epoch = training_batches(CohortStore(folder), positions, SETTINGS, 0, fabric)
    reading: list[float] = []
    for _, _batch in zip(range(epoch), timed(loader, reading), strict=False):
        pass
    del loader
    forget(folder / "images.npy")  # which is possible as no store has it mapped now
    store = CohortStore(folder)
    loader, _ = training_batches(store, positions, SETTINGS, 0, fabric)
    waiting: list[float] = []
    loop.read_ahead = lambda items: timed(read_ahead(items), waiting)
    times = []

    def step(model, batch, draws):
        times.append(time.perf_counter())
        images = augment(batch[0], store.grid.spacing, SETTINGS.shift, SETTINGS.warp, SETTINGS.noise, draws)
        return {"total": F.binary_cross_entropy_with_logits(model(images), batch[1])}

    run = Run(fabric, 0, folder / "history.csv", Checkpoint(None, stage="benchmark"))
    network = Classifier(mean, SETTINGS.width, SETTINGS.dropout)
    loop.fit(run, network, loader, step, Schedule(epoch + 1, epoch), SETTINGS)  # the last step ends the clock
    seconds = statistics.median(np.diff(times))
    trained = private_memory()
    exported = export(folder)
    return {
        "scans": scans, "memory after training, MiB": trained, "after export, MiB": exported,
        "trained scans/s": SETTINGS.batch_size / seconds, "reading a batch, ms": 1000 * statistics.mean(reading),
        "waiting for a batch, ms": 1000 * statistics.mean(waiting),
        "share of a step, %": 100 * statistics.mean(waiting) / seconds,
    }  # fmt: skip


def export(folder: Path) -> float:
    """Map the first scans with networks that know nothing; memory after it, MiB."""
    store = CohortStore(folder)
    networks = [folder / "classifier", folder / "simulator"]
    for path in networks:
        path.mkdir(exist_ok=True)
    save_classifier(Classifier(torch.zeros(1, 1, *store.grid.shape)), networks[0], width=16)
    save_simulator(Simulator(), networks[1], width=16, experts=3)
    (networks[1] / "simulator.json").write_text(json.dumps({"margin": 1.0}), encoding="utf-8")
    map_jacobians(folder, *networks, 0, 0, "cpu", folder / "maps", JacobianSettings(doses=1))
    return private_memory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the stores are made and deleted again")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        stores = [write_cohort(Path(name) / f"{scans}", scans, options.side) for scans in options.sizes]
        rounds = [
            [measure_apart("--measure", store, threads=options.threads) for store in stores]
            for _ in range(options.rounds)
        ]
    rows = [{key: statistics.median(row[key] for row in same) for key in same[0]} for same in zip(*rounds, strict=True)]
    first = rows[0]
    for row in rows:
        row["memory, times the first"] = row["memory after training, MiB"] / first["memory after training, MiB"]
        row["speed, times the first"] = row["trained scans/s"] / first["trained scans/s"]
    show(vars(options), rows)


if __name__ == "__main__":
    main()
