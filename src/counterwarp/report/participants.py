"""A page per scan: its path over the dose in the viewer, its regions, its quality."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from counterwarp.core import images, layout
from counterwarp.explain.balance import NOT_COVARIATES
from counterwarp.report import figures, page, tables, viewer
from counterwarp.report.results import Results

SIGN = {"inject": 1, "remove": -1}
MOSAIC = (1100, 700)  # pixels


def write_pages(
    folder: Path, results: Results, cohort: pd.DataFrame, explanations: pd.DataFrame, groups: dict[int, str], atlas: str
) -> dict[str, str]:
    """Write ``folder/SCAN.html`` for every explained scan; returns file names by scan_id."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = results.table("doses_*.csv")
    regions = dict(tuple(results.table("regions_scans.csv").groupby("scan_id")))
    people = cohort.set_index("scan_id")
    shared = {
        "groups": groups, "atlas": atlas, "stylesheet": page.embedded("report.css"),
        "script": page.embedded("report.js"), "viewer_script": page.embedded("viewer.js"), "niivue": viewer.script(),
    }  # fmt: skip
    names = {}
    for scan_id, rows in explanations.groupby("scan_id"):
        person = people.loc[scan_id]
        content = page.render(
            "participant.html",
            **shared,
            scan_id=scan_id,
            group=person["group"],
            fold=int(rows["fold"].iloc[0]),
            covariates=person.drop(NOT_COVARIATES, errors="ignore").dropna().to_dict(),
            doses=[_sentence(row, groups) for row in rows.itertuples()],
            viewer=_volumes(results, str(scan_id)),
            path=Markup(figures.vector("path", (7, 3), partial(_paint_path, path=paths[paths["scan_id"] == scan_id]))),
            regions=tables.rows(regions[scan_id].sort_values("inject_percent", key=abs, ascending=False)),
            quality=json.loads(results.one(f"{scan_id}_desc-qc.json").read_text(encoding="utf-8")),
            mosaic=_mosaic(results, str(scan_id)),
        )
        names[str(scan_id)] = f"{scan_id}.html"
        (folder / names[str(scan_id)]).write_text(content, encoding="utf-8")
    return names


def _sentence(row: Any, groups: dict[int, str]) -> str:
    """What one direction does to the decision, in words."""
    target = groups[1] if row.direction == "inject" else groups[0]
    if row.dose_to_flip == 0:
        return f"The classifier calls this scan {target} as it is."
    if pd.isna(row.dose_to_flip):
        return f"Under {row.direction} the full dose does not make the classifier call it {target}."
    return f"Under {row.direction} it calls the scan {target} from a dose of {row.dose_to_flip:.2f} on."


def _volumes(results: Results, scan_id: str) -> dict[str, Any]:
    """The viewer's volumes: the scan at every dose, and the two maps in percent."""
    scan, grid = images.load(results.one(layout.aligned_t1w(scan_id)))
    frames = viewer.dose_frames(scan, grid, *(_field(results, scan_id, direction) for direction in SIGN))
    overlays = [
        viewer.overlay(direction, images.load(results.one(layout.log_jacobian(scan_id, direction)))[0], grid, side)
        for direction, side in SIGN.items()
    ]
    base = viewer.volume(viewer.anatomy(frames), grid)
    return {"base": base, "doses": viewer.DOSES, "overlays": overlays, "start": None}


def _field(results: Results, scan_id: str, direction: str) -> Path:
    """The velocity or, of a simulator of displacements, the warp."""
    velocity = layout.velocity(scan_id, direction)
    return results.one(velocity if results.all(velocity) else layout.warp(scan_id, direction))


def _mosaic(results: Results, scan_id: str) -> str:
    found = results.all(layout.scan_file(scan_id, "mosaic.png", desc="qc"))
    return figures.thumbnail(found[0], MOSAIC) if found else ""


def _paint_path(figure: Figure, path: pd.DataFrame) -> None:
    """Logit over the dose, remove to the left and inject to the right of the scan."""
    axes = figure.subplots()
    for direction, colour in (("remove", figures.CONTROL), ("inject", figures.CASE)):
        rows = path[path["direction"] == direction]
        axes.plot(SIGN[direction] * rows["dose"], rows["logit"], color=colour, linewidth=2, label=direction)
    axes.axvline(0, color=figures.INK, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=figures.INK, linewidth=0.8)
    axes.set(xlabel="dose (remove: negative, inject: positive)", ylabel="logit")
    axes.legend(frameon=False)
    figure.tight_layout()
