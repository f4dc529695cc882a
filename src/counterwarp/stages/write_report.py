"""Stage WRITE_REPORT: one page, one table of numbers and the metadata of the whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from counterwarp.core import layout, templates
from counterwarp.core.provenance import stage_record
from counterwarp.report import brains, metadata, page, summary, tables
from counterwarp.report.illustrations import draw_all
from counterwarp.report.regions import volume_changes
from counterwarp.report.results import Results

TOP_REGIONS = 10


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
        maps = {"found": brains.load(results.one(layout.group_map("aligned")))}
        if "truth" in comparison:
            maps["planted"] = brains.load(results.one(layout.group_map("truth")))
        context = {
            "evaluation": evaluation,
            "planted": comparison["truth"]["planted"] if "truth" in comparison else None,
            "groups": groups,
            "folds": int(predictions["fold"].nunique()),
            "voxel_mm": float(maps["found"].header.get_zooms()[0]),
            "software": summary.software(),
            "settings": summary.settings_table(records),
        }
        (output / "CITATION.md").write_text(page.render("CITATION.md", **context))
        template = template_folder / "MNI152_T1w.nii.gz"
        figures = draw_all(
            results, template, output / "figures", predictions, explanations, comparison,
            evaluation["classifier"], groups,
        )  # fmt: skip
        html = page.render(
            "report.html",
            **context,
            stylesheet=page.stylesheet(),
            warnings=summary.warnings(evaluation),
            figures=figures,
            regions=tables.rows(volume_changes(maps, *templates.atlas()).head(TOP_REGIONS)),
            cohort=tables.describe_groups(cohort),
            exclusions=tables.rows(results.table("exclusions.csv")),
            problems=tables.rows(results.table("problems.csv")),
            scans=tables.scan_quality(results, dict(zip(cohort["scan_id"], cohort["group"], strict=True))),
            stages=summary.stage_table(records),
        )
        (output / "report.html").write_text(html)
