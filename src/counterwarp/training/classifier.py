"""Training the classifier of one fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.cohort.store import CohortStore
from counterwarp.cohort.targets import logit_column, predictions_of_target
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings
from counterwarp.networks.classifier import AnyClassifier, Classifier, Ensemble
from counterwarp.networks.parallel import mean_over_processes
from counterwarp.training.augmentation import Draws, augment, mirror
from counterwarp.training.data import batches, mean_image, split_validation, training_batches
from counterwarp.training.loop import Batch, Run, Schedule, finish, fit

PREDICTED_AT_ONCE = 8  # scans


def fit_classifier(
    store: CohortStore, fold: int, settings: ClassifierSettings, run: Run
) -> tuple[AnyClassifier, pd.DataFrame]:
    """Train on every fold but one.

    Returns
    -------
    classifier : Classifier or Ensemble
        In evaluation mode.
    predictions : DataFrame
        A row per scan, see ``predictions_of``, with its split (train, validation, test): ``test`` is the held-out fold;
        ``validation`` was not trained on either. Of an ensemble these are all the others, each with the logit of the
        one network that was not trained on it.
    """
    splits = split_validation(store, store.positions(fold, held_out=False), settings, run.seed)
    runs = [run.member(number) for number in range(1, 1 + len(splits))] if len(splits) > 1 else [run]
    built = [
        Classifier(mean_image(store, training), **network_settings(settings, store.targets)) for training, _ in splits
    ]
    trained = [_fit(store, *each, settings) for each in zip(built, splits, runs, strict=True)]
    finish(runs)
    classifier = Ensemble(trained) if len(trained) > 1 else trained[0]
    everyone, device = np.arange(len(store.index)), run.fabric.device
    logits = _logits(store, classifier, everyone, device)
    split = pd.Series("train", index=everyone)
    split.iloc[store.positions(fold, held_out=True)] = "test"
    for network, (_, validation) in zip(trained, splits, strict=True):
        split.iloc[validation] = "validation"
        if network is not classifier:
            logits[validation] = _logits(store, network, validation, device)
    return classifier, predictions_of(store, logits, fold, split)


def _fit(
    store: CohortStore, classifier: Classifier, split: tuple[np.ndarray, np.ndarray], run: Run,
    settings: ClassifierSettings,
) -> Classifier:  # fmt: skip
    """Train one network on the first positions of a split."""
    training, validation = split
    loader, epoch = training_batches(store, training, settings, run.seed, run.fabric)
    weight = case_weight(store, training)

    def step(network: nn.Module, batch: Batch, draws: Draws) -> dict[str, Tensor]:
        images = mirror(batch[0], settings.mirror, draws)
        images = augment(images, store.grid.spacing, settings.shift, settings.warp, settings.noise, draws)
        return {"total": cross_entropy(network(images), batch[1], weight, settings.label_smoothing)}

    def validate(network: nn.Module) -> float:
        return validation_loss(store, network, validation, run.fabric)

    schedule = Schedule(settings.epochs * epoch, epoch, settings.average_from, settings.patience)
    return fit(run, classifier, loader, step, schedule, settings, validate if settings.patience else None)


def network_settings(settings: ClassifierSettings, targets: Sequence[str]) -> dict[str, Any]:
    """What the network is built from, beside the mean image."""
    built = {name: getattr(settings, name) for name in ("width", "dropout", "architecture", "pooling")}
    return built | named(targets)


def named(targets: Sequence[str]) -> dict[str, list[str]]:
    """The case groups as a network's setting, which it has only if there are several."""
    return {"targets": list(targets)} if targets else {}


def cross_entropy(
    logits: Tensor, is_case: Tensor, weight: Tensor, smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of the scans' groups; the controls are the reference, with logit 0.

    Parameters
    ----------
    logits : Tensor, (B,) of one case group or (B, K) of several
    is_case : Tensor, (B,), see ``cohort.targets``
    weight : Tensor, see ``case_weight``
    smoothing : share of each label that is spread over all groups
    reduction : ``mean`` or ``sum``, of the weighted losses
    """
    weight = weight.to(logits.device)
    if logits.ndim == 1:
        target = is_case + smoothing * (0.5 - is_case)
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction=reduction)
    chances = F.one_hot(is_case.long(), 1 + logits.shape[1]).to(logits.dtype)
    chances = chances + smoothing * (1 / chances.shape[1] - chances)
    return F.cross_entropy(scores(logits), chances, weight=of_groups(weight), reduction=reduction)


def scores(logits: Tensor) -> Tensor:
    """Logits (B,) or (B, K) with the controls' 0 before them, (B, 1 + K)."""
    return F.pad(logits.reshape(len(logits), -1), (1, 0))


def of_groups(weight: Tensor) -> Tensor:
    """Weights of the case groups with the controls' 1 before them, (1 + K,)."""
    return F.pad(weight.reshape(-1), (1, 0), value=1.0)


@torch.no_grad()
def validation_loss(store: CohortStore, network: nn.Module, positions: np.ndarray, fabric: Fabric) -> float:
    """Cross-entropy of the scans at some positions, all groups of equal weight; the processes share the scans."""
    weight = case_weight(store, positions)
    weights = of_groups(weight)[torch.from_numpy(store.index["is_case"].to_numpy()[positions])]
    total = torch.zeros((), device=fabric.device)
    for images, is_case in batches(store, positions[fabric.global_rank :: fabric.world_size], PREDICTED_AT_ONCE):
        logits = network(images.to(fabric.device)).float()
        total += cross_entropy(logits, is_case.to(fabric.device), weight, reduction="sum")
    return float(mean_over_processes(total) * fabric.world_size / weights.sum())


def case_weight(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Controls per case: weight of a case in the loss, so that all groups count the same; () or, of several, (K,)."""
    members = np.bincount(store.index["is_case"].iloc[positions], minlength=1 + len(store.targets))
    return torch.tensor(members[0] / members[1:], dtype=torch.float32).squeeze()


def predict(
    store: CohortStore, classifier: nn.Module, fold: int, split: pd.Series, device: torch.device
) -> pd.DataFrame:
    """What a classifier says of every scan of the cohort, see ``predictions_of``."""
    return predictions_of(store, _logits(store, classifier, np.arange(len(store.index)), device), fold, split)


def predictions_of(store: CohortStore, logits: Tensor, fold: int, split: pd.Series) -> pd.DataFrame:
    """Logits (N,) or (N, K) of every scan of the cohort as a table, with probabilities and each scan's ``split``.

    Returns
    -------
    DataFrame, a row per scan: scan_id, participant_id, fold, is_case, split, logit (log-odds of being a case),
    probability. If there are several case groups, they are those of any of them, and there are columns more: group,
    and each case group's logit against the controls (see ``cohort.targets.predictions_of_target``).
    """
    table = store.index[["scan_id", "participant_id", "is_case"]].copy()
    table.insert(2, "fold", fold)
    if store.targets:
        each = {logit_column(target): values for target, values in zip(store.targets, logits.T.numpy(), strict=True)}
        table = table.assign(group=store.index["group"], **each)
        logits = logits.logsumexp(1)
    return table.assign(split=split.to_numpy(), logit=logits.numpy(), probability=torch.sigmoid(logits).numpy())


@torch.no_grad()
def _logits(store: CohortStore, classifier: nn.Module, positions: np.ndarray, device: torch.device) -> Tensor:
    loader = batches(store, positions, PREDICTED_AT_ONCE)
    return torch.cat([classifier(images.to(device)).float().cpu() for images, _ in loader])


def correctly_classified(
    store: CohortStore, classifier: nn.Module, positions: np.ndarray, device: torch.device
) -> np.ndarray:
    """Those of the positions whose scan the classifier calls what it is.

    Raises
    ------
    InputError
        If that leaves a group without scans.
    """
    is_case = store.index["is_case"].to_numpy()[positions]
    right = scores(_logits(store, classifier, positions, device)).argmax(1).numpy() == is_case
    if len(set(is_case[right])) < len(set(is_case)):
        raise InputError(
            f"{store.folder}: the classifier gets no training scan of one group right, so --simulator.only_correct "
            "leaves nothing to train with. Train the classifier longer (--classifier.epochs) or leave the option out."
        )
    return positions[right]


def separation(predictions: pd.DataFrame, targets: Sequence[str]) -> dict[str, Any]:
    """``logit_gap`` and the area under the ROC curve in each split (``auc``); of several case groups, of each."""
    if targets:
        each = {target: separation(predictions_of_target(predictions, target), ()) for target in targets}
        return {name: {target: each[target][name] for target in targets} for name in ("logit_gap", "auc")}
    splits = predictions.groupby("split")
    auc = {split: float(roc_auc_score(rows["is_case"], rows["logit"])) for split, rows in splits}
    return {"logit_gap": logit_gap(predictions), "auc": auc}


def logit_gap(predictions: pd.DataFrame) -> float:
    """Distance between the groups' mean logits over the scans that the classifier was not trained on or, of the
    held-out fold, must not see: the validation split only."""
    means = predictions[predictions["split"] == "validation"].groupby("is_case")["logit"].mean()
    return float(means[1] - means[0])
