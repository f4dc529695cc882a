"""``counterwarp import-classifier``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@options.cohort
@click.option(
    "--classifier",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Program of torch.export (.pt2) or TorchScript (.ts), or an output of train-classifier.",
)
@options.fold
@options.device
@options.output_folder
def import_classifier(cohort: Path, classifier: Path, fold: int, device: str, output: Path) -> None:
    """Take a classifier that is trained already: check it, and predict every scan.

    It must map images (B, 1, X, Y, Z) of the network grid, z-scored in the brain, to logits (positive = case). Load
    only files that you trust: a program is code.
    """
    from counterwarp.stages import import_classifier as stage

    stage.import_classifier(cohort, classifier, fold, device, output)
