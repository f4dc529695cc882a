"""``counterwarp extract-brain``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import ExtractionSettings


@click.command()
@options.scan_id
@click.option("--t1w", type=click.Path(path_type=Path), required=True, help="T1w scan (NIfTI).")
@click.option("--mask", type=options.existing_file, help="Brain mask on the scan's grid, used instead of extraction.")
@click.option("--skull-stripped", type=click.Choice(["yes", "no"]), required=True, help="Is the scan a brain already?")
@options.templates
@options.output_folder
@options.settings_options(ExtractionSettings)
def extract_brain(
    scan_id: str, t1w: Path, mask: Path | None, skull_stripped: str, templates: Path, output: Path,
    settings: ExtractionSettings,
) -> None:  # fmt: skip
    """Bias-correct one scan and find its brain."""
    from counterwarp.stages import extract_brain as stage

    stage.extract_brain(scan_id, t1w, mask, skull_stripped == "yes", templates, output, settings)
