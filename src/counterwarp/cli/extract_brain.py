"""``counterwarp extract-brain``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ExtractionSettings

IMAGE_NAMES = (".nii.gz", ".nii", ".mgz")


@click.command()
@click.argument("t1w", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--scan-id", help="BIDS entities of the scan, e.g. sub-01_ses-1 [from the file's name].")
@click.option("--mask", type=options.existing_file, help="Brain mask on the scan's grid, used instead of extraction.")
@click.option("--skull-stripped", type=click.Choice(["yes", "no"]), default="no", help="Is the scan a brain already?")
@click.option("--templates", type=options.existing_folder, help="Output of prepare-templates [built for this run].")
@click.option(
    "--on-bad-scan", type=click.Choice(["stop", "skip"]), default="stop", show_default=True,
    help="A scan that cannot be used: an error, or only a FAIL in its record, as the pipeline has it.",
)  # fmt: skip
@options.settings_options(ExtractionSettings)
def extract_brain(
    t1w: Path, output: Path, scan_id: str | None, mask: Path | None, skull_stripped: str, templates: Path | None,
    on_bad_scan: str, settings: ExtractionSettings,
) -> None:  # fmt: skip
    """Bias-correct the scan T1W (NIfTI, .mgz or a DICOM folder) and write its brain mask to the folder OUTPUT."""
    from counterwarp.stages import extract_brain as stage

    scan_id = scan_id or _scan_id(t1w.name)
    record = stage.extract_brain(scan_id, t1w, mask, skull_stripped == "yes", templates, output, settings)
    if record["status"] == "FAIL" and on_bad_scan == "stop":
        raise InputError(f"{scan_id}: {'; '.join(record['reasons'])}")
    click.echo(f"{scan_id}: {record['status']} {'; '.join(record['reasons'])}".rstrip())


def _scan_id(name: str) -> str:
    """File name without ending and suffix: sub-01_T1w.nii.gz is sub-01."""
    for ending in IMAGE_NAMES:
        name = name.removesuffix(ending)
    return name.removesuffix("_T1w")
