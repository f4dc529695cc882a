"""Scans exported per second: warps, log-Jacobians, measurements, and all images written as compressed NIfTI.

    python benchmarks/export.py [--scans 24] [--side 64] [--threads 2] [--rounds 3]

Each variant is the stage MAP_JACOBIANS in a process of its own, as the pipeline starts it, without the start of Python.

maps         the simulator's warps as they are, the logit before and after, 8 images per scan
             (--jacobians.largest_scale 1 --jacobians.doses 1 --jacobians.cycle false)
in between   the same, but every file is written before the next scan is computed
way back     the same, and every simulated scan warped back
dose path    the default: also velocities lengthened to the margin, and the logit at 21 doses
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from common import measure_apart, show, write_cohort
from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import JacobianSettings
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.networks.simulator import Simulator, save_simulator
from counterwarp.stages import map_jacobians as stage

MAPS = JacobianSettings(largest_scale=1, doses=1, cycle=False)
VARIANTS = {"maps": MAPS, "in between": MAPS, "way back": replace(MAPS, cycle=True), "dose path": JacobianSettings()}
VELOCITY_SCALE = 0.3  # of the output layer: warps of some millimetres


class WriteAtOnce:
    """Instead of ``BackgroundWriter``."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, save, *arguments):
        save(*arguments)


def write_networks(cohort: Path) -> None:
    """A classifier and a simulator that were not trained, beside the cohort."""
    torch.manual_seed(0)
    classifier, simulator = Classifier(torch.zeros(1, 1, *CohortStore(cohort).grid.shape)), Simulator()
    torch.nn.init.normal_(simulator.output.weight, std=VELOCITY_SCALE)
    for name in ("classifier", "simulator"):
        (cohort.parent / name).mkdir()
    save_classifier(classifier, cohort.parent / "classifier", width=16)
    save_simulator(simulator, cohort.parent / "simulator", width=16, experts=3)
    (cohort.parent / "simulator" / "simulator.json").write_text(json.dumps({"margin": 1.0}), encoding="utf-8")


def measure(cohort: Path, variant: str) -> dict[str, float]:
    """Export one chunk; the first scan, which warms up, does not count."""
    if variant == "in between":
        stage.BackgroundWriter = WriteAtOnce
    settings, output = VARIANTS[variant], cohort.parent / "maps"
    networks = cohort.parent / "classifier", cohort.parent / "simulator"
    stage.map_jacobians(cohort, *networks, 0, 1, "cpu", output, settings)
    begin = time.perf_counter()
    stage.map_jacobians(cohort, *networks, 0, 0, "cpu", output, settings)
    seconds = time.perf_counter() - begin
    table = pd.read_csv(output / "explanations_fold-0_chunk-0.csv")
    scans = table["scan_id"].nunique()
    size = sum(file.stat().st_size for file in output.glob("*.nii.gz")) / (scans + 1) / 1e6
    result = {
        "scans/s": scans / seconds, "MB per scan": size, "displacement, mm": float(table["mean_displacement_mm"].mean())
    }  # fmt: skip
    shutil.rmtree(output)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("scans", 24), ("side", 64), ("threads", 2), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), options.measure[1])))
        return
    with tempfile.TemporaryDirectory() as name:
        cohort = write_cohort(Path(name) / "cohort", options.scans + 1, options.side)
        index = pd.read_csv(cohort / "index.csv")
        index.assign(fold=0, chunk=np.arange(len(index)) // options.scans).to_csv(cohort / "index.csv", index=False)
        write_networks(cohort)
        rounds = [
            {variant: measure_apart("--measure", cohort, variant, threads=options.threads) for variant in VARIANTS}
            for _ in range(options.rounds)
        ]
    rows = []
    for variant in VARIANTS:
        found = [one[variant] for one in rounds]
        rows.append({"variant": variant} | {name: statistics.median(one[name] for one in found) for name in found[0]})
    show(vars(options), rows)


if __name__ == "__main__":
    main()
