"""``counterwarp train-classifier``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import ClassifierSettings


@click.command()
@options.cohort
@options.fold
@options.seed
@options.device
@options.devices
@options.checkpoints
@options.output_folder
@options.settings_options(ClassifierSettings)
def train_classifier(
    cohort: Path, fold: int, seed: int, device: str, devices: int, checkpoints: Path | None,
    output: Path, settings: ClassifierSettings,
) -> None:  # fmt: skip
    """Train the case/control classifier on every fold but one."""
    from counterwarp.stages import train_classifier as stage

    stage.train_classifier(cohort, fold, seed, device, devices, checkpoints, output, settings)
