"""``counterwarp evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.argument("maps", type=options.existing_folder)
@click.argument("truth", type=options.existing_folder, required=False)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random map, without TRUTH.")
@options.target
@options.output_folder
def evaluate(maps: Path, truth: Path | None, seed: int, target: str, output: Path) -> None:
    """Measure the MAPS of a run (its outdir) against the TRUTH of a simulated cohort (its folder truth/).

    Correlation of log-Jacobians and image differences with what was planted, size, folding, cycle error, returned
    logits: a table on the screen, and evaluation_truth.{json,md,csv} in the output folder.

    Without TRUTH, on real data: how faithful maps are to the classifier when voxels are deleted and inserted in their
    order, beside the saliency maps and a random order; evaluation_faithfulness.{json,md,csv}.
    """
    from counterwarp.stages import evaluate as stage

    if truth is None:
        click.echo(stage.faithfulness_markdown(stage.evaluate_faithfulness(maps, seed, output, target)))
    else:
        click.echo(stage.markdown(stage.evaluate(maps, truth, output, target)))
