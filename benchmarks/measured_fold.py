"""Other simulators for one fold of real scans, beside the volumes that a segmentation measured in the same people.

    python benchmarks/measured_fold.py COHORT RESULTS LABELS [--fold 0] [--seed 0] [--classifier NAME=VALUE ...]
        [--simulator "NAME=VALUE ..."] [--simulator ...]

COHORT: see classifiers.py; RESULTS: of the run, for the scans' affines; LABELS: see segmentations.py. One classifier is
trained outside the fold, and every --simulator against it, from the defaults with the values given ('': as they are).
Printed for the held-out people: how many reach the margin, and how far velocities were lengthened for it; rank
correlation and common signs of our change in their own regions with the measured difference of everybody; the same of
lateral ventricles, percent; seconds of the simulator.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common import changed, show
from counterwarp.cohort.store import CohortStore
from counterwarp.core import layout
from counterwarp.core.settings import ClassifierSettings, SimulatorSettings
from counterwarp.report.results import Results
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator
from recovery import held_out
from segmentations import OwnMap, Segmentations, agreement, read_segmentations

VENTRICLES = "LateralVentricle_"


def measure(
    store: CohortStore, networks: Path, fold: int, results: Results, segmentations: Segmentations
) -> dict[str, Any]:
    """The held-out scans of a fold, beside what the labels of the whole cohort say."""
    people = store.index.drop_duplicates("participant_id").set_index("participant_id")["is_case"]
    found = list(held_out(store.folder, networks, fold))
    scans = [store.index.loc[held.position] for held in found]
    maps = [
        OwnMap(
            scan["participant_id"], results.one(layout.affine(scan["scan_id"])), held.sign,
            held.result.log_jacobian.numpy(),
        )
        for scan, held in zip(scans, found, strict=True)
    ]  # fmt: skip
    regions = {"ours": segmentations.mean_change(maps, store.grid), "measured": segmentations.difference(people)}
    table = pd.DataFrame(regions).dropna()
    ventricles = table[segmentations.names[table.index].str.startswith(VENTRICLES).to_numpy()].mean()
    return {
        "margin_reached": float(np.mean([held.result.margin_reached for held in found])),
        "velocity_scale": float(np.mean([held.result.scale for held in found])),
        **agreement(table["ours"], table["measured"]),
        "ventricles": 100 * np.expm1(ventricles["ours"]), "measured": 100 * np.expm1(ventricles["measured"]),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classifier", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--simulator", action="append", default=[], metavar='"NAME=VALUE ..."')
    options = parser.parse_args()
    wordings = options.simulator or [""]
    classifier = changed(ClassifierSettings(), "--classifier", options.classifier)
    asked = [changed(SimulatorSettings(), "--simulator", words.split()) for words in wordings]
    store, results = CohortStore(options.cohort), Results([options.results])
    segmentations = read_segmentations(options.labels, store.index["participant_id"].unique().tolist())
    run, rows = (options.fold, options.seed, "cpu", 1, None), []
    with tempfile.TemporaryDirectory() as folder:
        networks = Path(folder)
        train_classifier(options.cohort, *run, networks / "classifier", classifier)
        for words, settings in zip(wordings, asked, strict=True):
            begin = time.monotonic()
            train_simulator(options.cohort, networks / "classifier", *run, networks / "simulator", settings)
            seconds = time.monotonic() - begin
            found = measure(store, networks, options.fold, results, segmentations)
            rows.append({"simulator": words or "as it is", **found, "seconds": seconds})
            print(rows[-1], file=sys.stderr, flush=True)
    show({"fold": options.fold, "seed": options.seed, "classifier": options.classifier}, rows)


if __name__ == "__main__":
    main()
