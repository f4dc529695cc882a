"""Stage TRAIN_CLASSIFIER: the case/control classifier of one fold."""

from __future__ import annotations

from pathlib import Path

from counterwarp.cohort.store import CohortStore
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ClassifierSettings
from counterwarp.networks.classifier import save_classifier
from counterwarp.training.checkpoint import task_checkpoint
from counterwarp.training.classifier import fit_classifier, network_settings, separation
from counterwarp.training.launch import launch
from counterwarp.training.loop import Run


def train_classifier(
    cohort: Path, fold: int, seed: int, device: str, devices: int, checkpoints: Path | None,
    output: Path, settings: ClassifierSettings,
) -> None:  # fmt: skip
    """Train outside one fold; write weights, predictions of every scan, history and the record.

    A training that was stopped continues from its checkpoint in ``checkpoints``, if that is given. Several processes
    (``devices`` on every node) share the training; the first writes the outputs.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"cohort": cohort, "fold": fold, "seed": seed, "device": device, "devices": devices}
    with stage_record(output / "classifier.json", "train_classifier", settings, **inputs) as record:
        fabric = launch(device, devices, settings.precision, seed)
        checkpoint = task_checkpoint(
            checkpoints, "train_classifier", cohort, settings, fold=fold, seed=seed, device=device
        )
        run = Run(fabric, seed, output / "history.csv", checkpoint)
        store = CohortStore(cohort)
        classifier, predictions = fit_classifier(store, fold, settings, run)
        save_classifier(classifier, output, **network_settings(settings, store.targets))
        predictions.to_csv(output / "predictions.csv", index=False)
        record |= separation(predictions, store.targets)
