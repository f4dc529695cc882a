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
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION
from counterwarp.report import brains, figures
from counterwarp.report.results import Results

TOP_REGIONS = 14
SIGNIFICANT = -np.log10(0.05)
LOG_UNIT = "log volume change\n(negative = shrinks)"
SALIENCY_UNIT = "logits per z-score\n(not a volume)"


def draw_all(
    results: Results,
    template: nib.Nifti1Image,
    folder: Path,
    predictions: pd.DataFrame,
    explanations: pd.DataFrame,
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
    predictions, explanations : DataFrame
        Held-out scans.
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
    rows = portraits(results, explanations, comparison, groups)
    paints = {
        "roc": ((8, 3.6), partial(figures.paint_roc, predictions=predictions, metrics=metrics)),
        "precision": ((8, 3.6), partial(figures.paint_precision, predictions=predictions)),
        "regions": ((8, 0.6 + 0.27 * TOP_REGIONS), partial(figures.paint_regions, regions=regions.head(TOP_REGIONS))),
        "logits": ((8, 3.8), partial(figures.paint_logits, explanations=explanations, labels=groups)),
        "group_maps": (
            (11, 1.85 * len(panels)),
            partial(
                brains.paint_maps,
                panels=panels,
                template=template,
                slices=brains.choose_slices(reference, 4, 3),
            ),
        ),
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
    rows.append(_significant(results, rows[0].image))
    if "truth" in comparison:
        rows.append(panel("truth", "logjacobian", "Planted: the true difference", LOG_UNIT))
    for method in comparison["saliency"]:
        rows.append(panel(method, "saliency", f"Baseline: {method} saliency", SALIENCY_UNIT))
    return rows


def _significant(results: Results, found: nib.Nifti1Image) -> brains.Panel:
    r"""The found map where it is significant: by TFCE if that was computed, else by the largest \|t\|."""
    tfce = results.all(layout.group_statistic("aligned", "log10pTFCE"))
    path = tfce[0] if tfce else results.one(layout.group_statistic("aligned", "log10pFWE"))
    shown = np.where(brains.load(path).get_fdata() > SIGNIFICANT, found.get_fdata(), 0)
    title = f"Found, where family-wise p < 0.05 ({'TFCE' if tfce else 'largest |t|'})"
    return brains.Panel(nib.Nifti1Image(shown.astype(np.float32), found.affine), title, LOG_UNIT)


def portraits(
    results: Results, explanations: pd.DataFrame, comparison: dict[str, Any], groups: dict[int, str]
) -> list[brains.Portrait]:
    """Three participants by their agreement with the planted truth or, without one, by the change of their logit.

    The median control, the median case and, of everyone, the one at the lower quartile: not the best of them.
    """
    own = explanations[explanations["direction"] == explanations["is_case"].map(DIRECTION)].set_index("scan_id")
    score = (own["logit_simulated"] - own["logit"]) * own["direction"].map(ALIGNMENT)
    meaning = "logit change"
    if "truth" in comparison:
        agreement = pd.DataFrame(comparison["scans"]).set_index("scan_id")["signed_ncc"].dropna().astype(float)
        if len(agreement):  # on a null cohort every truth is constant and agrees with nothing
            score, meaning = agreement, "NCC with truth"
    is_case = own["is_case"].loc[score.index]
    wanted = {
        "median control": (score[is_case == 0], 0.5),
        "median case": (score[is_case == 1], 0.5),
        "lower quartile of all": (score, 0.25),
    }
    found = []
    for name, (candidates, quantile) in wanted.items():
        scan_id = str((candidates - float(candidates.quantile(quantile))).abs().idxmin())
        row = own.loc[scan_id].to_dict()
        title = (
            f"{scan_id} ({groups[row['is_case']]}), {row['direction']}: logit {row['logit']:.1f} to "
            f"{row['logit_simulated']:.1f}. {meaning} {score[scan_id]:.2f} ({name})"
        )
        names = (
            layout.aligned_t1w(scan_id),
            layout.simulated_t1w(scan_id, row["direction"]),
            layout.log_jacobian(scan_id, row["direction"]),
        )
        found.append(brains.Portrait(title, *(brains.load(results.one(file)) for file in names)))
    return found
