"""Networks for a packed cohort of real scans, beside the volumes that a segmentation measured in the same people.

    python benchmarks/measured_folds.py COHORT RESULTS LABELS [--folds 0 1 ...] [--first 0] [--seeds 1]
        [--largest-scale 2] [--classifier NAME=VALUE ...] [--simulator "NAME=VALUE ..."] [--simulator ...]

COHORT: see classifiers.py; RESULTS: of the run, for the scans' affines; LABELS: see segmentations.py. Outside each fold
(all of them, or those named) one classifier is trained, and every --simulator against it, from the defaults with the
values given ('': as they are). Printed for the held-out people, medians over the seeds: area under the ROC curve; how
many reach the margin, controls under inject and cases under remove, and how far velocities were lengthened for it; the
share of voxels that fold; rank correlation and common signs of our change in their own regions with the measured
difference of everybody; the same of the lateral ventricles, percent, and the lower of their places among all regions;
seconds of a simulator.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from common import changed, show
from counterwarp.cohort.store import CohortStore
from counterwarp.core import layout
from counterwarp.core.settings import ClassifierSettings, JacobianSettings, SimulatorSettings
from counterwarp.report.results import Results
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator
from recovery import Held, held_out
from segmentations import OwnMap, Segmentations, agreement, read_segmentations

VENTRICLES = "LateralVentricle_"


@dataclass(frozen=True)
class People:
    """Whom the networks are to explain: packed scans, their run's results, their segmentations."""

    store: CohortStore
    results: Results
    segmentations: Segmentations

    @property
    def folds(self) -> list[int]:
        return sorted(self.store.index["fold"].unique().tolist())

    def explained(self, held: Sequence[Held]) -> dict[str, float]:
        """What the labels of the whole cohort say of held-out people's warps."""
        is_case = self.store.index.drop_duplicates("participant_id").set_index("participant_id")["is_case"]
        change = self.segmentations.mean_change([self._map(one) for one in held], self.store.grid)
        table = pd.DataFrame({"ours": change, "measured": self.segmentations.difference(is_case)}).dropna()
        names = self.segmentations.names[table.index]
        percent = 100 * np.expm1(table.set_index(names.to_numpy()))
        ventricles = percent[percent.index.str.startswith(VENTRICLES)].sort_index()
        return {
            "auc": float(roc_auc_score([one.is_case for one in held], [one.result.logit for one in held])),
            **{
                f"margin_{direction}": float(np.mean([one.result.margin_reached for one in held if one.sign == sign]))
                for direction, sign in (("inject", 1), ("remove", -1))
            },
            "velocity_scale": float(np.mean([one.result.scale for one in held])),
            "folding_fraction": float(np.mean([one.result.folding_fraction for one in held])),
            **agreement(table["ours"], table["measured"]),
            **{f"{name[-1]}_{column}": row[column] for name, row in ventricles.iterrows() for column in percent},
            "place": float(percent["ours"].rank(ascending=False)[ventricles.index].max()),
        }  # fmt: skip

    def _map(self, held: Held) -> OwnMap:
        scan = self.store.index.loc[held.position]
        affine = self.results.one(layout.affine(scan["scan_id"]))
        return OwnMap(scan["participant_id"], affine, held.sign, held.result.log_jacobian.numpy())


def read_people(cohort: Path, results: Path, labels: Path) -> People:
    """Everybody of a packed cohort."""
    store = CohortStore(cohort)
    segmentations = read_segmentations(labels, store.index["participant_id"].unique().tolist())
    return People(store, Results([results]), segmentations)


@dataclass(frozen=True)
class Networks:
    """A classifier and the simulators that are to explain it; ``scale``: see ``JacobianSettings.largest_scale``."""

    classifier: ClassifierSettings
    simulators: dict[str, SimulatorSettings]
    scale: float

    def explain(self, cohort: Path, folds: Sequence[int], seed: int) -> dict[str, tuple[list[Held], float]]:
        """The held-out scans of some folds, per simulator, and the seconds that it was trained for in one of them."""
        held: dict[str, list[Held]] = {words: [] for words in self.simulators}
        seconds = dict.fromkeys(self.simulators, 0.0)
        for fold in folds:
            with tempfile.TemporaryDirectory() as folder:
                networks, run = Path(folder), (fold, seed, "cpu", 1, None)
                train_classifier(cohort, *run, networks / "classifier", self.classifier)
                for words, settings in self.simulators.items():
                    begin = time.monotonic()
                    train_simulator(cohort, networks / "classifier", *run, networks / "simulator", settings)
                    seconds[words] += (time.monotonic() - begin) / len(folds)
                    held[words] += held_out(cohort, networks, fold, largest_scale=self.scale)
        return {words: (held[words], seconds[words]) for words in self.simulators}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--folds", type=int, nargs="*")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--largest-scale", type=float, default=JacobianSettings().largest_scale)
    parser.add_argument("--classifier", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--simulator", action="append", default=[], metavar='"NAME=VALUE ..."')
    options = parser.parse_args()
    networks = Networks(
        changed(ClassifierSettings(), "--classifier", options.classifier),
        {
            words or "as it is": changed(SimulatorSettings(), "--simulator", words.split())
            for words in options.simulator or [""]
        },
        options.largest_scale,
    )
    people = read_people(options.cohort, options.results, options.labels)
    rows: list[dict[str, Any]] = []
    for seed in range(options.first, options.first + options.seeds):
        for words, (held, seconds) in networks.explain(options.cohort, options.folds or people.folds, seed).items():
            rows.append({"simulator": words, "seed": seed, **people.explained(held), "seconds": seconds})
            print(rows[-1], file=sys.stderr, flush=True)
    medians = pd.DataFrame(rows).groupby("simulator", sort=False).median().drop(columns="seed").reset_index()
    used = {name: getattr(options, name) for name in ("folds", "first", "seeds", "largest_scale", "classifier")}
    show(used | {"each": rows}, medians.to_dict("records"))


if __name__ == "__main__":
    main()
