"""How well other classifiers tell the held-out participants of a packed cohort apart.

    python benchmarks/classifiers.py COHORT [--classifier "NAME=VALUE ..."] [--classifier ...] [--seed 0]

COHORT is the output of `counterwarp pack-cohort`, which also packs the scans of a finished run (--aligned RESULTS).
Every --classifier is trained in every fold as the pipeline does, from the defaults with the values given ('': as they
are). Printed: the area under the ROC curve over all held-out scans together, as in the report, and of every fold; the
share of decisions that are right; seconds of a fold. First comes a reference without any network: a linear support
vector machine on the voxels of the brain.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from common import changed, show
from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import ClassifierSettings
from counterwarp.stages.train_classifier import train_classifier

Predict = Callable[[int], np.ndarray]  # of a fold: what its held-out scans get, above 0 for a case


def support_vectors(store: CohortStore) -> Predict:
    """A linear support vector machine on the brain's voxels, each scaled to the spread of the training scans."""
    is_case = store.index["is_case"].to_numpy()
    voxels = np.asarray(store.images, np.float32)[:, store.brain_mask > 0]

    def predict(fold: int) -> np.ndarray:
        training, held_out = (store.positions(fold, held_out=held) for held in (False, True))
        machine = make_pipeline(StandardScaler(), SVC(kernel="linear"))
        return machine.fit(voxels[training], is_case[training]).decision_function(voxels[held_out])

    return predict


def network(cohort: Path, seed: int, settings: ClassifierSettings) -> Predict:
    """The pipeline's own classifier."""

    def predict(fold: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            train_classifier(cohort, fold, seed, "cpu", 1, None, Path(folder), settings)
            predictions = pd.read_csv(Path(folder) / "predictions.csv")
        return predictions.loc[predictions["split"] == "test", "logit"].to_numpy()

    return predict


def measure(store: CohortStore, name: str, predict: Predict) -> dict[str, Any]:
    """Every fold's held-out scans; a row of the table."""
    begin, scores, is_case = time.monotonic(), [], []
    for fold in sorted(store.index["fold"].unique()):
        scores.append(predict(fold))
        is_case.append(store.index["is_case"].to_numpy()[store.positions(fold, held_out=True)])
    auc = [float(roc_auc_score(case, score)) for case, score in zip(is_case, scores, strict=True)]
    together, case = np.concatenate(scores), np.concatenate(is_case)
    return {
        "classifier": name, "auc": float(roc_auc_score(case, together)),
        "right": float(((together > 0) == case).mean()),
        "auc_of_folds": " ".join(f"{value:.2f}" for value in auc), "seconds": (time.monotonic() - begin) / len(auc),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--classifier", action="append", default=[], metavar='"NAME=VALUE ..."')
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    store, wordings = CohortStore(options.cohort), options.classifier or [""]
    asked = [changed(ClassifierSettings(), "--classifier", words.split()) for words in wordings]
    rows = [measure(store, "linear support vector machine", support_vectors(store))]
    for words, settings in zip(wordings, asked, strict=True):
        rows.append(measure(store, words or "as it is", network(options.cohort, options.seed, settings)))
        print(rows[-1], file=sys.stderr, flush=True)
    show({"cohort": str(options.cohort), "seed": options.seed}, rows)


if __name__ == "__main__":
    main()
