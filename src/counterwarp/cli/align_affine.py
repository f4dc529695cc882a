"""``counterwarp align-affine``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import AlignmentSettings


@click.command()
@options.scan_id
@click.option("--t1w", type=options.existing_file, required=True, help="Bias-corrected scan.")
@click.option("--mask", type=options.existing_file, required=True, help="Its brain mask.")
@click.option("--affine", type=options.existing_file, required=True, help="Its affine (*_to-MNI152_*_xfm.mat).")
@options.templates
@options.output_folder
@options.settings_options(AlignmentSettings)
def align_affine(
    scan_id: str, t1w: Path, mask: Path, affine: Path, templates: Path, output: Path, settings: AlignmentSettings
) -> None:
    """Resample one brain on the network grid in MNI152 space and judge the result."""
    from counterwarp.stages import align_affine as stage

    stage.align_affine(scan_id, t1w, mask, affine, templates, output, settings)
