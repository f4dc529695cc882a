"""Stage WRITE_REPORT: one page, one table of numbers and the metadata of the whole run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from counterwarp.cohort.targets import of_target, predictions_of_target, target_groups
from counterwarp.core import images, layout, templates
from counterwarp.core.geometry import Grid
from counterwarp.core.provenance import stage_record
from counterwarp.explain import saliency
from counterwarp.explain.balance import group_balance
from counterwarp.report import brains, illustrations, metadata, page, summary, tables, viewer
from counterwarp.report.participants import write_pages
from counterwarp.report.results import Results

MEASURED = "measured_regions.csv"  # of the user's own segmentations: region, measured_percent
TEMPLATE_RESOLUTION = 2  # mm: sharp enough under maps of 2 mm and more, and small in the page


def write_report(folders: Sequence[Path], output: Path, target: str = "") -> None:
    """Write report.html, evaluation.json, CITATION.md and CITATION.bib, participants.tsv, dataset_description.json,
    figures/ and participants/, a page per scan. Of several case groups, they are about the ``target``.

    Raises
    ------
    InputError
        If one of the run's tables or group maps is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"results": ", ".join(str(folder) for folder in folders), "target": target}
    with stage_record(output / "write_report.json", "write_report", **inputs):
        results = Results(folders, target)
        everybody = results.table("cohort.csv")
        cohort = of_target(everybody, target)
        comparison = json.loads(results.one("comparison.json").read_text(encoding="utf-8"))
        predictions = predictions_of_target(results.table("predictions*.csv").query("split == 'test'"), target)
        explanations = results.table("explanations_*.csv")
        paths = results.table("doses_*.csv").merge(cohort[["scan_id", "is_case"]], on="scan_id")
        records = results.records()
        scans = tables.scan_quality(results, dict(zip(everybody["scan_id"], everybody["group"], strict=True)))
        settings = summary.settings_table(records)
        exclusions = results.table("exclusions.csv")
        # settings of pack_cohort are those of matching: the groups are alike without who found no partner
        compared = cohort[~cohort["scan_id"].isin(exclusions["scan_id"])] if "pack_cohort" in settings else cohort
        balance = group_balance(compared, tables.quality_metrics(scans))
        evaluation = summary.evaluate(predictions, explanations, comparison, records, balance)
        (output / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
        metadata.write_participants(output / "participants.tsv", cohort)
        metadata.write_description(output / "dataset_description.json")

        groups = dict(zip(cohort["is_case"], cohort["group"], strict=True))
        regions = tables.with_measured(results.table("regions.csv"), _optional(results, MEASURED))
        tested = _optional(results, "regions_tested.csv")
        found = brains.load(results.one(layout.group_map("aligned")))
        context = {
            "evaluation": evaluation,
            "planted": comparison["truth"]["planted"] if "truth" in comparison else None,
            "baselines": saliency.METHODS,
            "groups": groups,
            "targets": target_groups(everybody),
            "folds": int(predictions["fold"].nunique()),
            "voxel_mm": float(found.header.get_zooms()[0]),
            "inference": comparison["inference"],
            "comparison": comparison["settings"],
            "atlas": _atlas(comparison["settings"]["atlas"]),
            "software": summary.software(),
            "settings": settings,
        }
        methods = page.render("CITATION.md", **context)
        (output / "CITATION.md").write_text(methods, encoding="utf-8")
        (output / "CITATION.bib").write_text(page.embedded("CITATION.bib"), encoding="utf-8")
        template, _ = templates.mni152_brain(TEMPLATE_RESOLUTION)
        scan_pages = write_pages(output / "participants", results, cohort, explanations, groups, context["atlas"])
        figures = illustrations.draw_all(
            results, template, output / "figures", predictions, explanations, paths, regions, comparison,
            evaluation["classifier"], groups,
        )  # fmt: skip
        html = page.render(
            "report.html",
            **context,
            viewer=_group_volumes(results, template, "truth" in comparison),
            viewer_script=page.embedded("viewer.js"),
            niivue=viewer.script(),
            pages=scan_pages,
            stylesheet=page.embedded("report.css"),
            script=page.embedded("report.js"),
            warnings=summary.warnings(evaluation),
            figures=figures,
            regions=tables.rows(regions),
            measured="measured_percent" in regions,
            significant=tables.rows(tables.significant_regions(regions)),
            differing=tables.rows(tables.significant_regions(regions, "p_group")),
            tested=[] if tested is None else tables.rows(tested),
            people=tables.rows(tables.participants(explanations, comparison["typicality"], groups)),
            methods=methods,
            bibliography=page.embedded("CITATION.bib"),
            typical=tables.rows(illustrations.typical(explanations, comparison["typicality"])),
            cohort=tables.describe_groups(cohort),
            exclusions=tables.rows(exclusions),
            problems=tables.rows(results.table("problems.csv")),
            scans=scans,
            stages=summary.stage_table(records),
        )
        (output / "report.html").write_text(html, encoding="utf-8")


def _optional(results: Results, name: str) -> pd.DataFrame | None:
    """A table that not every run has."""
    return results.table(name) if results.all(name) else None


def _group_volumes(results: Results, template: nib.Nifti1Image, with_truth: bool) -> dict[str, Any]:
    """The viewer's volumes of the group: the template, what was found and, if it is known, what was planted."""
    brain = np.asarray(template.dataobj, dtype=np.float32)
    fine = Grid(brain.shape, np.asarray(template.affine))
    overlays = []
    for name, file in (("found", "aligned"), ("planted", "truth"))[: 1 + with_truth]:
        overlays.append(viewer.overlay(name, *images.load(results.one(layout.group_map(file))), side=0))
    return {"base": viewer.volume(viewer.anatomy(brain), fine), "doses": None, "overlays": overlays, "start": None}


def _atlas(name: str) -> str:
    """Name and licence of the atlas, for people."""
    licence = templates.ATLASES.get(name)
    return f"{name.replace('_', ' ').title()} (licence: {licence})" if licence else name
