"""``counterwarp check-cohort``."""

from __future__ import annotations

from pathlib import Path

import click

from counterwarp.cli import options


@click.command()
@click.option("--input", "source", type=click.Path(path_type=Path), required=True, help="Samplesheet or BIDS folder.")
@click.option("--group-column", required=True, help="Column that holds the group.")
@click.option("--case", default="", help="Label of the case group [case].")
@click.option("--control", default="", help="Label of the control group [control].")
@click.option("--participant-label", default="", help="Only these participants, by commas.")
@click.option("--session-label", default="", help="Only these sessions, by commas.")
@click.option("--exclude", default="", help="Without these participants or scans, by commas.")
@click.option("--on-bad-scan", type=click.Choice(["skip", "stop"]), required=True, help="What an unusable scan does.")
@click.option("--folds", type=int, required=True, help="Number of cross-validation folds.")
@options.match
@options.match_caliper
@options.output_folder
def check_cohort(
    source: Path, group_column: str, case: str, control: str, participant_label: str, session_label: str, exclude: str,
    on_bad_scan: str, folds: int, match: str, match_caliper: float, output: Path,
) -> None:  # fmt: skip
    """Read a cohort and report all of its problems before any work."""
    from counterwarp.cohort.matching import read_matching
    from counterwarp.stages import check_cohort as stage

    matching = read_matching(match, match_caliper)
    labels = (text.replace(",", " ").split() for text in (participant_label, session_label, exclude))
    wanted = stage.Selection(*labels)
    stage.check_cohort(source, group_column, case, control, wanted, on_bad_scan, folds, output, matching)
