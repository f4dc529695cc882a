"""Training the classifier of one fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import ClassifierSettings
from counterwarp.networks.classifier import Classifier
from counterwarp.training.augmentation import augment
from counterwarp.training.checkpoint import Checkpoint
from counterwarp.training.data import batches, mean_image, split_validation, training_batches
from counterwarp.training.loop import Schedule, fit, make_fabric


def fit_classifier(
    store: CohortStore, fold: int, seed: int, device: str, settings: ClassifierSettings, history: Path,
    checkpoint: Checkpoint,
) -> tuple[Classifier, pd.DataFrame]:  # fmt: skip
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
    training, validation = split_validation(store, held_in, settings.validation_share, seed)
    fabric = make_fabric(device, seed)
    classifier = Classifier(mean_image(store, training), settings.width, settings.dropout)
    loader = training_batches(store, training, settings.batch_size, seed)
    weight = case_weight(store, training)

    def step(network: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        images, is_case = batch
        images = augment(images, store.grid.spacing, settings.shift, settings.warp, settings.noise, generator)
        target = is_case + settings.label_smoothing * (0.5 - is_case)
        return {"total": F.binary_cross_entropy_with_logits(network(images), target, pos_weight=weight)}

    steps = settings.epochs * loader.batch_sampler.steps_per_epoch  # type: ignore[union-attr]
    schedule = Schedule(steps, settings.learning_rate, settings.weight_decay, settings.average_from)
    trained = fit(fabric, classifier, loader, step, schedule, seed, history, checkpoint)
    split = pd.Series("test", index=range(len(store.index)))
    split.iloc[training] = "train"
    split.iloc[validation] = "validation"
    return trained, predict(store, trained, fold, split, device)


def case_weight(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Controls per case: the weight of a case in the loss, so that both groups count the same."""
    is_case = store.index["is_case"].iloc[positions]
    return torch.tensor((len(is_case) - is_case.sum()) / is_case.sum(), dtype=torch.float32)


@torch.no_grad()
def predict(store: CohortStore, classifier: nn.Module, fold: int, split: pd.Series, device: str) -> pd.DataFrame:
    """Logits and probabilities of every scan of the cohort, one row per scan, with its ``split``."""
    loader = batches(store, np.arange(len(store.index)), size=8)
    logits = torch.cat([classifier(images.to(device)).float().cpu() for images, _ in loader])
    table = store.index[["scan_id", "participant_id", "is_case"]].copy()
    table.insert(2, "fold", fold)
    return table.assign(split=split.to_numpy(), logit=logits.numpy(), probability=torch.sigmoid(logits).numpy())


def logit_gap(predictions: pd.DataFrame) -> float:
    """Distance between the groups' mean logits over the scans that the classifier was not trained on or, of the
    held-out fold, must not see: the validation split only."""
    means = predictions[predictions["split"] == "validation"].groupby("is_case")["logit"].mean()
    return float(means[1] - means[0])
