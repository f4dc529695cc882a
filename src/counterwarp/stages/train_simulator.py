"""Stage TRAIN_SIMULATOR: the coupled inject/remove simulator of one fold."""

from __future__ import annotations

import json
from pathlib import Path

from counterwarp.cohort import seen
from counterwarp.cohort.store import CohortStore
from counterwarp.cohort.targets import one_or_all
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import SimulatorSettings
from counterwarp.networks.classifier import load_classifier, weights_file
from counterwarp.networks.simulator import save_simulator
from counterwarp.training.checkpoint import file_hash, task_checkpoint
from counterwarp.training.launch import launch
from counterwarp.training.loop import Run
from counterwarp.training.simulator import fit_simulator, simulator_settings


def train_simulator(
    cohort: Path, classifier: Path, fold: int, seed: int, device: str, devices: int, checkpoints: Path | None,
    output: Path, settings: SimulatorSettings,
) -> None:  # fmt: skip
    """Train outside one fold against that fold's classifier; write weights, history and the record.

    A training that was stopped continues from its checkpoint in ``checkpoints``, if that is given. Several processes
    (``devices`` on every node) share the training; the first writes the outputs.

    Raises
    ------
    InputError
        If the classifier does not separate the groups on its validation split.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"cohort": cohort, "classifier": classifier, "fold": fold, "seed": seed}
    inputs |= {"device": device, "devices": devices}
    with stage_record(output / "simulator.json", "train_simulator", settings, **inputs) as record:
        store = CohortStore(cohort)
        gap = json.loads((classifier / "classifier.json").read_text(encoding="utf-8"))["logit_gap"]
        gaps = [gap[target] for target in store.targets] or [gap]
        _check_gaps(classifier, fold, dict(zip(store.targets or ("cases",), gaps, strict=True)))
        record["margin"] = gap  # from a typical control to a typical case; training asks for a little more
        margins = [settings.margin * gap for gap in gaps]
        fabric = launch(device, devices, settings.precision, seed)
        network = load_classifier(classifier, str(fabric.device))
        checkpoint = task_checkpoint(
            checkpoints, "train_simulator", cohort, settings, fold=fold, seed=seed, device=device,
            classifier=file_hash(weights_file(classifier)), margin=one_or_all(margins),
        )  # fmt: skip
        run = Run(fabric, seed, output / "history.csv", checkpoint)
        simulator = fit_simulator(store, network, margins, fold, settings, run)
        save_simulator(simulator, output, **simulator_settings(store, settings))
        record["grid"] = {"shape": store.grid.shape, "affine": store.grid.affine.tolist()}
        trained_on = store.index.iloc[store.positions(fold, held_out=False)].reindex(columns=seen.COLUMNS)
        trained_on.to_csv(output / "scans.csv", index=False)


def _check_gaps(classifier: Path, fold: int, gaps: dict[str, float]) -> None:
    """Does the classifier give each case group larger logits than the controls?"""
    for group, gap in gaps.items():
        if gap <= 0:
            raise InputError(
                f"{classifier}: the classifier of fold {fold} gives {group} a mean validation logit {-gap:.2f} below "
                "controls, expected above. It found no pattern to explain: train longer (--classifier.epochs), "
                "add participants, or stop with --until classifier. Of a classifier of your own a positive logit must "
                "mean case."
            )
