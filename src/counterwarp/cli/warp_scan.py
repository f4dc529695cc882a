"""``counterwarp warp-scan``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option(
    "--velocity",
    type=options.existing_file,
    required=True,
    help="*_desc-inject_velocity.nii.gz or remove; *_warp.nii.gz of a simulator that has none.",
)
@click.option("--dose", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Share of the full warp.")
@click.option("--t1w", type=options.existing_file, required=True, help="Aligned T1w; with --affine, the scan itself.")
@click.option("--affine", type=options.existing_file, help="*_xfm.mat of the scan: warp it in its own space.")
@options.output_folder
def warp_scan(velocity: Path, dose: float, t1w: Path, affine: Path | None, output: Path) -> None:
    """Make the warp of a scan at a dose: displacement field (ITK), log-Jacobian, simulated T1w.

    On the network grid in MNI152 space or, with the scan's affine, on the scan's own grid, however it lies.
    """
    from counterwarp.stages import warp_scan as stage

    stage.warp_scan(velocity, dose, t1w, affine, output)
