"""Stage WRITE_REPORT: one page, one table of numbers and the metadata of the whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from counterwarp.core import layout, templates
from counterwarp.core.provenance import stage_record
from counterwarp.report import brains, metadata, page, summary, tables
from counterwarp.report.illustrations import draw_all
from counterwarp.report.results import Results


def write_report(folders: Sequence[Path], template_folder: Path, output: Path) -> None:
    """Write report.html, evaluation.json, CITATION.md, participants.tsv, dataset_description.json and figures/.

    Raises
    ------
    InputError
        If one of the run's tables or group maps is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"results": ", ".join(str(folder) for folder in folders), "templates": template_folder}
    with stage_record(output / "write_report.json", "write_report", **inputs):
        results = Results(folders)
        cohort = results.table("cohort.csv")
        comparison = json.loads(results.one("comparison.json").read_text())
        predictions = results.table("predictions*.csv").query("split == 'test'")
        explanations = results.table("explanations_*.csv")
        records = results.records()
        evaluation = summary.evaluate(predictions, explanations, comparison, records)
        (output / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n")
        metadata.write_participants(output / "participants.tsv", cohort)
        metadata.write_description(output / "dataset_description.json")

        groups = dict(zip(cohort["is_case"], cohort["group"], strict=True))
        regions = results.table("regions.csv")
        found = brains.load(results.one(layout.group_map("aligned")))
        context = {
            "evaluation": evaluation,
            "planted": comparison["truth"]["planted"] if "truth" in comparison else None,
            "groups": groups,
            "folds": int(predictions["fold"].nunique()),
            "voxel_mm": float(found.header.get_zooms()[0]),
            "inference": comparison["inference"]["aligned"],
            "comparison": comparison["settings"],
            "atlas": _atlas(comparison["settings"]["atlas"]),
            "software": summary.software(),
            "settings": summary.settings_table(records),
        }
        (output / "CITATION.md").write_text(page.render("CITATION.md", **context))
        template = template_folder / "MNI152_T1w.nii.gz"
        figures = draw_all(
            results, template, output / "figures", predictions, explanations, regions, comparison,
            evaluation["classifier"], groups,
        )  # fmt: skip
        html = page.render(
            "report.html",
            **context,
            stylesheet=page.embedded("report.css"),
            script=page.embedded("report.js"),
            warnings=summary.warnings(evaluation),
            figures=figures,
            regions=tables.rows(regions),
            cohort=tables.describe_groups(cohort),
            exclusions=tables.rows(results.table("exclusions.csv")),
            problems=tables.rows(results.table("problems.csv")),
            scans=tables.scan_quality(results, dict(zip(cohort["scan_id"], cohort["group"], strict=True))),
            stages=summary.stage_table(records),
        )
        (output / "report.html").write_text(html)


def _atlas(name: str) -> str:
    """Name and licence of the atlas, for people."""
    licence = templates.ATLASES.get(name)
    return f"{name.replace('_', ' ').title()} (licence: {licence})" if licence else name
