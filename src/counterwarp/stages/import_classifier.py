"""Stage IMPORT_CLASSIFIER: a classifier that is trained already, in the place of one fold's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.networks.classifier import load_classifier
from counterwarp.networks.imported import FORMATS, check_classifier, read_program
from counterwarp.networks.targets import TargetClassifier, of_target
from counterwarp.training.classifier import predict, separation

CHECKED = 4  # scans


def import_classifier(cohort: Path, classifier: Path, fold: int, device: str, output: Path) -> None:
    """Check a classifier on the cohort's scans; write it, its predictions of every scan and the record.

    Parameters
    ----------
    classifier : a program (see ``networks.imported``), or the output folder of train-classifier
        That it has not seen the cohort's participants is the user's word.

    Raises
    ------
    InputError
        If it cannot be read or explained (see ``networks.imported.check_classifier``), or knows other case groups.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"cohort": cohort, "classifier": classifier, "fold": fold, "device": device}
    with stage_record(output / "classifier.json", "import_classifier", **inputs) as record:
        store = CohortStore(cohort)
        network = load_classifier(classifier, device) if classifier.is_dir() else read_program(classifier, device)
        _check_groups(classifier, network, store)
        some = np.stack([store.images[position] for position in range(min(CHECKED, len(store.index)))])
        some_images = torch.from_numpy(some.astype(np.float32))[:, None].to(device)
        for target in store.targets or ("",):
            check_classifier(classifier.name, of_target(network, TargetClassifier, target, device), some_images)
        _copy(classifier, output)
        split = pd.Series("validation", index=range(len(store.index)))
        split.iloc[store.positions(fold, held_out=True)] = "test"
        predictions = predict(store, network, fold, split, torch.device(device))
        predictions.to_csv(output / "predictions.csv", index=False)
        record |= separation(predictions, store.targets)


def _check_groups(classifier: Path, network: nn.Module, store: CohortStore) -> None:
    """Does it tell apart the cohort's case groups, in their order?"""
    known = getattr(network, "targets", ())
    if known != store.targets:
        wanted, found = (f"the case groups {', '.join(t)}" if t else "one case group" for t in (store.targets, known))
        raise InputError(
            f"{classifier}: expected a classifier of {wanted}, got one of {found}. Name as many groups with --case, in "
            "the same order. A program (.pt2, TorchScript) knows one case group."
        )


def _copy(classifier: Path, output: Path) -> None:
    """What ``load_classifier`` reads."""
    if classifier.is_file():
        shutil.copyfile(classifier, output / f"classifier{FORMATS[classifier.suffix]}")
        return
    for path in classifier.iterdir():
        if path.name in ("network.json", "classifier.safetensors", *(f"classifier{end}" for end in FORMATS)):
            shutil.copyfile(path, output / path.name)
