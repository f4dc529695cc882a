"""``counterwarp pack-cohort``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option("--cohort-table", type=options.existing_file, required=True, help="cohort.csv of check-cohort.")
@click.option(
    "--aligned",
    type=options.existing_folder,
    required=True,
    help="Folder with all preprocessed scans, in any sub-folders.",
)
@options.templates
@click.option("--folds", type=int, required=True, help="Number of cross-validation folds.")
@click.option("--chunk-size", type=int, required=True, help="Scans per export task.")
@click.option("--qc-decisions", type=options.existing_file, help="Reviewer's table: scan_id, decision, note.")
@click.option("--models", type=options.existing_folder, help="Earlier networks to apply: who trained them is left out.")
@options.match
@options.match_caliper
@options.seed
@options.output_folder
def pack_cohort(
    cohort_table: Path, aligned: Path, templates: Path, folds: int, chunk_size: int, qc_decisions: Path | None,
    models: Path | None, match: str, match_caliper: float, seed: int, output: Path,
) -> None:  # fmt: skip
    """Apply the quality gate, match the groups, assign folds by participant and pack the scans into one array."""
    from counterwarp.cohort.matching import read_matching
    from counterwarp.stages import pack_cohort as stage

    matching = read_matching(match, match_caliper)
    stage.pack_cohort(cohort_table, aligned, templates, folds, chunk_size, seed, output, qc_decisions, models, matching)
