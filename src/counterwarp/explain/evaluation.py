"""Numbers about maps and predictions: correlation with the planted truth, accuracy with its uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import binomtest, bootstrap, mannwhitneyu
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix

from counterwarp.core.errors import InputError

CORE_FRACTION = 0.25  # the planted core: voxels where |truth| exceeds this share of its maximum
CONFIDENCE = 0.95
BOOTSTRAPS = 2000


def signed_ncc(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    """Pearson's correlation of two maps (X, Y, Z) over a mask; NaN where one of them is constant.

    Voxels where either map is not finite are left out.
    """
    inside = mask & np.isfinite(a) & np.isfinite(b)
    x, y = a[inside].astype(float), b[inside].astype(float)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else float("nan")


def magnitude_share(values: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """How much of the planted size a map recovers: slope (through 0) of the map on the truth in the planted core.

    1: the right size, 0: nothing, negative: the wrong sign. NaN if nothing was planted.
    """
    core = planted_core(truth, mask) & np.isfinite(values)
    t, v = truth[core].astype(float), values[core].astype(float)
    return float(v @ t / (t @ t)) if core.any() else float("nan")


def planted_core(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Voxels of the mask where the planted change exceeds a quarter of its largest size."""
    size = np.abs(truth)
    return mask & (size > CORE_FRACTION * size[mask].max())


def planted_agreement(values: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Signed and absolute correlation over the mask, signed correlation within the planted core alone (masked), and
    the share of the planted size that is recovered there."""
    return compare_maps(values, truth, mask) | {
        "masked_ncc": signed_ncc(values, truth, planted_core(truth, mask)),
        "magnitude_share": magnitude_share(values, truth, mask),
    }


def compare_maps(values: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Signed and absolute correlation (the latter of \\|map\\| with \\|truth\\|)."""
    return {
        "signed_ncc": signed_ncc(values, truth, mask),
        "absolute_ncc": signed_ncc(np.abs(values), np.abs(truth), mask),
    }


def auc(cases: np.ndarray, controls: np.ndarray, axis: int = -1) -> np.ndarray:
    """Chance that a case's logit is above a control's (area under the ROC curve); ties count half."""
    pairs = cases.shape[axis] * controls.shape[axis]
    return mannwhitneyu(cases, controls, axis=axis).statistic / pairs


def classifier_metrics(predictions: pd.DataFrame) -> dict[str, Any]:
    """How well held-out scans are told apart, with 95 % intervals (shares: Wilson; ranks: bootstrap over scans).

    Parameters
    ----------
    predictions : DataFrame
        One row per scan held out: ``is_case`` (0/1) and ``logit`` (positive = case).

    Raises
    ------
    InputError
        If a group has fewer than two scans.
    """
    is_case, logit = predictions["is_case"].to_numpy(int), predictions["logit"].to_numpy(float)
    cases, controls = logit[is_case == 1], logit[is_case == 0]
    if min(len(cases), len(controls)) < 2:
        raise InputError(
            f"predictions: expected at least 2 held-out cases and 2 controls, got {len(cases)} and "
            f"{len(controls)}. Give the predictions of every fold."
        )
    tn, fp, fn, tp = confusion_matrix(is_case, logit > 0, labels=[0, 1]).ravel().tolist()
    return {
        "n": len(is_case),
        "accuracy": (tp + tn) / len(is_case),
        "accuracy_ci": wilson(tp + tn, len(is_case)),
        "sensitivity": tp / len(cases),
        "sensitivity_ci": wilson(tp, len(cases)),
        "specificity": tn / len(controls),
        "specificity_ci": wilson(tn, len(controls)),
        "auc": float(auc(cases, controls)),
        "auc_ci": _auc_interval(cases, controls),
        "average_precision": float(average_precision_score(is_case, logit)),
        "average_precision_ci": _precision_interval(is_case, logit),
        "brier": float(brier_score_loss(is_case, expit(logit))),
        "confusion": {"true_case": tp, "missed_case": fn, "true_control": tn, "false_case": fp},
    }


def simulator_metrics(explanations: pd.DataFrame) -> dict[str, Any]:
    """What the simulators do to held-out scans, per direction, and mean folding.

    ``lengthened``: share of the velocities that were multiplied to reach the margin, ``largest_scale`` the largest
    such number.
    ``median_dose_to_flip``: over the ``to_flip`` scans that are not called the direction's group as they are; one
    that the full dose does not flip counts as larger than all others, so the median may be infinite.
    ``median_logit_returned``: share of the logit's way there that the opposite warp takes back (1: all of it).
    ``median_cycle_error``, ``median_cycle_mm``: what is left after both, see ``explain.jacobians.Return``.
    """
    e = explanations.assign(
        returned=(explanations["logit_simulated"] - explanations["logit_returned"])
        / (explanations["logit_simulated"] - explanations["logit"])
    )
    by_direction = e.groupby("direction")
    to_flip = e[e["dose_to_flip"] != 0].fillna({"dose_to_flip": np.inf}).groupby("direction")["dose_to_flip"]
    return {
        "margin_reached": by_direction["margin_reached"].mean().to_dict(),
        "lengthened": (e["velocity_scale"] > 1).groupby(e["direction"]).mean().to_dict(),
        "largest_scale": float(e["velocity_scale"].max()),
        "to_flip": to_flip.size().to_dict(),
        "median_dose_to_flip": to_flip.median().to_dict(),
        "mean_displacement_mm": by_direction["mean_displacement_mm"].mean().to_dict(),
        "median_logit_returned": by_direction["returned"].median().to_dict(),
        "median_cycle_error": by_direction["cycle_error"].median().to_dict(),
        "median_cycle_mm": by_direction["cycle_mm"].median().to_dict(),
        "folding_fraction": float(explanations["folding_fraction"].mean()),
        "n": int(explanations["scan_id"].nunique()),
    }


def finite(value: Any) -> Any:
    """The same nested value with NaN and infinity as None: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def wilson(successes: int, n: int) -> list[float]:
    """Ends of the 95 % interval of a share."""
    interval = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return [float(interval.low), float(interval.high)]


def _auc_interval(cases: np.ndarray, controls: np.ndarray) -> list[float]:
    """Percentile bootstrap, cases and controls resampled apart; the seed is fixed so that reports repeat."""
    result = bootstrap(
        (cases, controls), auc, n_resamples=BOOTSTRAPS, confidence_level=CONFIDENCE, method="percentile", rng=0
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def resampled(is_case: np.ndarray, n: int) -> list[np.ndarray]:
    """Positions of ``n`` bootstrap samples, cases and controls apart; the seed is fixed so that reports repeat."""
    rng, groups = np.random.default_rng(0), [np.flatnonzero(is_case == group) for group in (0, 1)]
    return [np.concatenate([rng.choice(group, len(group)) for group in groups]) for _ in range(n)]


def _precision_interval(is_case: np.ndarray, logit: np.ndarray) -> list[float]:
    """Percentile bootstrap of the average precision."""
    found = [average_precision_score(is_case[some], logit[some]) for some in resampled(is_case, BOOTSTRAPS // 4)]
    return np.percentile(found, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]).tolist()
