"""``counterwarp map-saliency``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import SaliencySettings


@click.command()
@options.cohort
@options.classifier
@options.fold
@options.device
@options.target
@options.output_folder
@options.settings_options(SaliencySettings)
def map_saliency(
    cohort: Path, classifier: Path, fold: int, device: str, target: str, output: Path, settings: SaliencySettings
) -> None:
    """Export saliency maps of the held-out scans of a fold: the baselines of the log-Jacobians."""
    from counterwarp.stages import map_saliency as stage

    stage.map_saliency(cohort, classifier, fold, device, output, settings, target)
