"""``counterwarp write-report``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option(
    "--results",
    "folders",
    type=options.existing_folder,
    multiple=True,
    required=True,
    help="Folder with outputs of the other stages, in any sub-folders; may be given several times.",
)
@click.option(
    "--templates", type=options.existing_folder, required=True, help="Output of prepare-templates (MNI152_T1w)."
)
@options.output_folder
def write_report(folders: tuple[Path, ...], templates: Path, output: Path) -> None:
    """Write report.html, evaluation.json, CITATION.md and the dataset's metadata.

    \b
    Files are found by name, so a results tree or folders of links do. Needed:
      cohort.csv, problems.csv, exclusions.csv     check-cohort, pack-cohort
      *_desc-qc.json, *_desc-qc_mosaic.png         align-affine (the mosaic is optional)
      *_space-MNI152_desc-preproc_T1w.nii.gz       align-affine
      predictions*.csv                             train-classifier, one per fold
      explanations_*.csv                           map-jacobians, one per fold and chunk
      *_desc-{inject,remove}_{T1w,logjacobian}     map-jacobians
      comparison.json, space-MNI152_desc-*         compare-groups
      other *.json records                         for settings and seconds per stage
    """
    from counterwarp.stages import write_report as stage

    stage.write_report(folders, templates, output)
