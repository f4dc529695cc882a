"""Agreement of the group maps with each other and, in a simulated cohort, with the planted truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from counterwarp.explain import saliency
from counterwarp.explain.evaluation import compare_maps, magnitude_share, signed_ncc


def agreement(maps: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, Any]:
    """Agreement of the mean maps with each other and, if it is known, with the truth."""
    methods = [method for method in saliency.METHODS if method in maps]
    found: dict[str, Any] = {
        "consistency": {"inject_with_minus_remove_ncc": signed_ncc(maps["injectControl"], -maps["removeCase"], brain)},
        "saliency": {
            method: {"with_log_jacobian": compare_maps(maps[method], maps["aligned"], brain)} for method in methods
        },
    }
    if "truth" not in maps:
        return found
    for method in methods:
        agreement = compare_maps(maps[method], maps["truth"], brain)
        found["saliency"][method] |= {f"group_{key}": value for key, value in agreement.items()}
    found["truth"] = {
        **{f"group_{key}": value for key, value in compare_maps(maps["aligned"], maps["truth"], brain).items()},
        "inject_signed_ncc": signed_ncc(maps["injectControl"], maps["truthInjectControl"], brain),
        "remove_signed_ncc": signed_ncc(maps["removeCase"], maps["truthRemoveCase"], brain),
        "magnitude_share": magnitude_share(maps["aligned"], maps["truth"], brain),
    }
    return found


def summarise(scans: list[dict[str, Any]]) -> dict[str, Any]:
    """Median over scans of the agreement with each one's own truth (constant truths have none)."""
    keys = [key for key in scans[0] if key.endswith("signed_ncc")]
    values = {key: np.array([scan[key] for scan in scans]) for key in keys}
    return {f"participant_{key}": float(np.nanmedian(v)) if np.isfinite(v).any() else None for key, v in values.items()}


def of_scan(maps: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, float]:
    """Correlation of one scan's maps with its own truth; empty if that is not known."""
    if "truth" not in maps:
        return {}
    found = {"signed_ncc": signed_ncc(maps["aligned"], maps["truth"], brain)}
    return found | {f"{m}_signed_ncc": signed_ncc(maps[m], maps["truth"], brain) for m in saliency.METHODS if m in maps}


def typicality(values: np.ndarray) -> list[float]:
    """Correlation of each participant's map with the mean of all others' maps.

    Parameters
    ----------
    values : (participants, voxels), sign-aligned
    """
    others = (values.sum(axis=0) - values) / max(1, len(values) - 1)
    return [float(np.corrcoef(own, rest)[0, 1]) for own, rest in zip(values, others, strict=True)]
