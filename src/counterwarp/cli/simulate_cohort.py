"""``counterwarp simulate-cohort``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core.settings import SimulationSettings


@click.command()
@click.option("--participants", type=int, required=True, help="How many; half of them are cases.")
@click.option("--resolution", type=float, default=2.0, show_default=True, help="Voxel of the scans, mm.")
@click.option("--head", type=options.existing_file, help="Whole head in MNI152 space to simulate from [embedded].")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Heads made at a time.")
@options.seed
@options.output_folder
@options.settings_options(SimulationSettings)
def simulate_cohort(
    participants: int, resolution: float, head: Path | None, jobs: int, seed: int, output: Path,
    settings: SimulationSettings,
) -> None:  # fmt: skip
    """Make a cohort of whole heads with a planted regional volume change; the truth is kept apart."""
    from counterwarp.stages import simulate_cohort as stage

    stage.simulate_cohort(output, participants, seed, resolution, head, jobs, settings)
