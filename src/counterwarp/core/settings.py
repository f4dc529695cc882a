"""Defaults of everything scientific, in one place. No torch, no ANTs: importing this is instant.

Each field's ``metadata["help"]`` is its line in ``--help`` and in nextflow_schema.json. The name of a group is the
prefix of its parameters in Nextflow: ``--classifier.epochs 60`` becomes ``counterwarp train-classifier --epochs 60``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def option(default: Any, help: str) -> Any:
    """A settings field with its help line (unit included)."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ExtractionSettings:
    """Brain extraction of one scan."""


@dataclass(frozen=True)
class AlignmentSettings:
    """Affine alignment of one brain to MNI152 and its quality gate."""


@dataclass(frozen=True)
class ClassifierSettings:
    """The case/control classifier of one fold."""

    width: int = option(16, "Channels of the first convolution block.")
    dropout: float = option(0.2, "Share of features dropped before the linear layer.")
    epochs: int = option(60, "Passes over the training scans.")
    batch_size: int = option(8, "Scans per step.")
    learning_rate: float = option(2e-3, "Peak of the one-cycle learning rate.")
    weight_decay: float = option(1e-2, "AdamW weight decay.")
    label_smoothing: float = option(0.0, "Share of each label moved towards 0.5.")
    validation_share: float = option(0.2, "Share of the training participants kept for the logit gap.")
    average_from: float = option(0.7, "Share of the steps after which weights are averaged (1: never).")
    shift: float = option(1.0, "Augmentation: translation per axis, standard deviation, mm.")
    warp: float = option(1.0, "Augmentation: smooth random velocity at 24 mm control points, standard deviation, mm.")
    noise: float = option(0.1, "Augmentation: white noise, standard deviation, z-scored intensity.")


@dataclass(frozen=True)
class SimulatorSettings:
    """The coupled inject/remove simulator of one fold."""

    width: int = option(16, "Channels of the U-Net's first level.")
    experts: int = option(3, "Kernels mixed by every conditional convolution.")
    steps: int = option(300, "Optimiser steps.")
    batch_size: int = option(4, "Scans per step; each is warped in both directions.")
    learning_rate: float = option(1e-3, "Peak of the one-cycle learning rate.")
    weight_decay: float = option(0.0, "AdamW weight decay.")
    margin: float = option(1.2, "Logit change asked for, as a multiple of the classifier's validation logit gap.")
    smoothness: float = option(100.0, "Weight of the mean squared gradient of the velocity (dimensionless).")
    magnitude: float = option(1.0, "Weight of the mean squared velocity, per mm^2.")
    cycle: float = option(1.0, "Weight of the cycle loss (share of the image variance).")
    shift: float = option(0.5, "Augmentation: translation per axis, standard deviation, mm.")
    warp: float = option(0.5, "Augmentation: smooth random velocity at 24 mm control points, standard deviation, mm.")
    noise: float = option(0.0, "Augmentation: white noise, standard deviation, z-scored intensity.")


@dataclass(frozen=True)
class SaliencySettings:
    """Saliency baselines."""

    batch_size: int = option(4, "Scans differentiated at once.")


SETTINGS: dict[str, type] = {
    "extraction": ExtractionSettings,
    "alignment": AlignmentSettings,
    "classifier": ClassifierSettings,
    "simulator": SimulatorSettings,
    "saliency": SaliencySettings,
}
