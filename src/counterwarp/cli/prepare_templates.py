"""``counterwarp prepare-templates``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option("--resolution", type=float, required=True, help="Voxel of the network grid, mm.")
@click.option("--shape", default="", help="Voxels of the network grid instead, e.g. 64,64,64.")
@click.option("--head-template", type=options.existing_file, help="Whole-head T1w instead of the embedded mean head.")
@click.option("--head-mask", type=options.existing_file, help="Brain mask of --head-template.")
@click.option("--brain-template", type=options.existing_file, help="T1w brain in MNI152 space, 0 outside.")
@options.output_folder
def prepare_templates(
    resolution: float, shape: str, head_template: Path | None, head_mask: Path | None, brain_template: Path | None,
    output: Path,
) -> None:  # fmt: skip
    """Build the head template with its brain mask, the MNI152 brain and the network grid."""
    from counterwarp.stages import prepare_templates as stage

    voxels = options.triple("--shape", shape) if shape else None
    stage.prepare_templates(resolution, voxels, output, head_template, head_mask, brain_template)
