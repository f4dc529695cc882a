"""``counterwarp prepare-templates``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option("--resolution", type=float, required=True, help="Voxel of the network grid, mm.")
@options.output_folder
def prepare_templates(resolution: float, output: Path) -> None:
    """Build the head template with its brain mask, the MNI152 brain and the network grid."""
    from counterwarp.stages import prepare_templates as stage

    stage.prepare_templates(resolution, output)
