"""``counterwarp evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.argument("maps", type=options.existing_folder)
@click.argument("truth", type=options.existing_folder)
@options.output_folder
def evaluate(maps: Path, truth: Path, output: Path) -> None:
    """Measure the MAPS of a run (its outdir) against the TRUTH of a simulated cohort (its folder truth/).

    Correlation of log-Jacobians and image differences with what was planted, size, folding, cycle error, returned
    logits: a table on the screen, and evaluation_truth.{json,md,csv} in the output folder.
    """
    from counterwarp.stages import evaluate as stage

    click.echo(stage.markdown(stage.evaluate(maps, truth, output)))
