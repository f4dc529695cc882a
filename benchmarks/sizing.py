"""Size a cohort from a finished run: CPU or GPU hours, the longest task and disk for 100, 1,000 and 10,000 scans.

    python benchmarks/sizing.py results --folds 5

Times are CPU time (wall clock x use of the cores) from the run's trace; of trainings on the GPUs of one node, wall
clock x GPUs. What works scan by scan grows with the scans; a classifier's training too (epochs); a simulator's has a
fixed number of steps per fold.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

from counterwarp.core.settings import ClassifierSettings, SimulatorSettings
from scale import seconds

SIZES = (100, 1000, 10_000)
PREPROCESSING = ("CHECK_COHORT", "EXTRACT_BRAIN", "ALIGN_AFFINE", "PACK_COHORT")
TRAININGS = ("TRAIN_CLASSIFIER", "TRAIN_SIMULATOR")
MAPS = ("MAP_JACOBIANS", "MAP_SALIENCY", "COMPARE_GROUPS")


def gpus_of_trainings(results: Path) -> int:
    """GPUs that each training used; 0: it ran on CPUs."""
    record = json.loads((results / "models/fold-0/simulator/simulator.json").read_text(encoding="utf-8"))
    return int(record["inputs"]["devices"]) if record["inputs"]["device"] == "cuda" else 0


def used_seconds(results: Path, gpus: int) -> dict[str, float]:
    """Process -> CPU seconds of all its tasks; of trainings on GPUs, GPU seconds."""
    total: dict[str, float] = defaultdict(float)
    with (results / "pipeline_info" / "trace.txt").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["status"] in ("COMPLETED", "CACHED"):
                process = row["name"].split()[0]
                units = gpus if gpus and process in TRAININGS else float(row["%cpu"].rstrip("%")) / 100
                total[process] += seconds(row["realtime"]) * units
    return total


def lines_of(path: Path) -> int:
    """Rows of a CSV table."""
    with path.open(encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def size_of(folder: Path, pattern: str) -> int:
    """Bytes of all files below the folders that match."""
    return sum(file.stat().st_size for top in folder.glob(pattern) for file in top.rglob("*") if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    arguments = parser.parse_args()
    results, gpus = arguments.results, gpus_of_trainings(arguments.results)
    used = used_seconds(results, gpus)
    scans = lines_of(results / "pipeline_info" / "cohort" / "index.csv")
    folds = len(list((results / "models").glob("fold-*/simulator")))
    per_scan = sum(used[name] for name in PREPROCESSING) / scans, sum(used[name] for name in MAPS) / scans
    # one epoch sees the scans outside a fold once; a history has a row per step
    epochs_steps = lines_of(results / "models/fold-0/classifier/history.csv")
    batch = ClassifierSettings().batch_size
    step = used["TRAIN_CLASSIFIER"] / folds / epochs_steps
    simulator_step = used["TRAIN_SIMULATOR"] / folds / lines_of(results / "models/fold-0/simulator/history.csv")
    disk = size_of(results, "sub-*") / scans
    unit = "GPU h" if gpus else "CPU h"
    print(f"| scans | preprocessing, CPU h | training, {unit} (longest task) | maps, CPU h | results, GB |")
    print("|---|---|---|---|---|")
    for size in SIZES:
        classifier = step * ClassifierSettings().epochs * size * (1 - 1 / arguments.folds) / batch / 3600
        simulator = simulator_step * SimulatorSettings().steps / 3600
        training = arguments.folds * (classifier + simulator)
        row = [per_scan[0] * size / 3600, training, max(classifier, simulator), per_scan[1] * size / 3600]
        hours = [f"{value:.1f}" if value < 100 else f"{value:,.0f}" for value in row]
        print(f"| {size:,} | {hours[0]} | {hours[1]} ({hours[2]}) | {hours[3]} | {disk * size / 1e9:,.1f} |")


if __name__ == "__main__":
    main()
