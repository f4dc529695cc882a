"""``counterwarp write-schema``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="nextflow_schema.json.")
def write_schema(output: Path) -> None:
    """Write nextflow_schema.json from the settings."""
    from counterwarp.stages import write_schema as stage

    stage.write_schema(output)
