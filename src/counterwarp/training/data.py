"""Batches from the packed cohort."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings, TrainingSettings

Item = TypeVar("Item")


class CohortImages(Dataset):
    """Scans of a packed cohort at given positions: image (1, X, Y, Z) and is_case (see ``cohort.targets``), float32."""

    def __init__(self, store: CohortStore, positions: np.ndarray):
        self.images = store.images
        self.positions = positions
        self.is_case = store.index["is_case"].to_numpy(dtype=np.float32)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        position = self.positions[item]
        image = torch.from_numpy(self.images[position].astype(np.float32))[None]
        return image, torch.tensor(self.is_case[position])


class ShuffledBatches(Sampler):
    """Positions of every training step's batch, epoch after epoch without end; an epoch's last incomplete batch is
    dropped. A batch follows from seed and step alone, so that a training can start at any step.

    ``start`` is the step to begin with. Of ``shares`` processes each takes its own equal share of every batch, the
    ``share``-th from 0.
    """

    def __init__(self, scans: int, size: int, seed: int, share: int = 0, shares: int = 1):
        self.scans, self.size, self.seed, self.start = scans, min(size, scans), seed, 0
        self.rows = slice(share * self.size // shares, (share + 1) * self.size // shares)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the scans."""
        return self.scans // self.size

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in count(self.start // self.steps_per_epoch):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.scans).tolist()
            first = self.start - epoch * self.steps_per_epoch if epoch == self.start // self.steps_per_epoch else 0
            for step in range(first, self.steps_per_epoch):
                yield order[step * self.size : (step + 1) * self.size][self.rows]


def training_batches(
    store: CohortStore, positions: np.ndarray, settings: TrainingSettings, seed: int, fabric: Fabric
) -> tuple[DataLoader, int]:
    """This process's share of shuffled batches of scans, without end (see ``ShuffledBatches``); steps per epoch.

    Raises
    ------
    InputError
        If a batch cannot be divided evenly among processes and parts.
    """
    sampler = ShuffledBatches(len(positions), settings.batch_size, seed, fabric.global_rank, fabric.world_size)
    if sampler.size % (fabric.world_size * settings.accumulation):
        raise InputError(
            f"a step's {sampler.size} scans (--batch-size, or all of the training scans) cannot be divided evenly "
            f"among {fabric.world_size} processes x {settings.accumulation} parts (--accumulation). Change one of them."
        )
    return DataLoader(CohortImages(store, positions), batch_sampler=sampler), sampler.steps_per_epoch


def read_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """The items in their order; a thread gets the next one while the last is in use. What fails there, fails here:
    MONAI's ``ThreadBuffer`` would end as if there were no more.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        upcoming = thread.submit(next, iterator, end)
        while (item := upcoming.result()) is not end:
            upcoming = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]


def batches(store: CohortStore, positions: np.ndarray, size: int) -> DataLoader:
    """Every scan once, in order."""
    return DataLoader(CohortImages(store, positions), batch_size=size)


def mean_image(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Mean of the scans at some positions, (1, 1, X, Y, Z), z-scored intensity; read scan by scan."""
    total = np.zeros(store.images.shape[1:], np.float64)
    for position in positions:
        total += store.images[position]
    return torch.from_numpy((total / len(positions)).astype(np.float32))[None, None]


def group_means(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Mean of the controls and of each case group at some positions, (1 + K, 1, X, Y, Z), z-scored intensity."""
    is_case = store.index["is_case"].to_numpy()[positions]
    return torch.cat([mean_image(store, positions[is_case == group]) for group in range(is_case.max() + 1)])


def split_validation(
    store: CohortStore, positions: np.ndarray, settings: ClassifierSettings, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split training positions into training and validation: by participant, stratified by group.

    Returns
    -------
    A split for every network of the ensemble; if there are several, each scan is in the validation part of one.

    Raises
    ------
    InputError
        If a group has too few participants to be on both sides, or in every validation part.
    """
    rows, ensemble = store.index.iloc[positions], settings.ensemble
    parts = ensemble if ensemble > 1 else max(2, round(1 / settings.validation_share))
    smallest = rows.groupby("is_case")["participant_id"].nunique().min()
    if smallest < 2:
        raise InputError(
            f"{store.folder}: a group has {smallest} participant in the training folds, expected at least 2. "
            "Add participants or use fewer --folds."
        )
    if not 1 <= ensemble <= smallest:
        raise InputError(
            f"--classifier.ensemble {ensemble}: expected 1 to {smallest}, since each network leaves out another part "
            f"of the training participants and the smallest group has {smallest} of them."
        )
    splitter = StratifiedGroupKFold(min(parts, smallest), shuffle=True, random_state=seed)
    splits = splitter.split(rows, rows["is_case"], rows["participant_id"])
    return [(positions[training], positions[validation]) for training, validation in islice(splits, ensemble)]
