"""``counterwarp compare-groups``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import ComparisonSettings


@click.command()
@options.cohort
@click.option(
    "--maps",
    type=options.existing_folder,
    required=True,
    help="Folder with the log-Jacobians and saliency maps of all scans, in any sub-folders.",
)
@click.option(
    "--transforms", type=options.existing_folder, required=True, help="The scans' affines (see align-affine)."
)
@click.option(
    "--truth", type=options.existing_folder, help="Planted log-Jacobians and truth.json of a simulated cohort."
)
@options.seed
@options.target
@options.output_folder
@options.settings_options(ComparisonSettings)
def compare_groups(
    cohort: Path,
    maps: Path,
    transforms: Path,
    truth: Path | None,
    seed: int,
    target: str,
    output: Path,
    settings: ComparisonSettings,
) -> None:
    """Group maps with inference, regions and, where the truth is known, their agreement with it."""
    from counterwarp.stages import compare_groups as stage

    stage.compare_groups(cohort, maps, transforms, truth, seed, output, settings, target)
