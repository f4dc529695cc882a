"""``counterwarp map-jacobians``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import JacobianSettings


@click.command()
@options.cohort
@options.classifier
@click.option("--simulator", type=options.existing_folder, required=True, help="Output of train-simulator.")
@options.fold
@click.option("--chunk", type=int, required=True, help="Which part of the fold's scans, from 0.")
@options.device
@options.target
@options.output_folder
@options.settings_options(JacobianSettings)
def map_jacobians(
    cohort: Path, classifier: Path, simulator: Path, fold: int, chunk: int, device: str, target: str,
    output: Path, settings: JacobianSettings,
) -> None:  # fmt: skip
    """Export log-Jacobians, simulated scans and warps of the held-out scans of a fold."""
    from counterwarp.stages import map_jacobians as stage

    stage.map_jacobians(cohort, classifier, simulator, fold, chunk, device, output, settings, target)
