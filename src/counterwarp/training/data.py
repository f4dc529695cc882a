"""Batches from the packed cohort."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError


class CohortImages(Dataset):
    """Scans of a packed cohort at given positions: (image (1, X, Y, Z) float32, is_case float32)."""

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


def batches(store: CohortStore, positions: np.ndarray, size: int, seed: int | None = None) -> DataLoader:
    """Batches of scans: in order without a seed, shuffled with one (a last incomplete batch is then dropped)."""
    shuffle = seed is not None
    generator = torch.Generator().manual_seed(seed) if seed is not None else None
    return DataLoader(
        CohortImages(store, positions),
        batch_size=min(size, len(positions)),
        shuffle=shuffle,
        drop_last=shuffle,
        generator=generator,
    )


def mean_image(store: CohortStore, positions: np.ndarray) -> Tensor:
    """Mean of the scans at some positions, (1, 1, X, Y, Z), z-scored intensity; read scan by scan."""
    total = np.zeros(store.images.shape[1:], np.float64)
    for position in positions:
        total += store.images[position]
    return torch.from_numpy((total / len(positions)).astype(np.float32))[None, None]


def split_validation(
    store: CohortStore, positions: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split training positions into training and validation: by participant, stratified by group.

    Raises
    ------
    InputError
        If a group has too few participants to be on both sides.
    """
    rows = store.index.iloc[positions]
    parts = max(2, round(1 / share))
    smallest = rows.groupby("is_case")["participant_id"].nunique().min()
    if smallest < 2:
        raise InputError(
            f"{store.folder}: a group has {smallest} participant in the training folds, expected at least 2. "
            "Add participants or use fewer --folds."
        )
    splitter = StratifiedGroupKFold(min(parts, smallest), shuffle=True, random_state=seed)
    training, validation = next(iter(splitter.split(rows, rows["is_case"], rows["participant_id"])))
    return positions[training], positions[validation]
