"""``counterwarp compare-results``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.argument("first", type=options.existing_folder)
@click.argument("second", type=options.existing_folder)
def compare_results(first: Path, second: Path) -> None:
    """Compare masks, transforms, weights, maps and tables of two runs, bit by bit.

    Lists what differs, and ends with exit code 1 if anything does. Times, figures and the report do not count.
    """
    from counterwarp.stages import compare_results as stage

    comparison = stage.compare_results(first, second)
    for name, (a, b) in comparison.parameters.items():
        click.echo(f"parameter {name}: {a} and {b}")
    for file, difference in comparison.differences.items():
        click.echo(f"{file}: {difference}")
    counts = ", ".join(f"{count} {kind}" for kind, count in comparison.equal.items())
    click.echo(f"equal: {counts or 'nothing'}; different: {len(comparison.differences)}")
    sys.exit(1 if comparison.differences else 0)
