"""Size a cohort from a finished run: CPU hours, the longest task and disk for 100, 1,000 and 10,000 scans.

    python benchmarks/sizing.py results --folds 5

Times are CPU time (wall clock x use of the cores) from the run's trace. What works scan by scan grows with the
scans; a classifier's training too (epochs); a simulator's has a fixed number of steps per fold.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from counterwarp.core.settings import ClassifierSettings, SimulatorSettings
from scale import seconds

SIZES = (100, 1000, 10_000)
PREPROCESSING = ("CHECK_COHORT", "EXTRACT_BRAIN", "ALIGN_AFFINE", "PACK_COHORT")
MAPS = ("MAP_JACOBIANS", "MAP_SALIENCY", "COMPARE_GROUPS")


def cpu_seconds(results: Path) -> dict[str, float]:
    """Process -> CPU seconds of all its tasks."""
    total: dict[str, float] = defaultdict(float)
    with (results / "pipeline_info" / "trace.txt").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["status"] in ("COMPLETED", "CACHED"):
                total[row["name"].split()[0]] += seconds(row["realtime"]) * float(row["%cpu"].rstrip("%")) / 100
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
    results, cpu = arguments.results, cpu_seconds(arguments.results)
    scans = lines_of(results / "pipeline_info" / "cohort" / "index.csv")
    folds = len(list((results / "models").glob("fold-*/simulator")))
    per_scan = sum(cpu[name] for name in PREPROCESSING) / scans, sum(cpu[name] for name in MAPS) / scans
    # one epoch sees the scans outside a fold once; a history has a row per step
    epochs_steps = lines_of(results / "models/fold-0/classifier/history.csv")
    batch = ClassifierSettings().batch_size
    step = cpu["TRAIN_CLASSIFIER"] / folds / epochs_steps
    simulator_step = cpu["TRAIN_SIMULATOR"] / folds / lines_of(results / "models/fold-0/simulator/history.csv")
    disk = size_of(results, "sub-*") / scans
    print("| scans | preprocessing, CPU h | training, CPU h (longest task) | maps, CPU h | results, GB |")
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
