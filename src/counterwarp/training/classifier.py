"""Training the classifier of one fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings
from counterwarp.networks.classifier import Classifier
from counterwarp.networks.parallel import mean_over_processes
from counterwarp.training.augmentation import Draws, augment, mirror
from counterwarp.training.data import batches, mean_image, split_validation, training_batches
from counterwarp.training.loop import Batch, Run, Schedule, fit

PREDICTED_AT_ONCE = 8  # scans


def fit_classifier(
    store: CohortStore, fold: int, settings: ClassifierSettings, run: Run
) -> tuple[Classifier, pd.DataFrame]:
    """Train on every fold but one.

    Returns
    -------
    classifier : Classifier
        In evaluation mode.
    predictions : DataFrame
        A row per scan: scan_id, participant_id, fold, is_case, split (train, validation, test), logit,
        probability. ``test`` is the held-out fold; ``validation`` was not trained on either.
    """
    held_in = store.positions(fold, held_out=False)
    training, validation = split_validation(store, held_in, settings.validation_share, run.seed)
    classifier = Classifier(mean_image(store, training), **network_settings(settings))
    loader, epoch = training_batches(store, training, settings, run.seed, run.fabric)
    weight = case_weight(store, training)

    def step(network: nn.Module, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        images, is_case = batch
        images = mirror(images, settings.mirror, draws)
        images = augment(images, store.grid.spacing, settings.shift, settings.warp, settings.noise, draws)
        target = is_case + settings.label_smoothing * (0.5 - is_case)
        return {"total": F.binary_cross_entropy_with_logits(network(images), target, pos_weight=weight)}

    def validate(network: nn.Module) -> float:
        return validation_loss(store, network, validation, run.fabric)

    schedule = Schedule(settings.epochs * epoch, epoch, settings.average_from, settings.patience)
    trained = fit(run, classifier, loader, step, schedule, settings, validate if settings.patience else None)
    split = pd.Series("test", index=range(len(store.index)))
    split.iloc[training] = "train"
    split.iloc[validation] = "validation"
    return trained, predict(store, trained, fold, split, run.fabric.device)


def network_settings(settings: ClassifierSettings) -> dict[str, Any]:
    """What the network is built from, beside the mean image."""
    return {name: getattr(settings, name) for name in ("width", "dropout", "architecture", "pooling")}


@torch.no_grad()
def validation_loss(store: CohortStore, network: nn.Module, positions: np.ndarray, fabric: Fabric) -> float:
    """Cross-entropy of the scans at some positions, both groups of equal weight; the processes share the scans."""
    weight = case_weight(store, positions)
    weights = torch.where(torch.from_numpy(store.index["is_case"].to_numpy()[positions] == 1), weight, 1.0)
    total = torch.zeros((), device=fabric.device)
    for images, is_case in batches(store, positions[fabric.global_rank :: fabric.world_size], PREDICTED_AT_ONCE):
        loss = F.binary_cross_entropy_with_logits(
            network(images.to(fabric.device)).float(), is_case.to(fabric.device), pos_weight=weight, reduction="sum"
        )
        total += loss
    return float(mean_over_processes(total) * fabric.world_size / weights.sum())


def case_weight(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Controls per case: the weight of a case in the loss, so that both groups count the same."""
    is_case = store.index["is_case"].iloc[positions]
    return torch.tensor((len(is_case) - is_case.sum()) / is_case.sum(), dtype=torch.float32)


@torch.no_grad()
def predict(
    store: CohortStore, classifier: nn.Module, fold: int, split: pd.Series, device: torch.device
) -> pd.DataFrame:
    """Logits and probabilities of every scan of the cohort, one row per scan, with its ``split``."""
    logits = _logits(store, classifier, np.arange(len(store.index)), device)
    table = store.index[["scan_id", "participant_id", "is_case"]].copy()
    table.insert(2, "fold", fold)
    return table.assign(split=split.to_numpy(), logit=logits.numpy(), probability=torch.sigmoid(logits).numpy())


def _logits(store: CohortStore, classifier: nn.Module, positions: np.ndarray, device: torch.device) -> Tensor:
    loader = batches(store, positions, PREDICTED_AT_ONCE)
    return torch.cat([classifier(images.to(device)).float().cpu() for images, _ in loader])


@torch.no_grad()
def correctly_classified(
    store: CohortStore, classifier: nn.Module, positions: np.ndarray, device: torch.device
) -> np.ndarray:
    """Those of the positions whose scan the classifier calls what it is.

    Raises
    ------
    InputError
        If that leaves a group without scans.
    """
    is_case = store.index["is_case"].to_numpy()[positions] == 1
    right = (_logits(store, classifier, positions, device).numpy() > 0) == is_case
    if len(set(is_case[right])) < 2:
        raise InputError(
            f"{store.folder}: the classifier gets no training scan of one group right, so --simulator.only_correct "
            "leaves nothing to train with. Train the classifier longer (--classifier.epochs) or leave the option out."
        )
    return positions[right]


def logit_gap(predictions: pd.DataFrame) -> float:
    """Distance between the groups' mean logits over the scans that the classifier was not trained on or, of the
    held-out fold, must not see: the validation split only."""
    means = predictions[predictions["split"] == "validation"].groupby("is_case")["logit"].mean()
    return float(means[1] - means[0])
