"""``counterwarp write-report``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options
from counterwarp.core import layout


@click.command()
@click.argument("results", nargs=-1, required=True, type=options.existing_folder)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report [the first of RESULTS, or in it the target's].",
)
@options.target
def write_report(results: tuple[Path, ...], output: Path | None, target: str) -> None:
    """Write report.html, evaluation.json, CITATION.md and the dataset's metadata from the results of a run.

    \b
    RESULTS are the outdir of a run, or folders with outputs of the stages. Files are found by name:
      cohort.csv, problems.csv, exclusions.csv         check-cohort, pack-cohort
      *_desc-qc.json, *_desc-qc_mosaic.png             align-affine (the mosaic is optional)
      *_space-MNI152_desc-preproc_T1w.nii.gz           align-affine
      predictions*.csv                                 train-classifier, one per fold
      explanations_*.csv, doses_*.csv                  map-jacobians, one per fold and chunk
      *_desc-{inject,remove}_{T1w,logjacobian,velocity}  map-jacobians
      comparison.json, regions*.csv, space-MNI152_*    compare-groups
      other *.json records                             for settings and seconds per stage
    """
    from counterwarp.stages import write_report as stage

    own = results[0] / layout.target_folder(target) if target else results[0]
    stage.write_report(results, output or own, target)
