"""Which pictures the report shows: the group maps, typical participants, the charts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from markupsafe import Markup

from counterwarp.core import layout
from counterwarp.explain.group_maps import DIRECTION
from counterwarp.explain.inference import CONFIDENCE
from counterwarp.explain.saliency import METHODS, PER_INTENSITY
from counterwarp.report import accuracy, brains, figures, surfaces
from counterwarp.report.results import Results

TOP_REGIONS = 14
EXTREMES = 3  # most and least typical participants shown
SIGNIFICANT = -np.log10(0.05)
LOG_UNIT = "log volume change\n(negative = shrinks)"
UNITS = {PER_INTENSITY: "logits per z-score"}  # short enough for a colour bar


def draw_all(
    results: Results,
    template: nib.Nifti1Image,
    folder: Path,
    predictions: pd.DataFrame,
    explanations: pd.DataFrame,
    paths: pd.DataFrame,
    regions: pd.DataFrame,
    comparison: dict[str, Any],
    metrics: dict[str, Any],
    groups: dict[int, str],
) -> dict[str, Markup]:
    """Every figure of the page as SVG by name, and as PNG in ``folder``.

    Parameters
    ----------
    template : image
        The MNI152 brain under the group maps.
    predictions, explanations, paths : DataFrame
        Held-out scans; ``paths`` has their logit at every dose.
    regions : DataFrame
        Group table, the largest change first.
    comparison : dict
        comparison.json.
    metrics : dict
        The classifier's metrics, see ``explain.evaluation``.
    groups : dict
        Label of controls (0) and cases (1).
    """
    panels = group_panels(results, comparison)
    reference = panels[2 if "truth" in comparison else 0].image
    rows = portraits(results, typical(explanations, comparison["typicality"]), groups)
    paints = {
        "roc": ((8, 3.6), partial(accuracy.paint_roc, predictions=predictions, metrics=metrics)),
        "precision": ((8, 3.6), partial(accuracy.paint_precision, predictions=predictions, metrics=metrics)),
        "regions": ((8, 0.6 + 0.27 * TOP_REGIONS), partial(figures.paint_regions, regions=regions.head(TOP_REGIONS))),
        "logits": ((8, 3.8), partial(figures.paint_logits, paths=paths, labels=groups)),
        "group_maps": (
            (11, 1.85 * len(panels)),
            partial(
                brains.paint_maps,
                panels=panels,
                template=template,
                slices=brains.choose_slices(reference, 4, 3),
            ),
        ),
        "glass": ((11, 3.2), partial(surfaces.paint_glass, image=panels[0].image, unit=LOG_UNIT)),
        "surface": ((11, 2.9), partial(surfaces.paint_surface, image=panels[0].image, unit=LOG_UNIT)),
        "participants": (
            (11, 2.3 * len(rows)),
            partial(
                brains.paint_portraits, portraits=rows, slices=brains.choose_slices(reference, 1, 1), unit=LOG_UNIT
            ),
        ),
    }
    return {name: Markup(figures.draw(name, folder, size, paint)) for name, (size, paint) in paints.items()}


def group_panels(results: Results, comparison: dict[str, Any]) -> list[brains.Panel]:
    """Rows of the group figure: what was found, what was planted (if known), the saliency baselines."""

    def panel(name: str, suffix: str, title: str, unit: str) -> brains.Panel:
        return brains.Panel(brains.load(results.one(layout.group_map(name, suffix))), title, unit)

    rows = [panel("aligned", "logjacobian", "Found: how cases differ from controls", LOG_UNIT)]
    rows += _significant(results, rows[0].image, comparison["inference"])
    if "truth" in comparison:
        rows.append(panel("truth", "logjacobian", "Planted: the true difference", LOG_UNIT))
    for method in comparison["saliency"]:
        how = METHODS[method]
        unit = f"{UNITS.get(how.units, how.units)}\n(not a volume)"
        rows.append(panel(method, "saliency", f"Baseline: {how.title} saliency", unit))
    return rows


def _significant(results: Results, found: nib.Nifti1Image, inference: dict[str, Any]) -> list[brains.Panel]:
    """The found map where each test is significant; a test that no voxel can pass is not drawn."""
    panels = []
    for name, meaning in (("aligned", "the same in every fold"), ("groupDifference", "held-out groups differ")):
        if (inference[name]["smallest_p"] or 0) > 1 - CONFIDENCE:
            continue
        tfce = results.all(layout.group_statistic(name, "log10pTFCE"))
        path = tfce[0] if tfce else results.one(layout.group_statistic(name, "log10pFWE"))
        inside = brains.load(path).get_fdata() > SIGNIFICANT
        share = inside.sum() / max(1, np.count_nonzero(found.get_fdata()))
        shown = nib.Nifti1Image(np.where(inside, found.get_fdata(), 0).astype(np.float32), found.affine)
        how_much = f"{share:.1%} of the brain" if share else "nowhere"
        title = f"Found, where {meaning}: p < 0.05 ({'TFCE' if tfce else 'largest |t|'}), {how_much}"
        panels.append(brains.Panel(shown, title, LOG_UNIT, brains.limit(found)))
    return panels


def portraits(results: Results, people: pd.DataFrame, groups: dict[int, str]) -> list[brains.Portrait]:
    """The most and the least typical participants, from the table of ``typical``."""
    found = []
    for row in people.to_dict("records"):
        scan_id, direction = str(row["scan_id"]), str(row["direction"])
        title = (
            f"{scan_id} ({groups[int(row['is_case'])]}), {direction}: logit {row['logit']:.1f} to "
            f"{row['logit_simulated']:.1f}; {row['place']} typical, r = {row['typicality']:.2f}"
        )
        names = (
            layout.aligned_t1w(scan_id),
            layout.simulated_t1w(scan_id, direction),
            layout.log_jacobian(scan_id, direction),
        )
        found.append(brains.Portrait(title, *(brains.load(results.one(file)) for file in names)))
    return found


def typical(explanations: pd.DataFrame, typicality: dict[str, float]) -> pd.DataFrame:
    """Three most and three least typical participants (fewer of a small cohort), a row each with the first scan."""
    own = explanations[explanations["direction"] == explanations["is_case"].map(DIRECTION)]
    people = own.drop_duplicates("participant_id")
    people = people.assign(typicality=people["participant_id"].map(typicality)).dropna(subset="typicality")
    people = people.sort_values("typicality", ascending=False)
    n = min(EXTREMES, len(people) // 2)
    return pd.concat([people.head(n).assign(place="most"), people.tail(n).assign(place="least")])
