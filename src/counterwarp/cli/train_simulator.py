"""``counterwarp train-simulator``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import SimulatorSettings


@click.command()
@options.cohort
@options.classifier
@options.fold
@options.seed
@options.device
@options.devices
@options.checkpoints
@options.output_folder
@options.settings_options(SimulatorSettings)
def train_simulator(
    cohort: Path, classifier: Path, fold: int, seed: int, device: str, devices: int, checkpoints: Path | None,
    output: Path, settings: SimulatorSettings,
) -> None:  # fmt: skip
    """Train the inject/remove simulator of one fold against that fold's classifier."""
    from counterwarp.stages import train_simulator as stage

    stage.train_simulator(cohort, classifier, fold, seed, device, devices, checkpoints, output, settings)
