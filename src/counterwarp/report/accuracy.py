"""How well the classifier does out of fold: ROC, decisions, precision and recall, calibration, each with its doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from counterwarp.explain.evaluation import resampled, wilson
from counterwarp.report.figures import CASE, CONTROL, INK

CURVES = 400  # resampled curves behind a band
GRID = np.linspace(0, 1, 101)
BAND = (2.5, 97.5)  # percentiles
TO = "\N{EN DASH}"


def paint_roc(figure: Figure, predictions: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """ROC curve of the logits out of fold with its band, and the confusion matrix at logit 0 with intervals."""
    roc, matrix = figure.subplots(1, 2, width_ratios=[1.15, 1])
    roc.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    _band(roc, predictions, _sensitivity)
    false_positive, true_positive, _ = roc_curve(predictions["is_case"], predictions["logit"])
    roc.plot(false_positive, true_positive, color=CASE, linewidth=2)
    roc.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title="ROC, out of fold")
    low, high = metrics["auc_ci"]
    roc.text(0.97, 0.06, f"AUC {metrics['auc']:.3f}\n95 %: {low:.2f} to {high:.2f}", ha="right", va="bottom")
    _paint_confusion(matrix, metrics["confusion"])
    figure.tight_layout(w_pad=4)


def paint_precision(figure: Figure, predictions: pd.DataFrame, metrics: dict[str, Any]) -> None:
    """Precision against recall with its band, and observed against predicted chance with intervals, out of fold."""
    precision, calibration = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _band(precision, predictions, _precision)
    is_case = predictions["is_case"].to_numpy()
    found, recall, _ = precision_recall_curve(is_case, predictions["logit"])
    precision.plot(recall, found, color=CASE, linewidth=2, drawstyle="steps-post")
    precision.axhline(is_case.mean(), color=INK, linewidth=0.8, linestyle=":")
    precision.set(title="Precision and recall", xlabel="recall (sensitivity)", ylabel="precision", ylim=(0, 1.05))
    low, high = metrics["average_precision_ci"]
    words = f"average precision {metrics['average_precision']:.3f}\n95 %: {low:.2f} to {high:.2f}"
    precision.text(0.03, 0.06, words, va="bottom")
    _paint_calibration(calibration, is_case, predictions["probability"].to_numpy())
    figure.tight_layout(w_pad=4)


def _paint_confusion(matrix: Axes, counts: dict[str, int]) -> None:
    rows = {"case": ("true_case", "missed_case"), "control": ("false_case", "true_control")}
    for y, cells in enumerate(rows.values()):
        total = sum(counts[cell] for cell in cells)
        for x, cell in enumerate(cells):
            share, (low, high) = counts[cell] / total, wilson(counts[cell], total)
            colour = CASE if x == 0 else CONTROL
            matrix.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], color=colour, alpha=0.1 + 0.6 * share)
            matrix.text(x + 0.5, y + 0.42, f"{counts[cell]}", ha="center", va="center", fontsize=15)
            words = f"{100 * share:.0f} %  ({100 * low:.0f}{TO}{100 * high:.0f})"
            matrix.text(x + 0.5, y + 0.7, words, ha="center", va="center", fontsize=9)
    matrix.set(xlim=(0, 2), ylim=(2, 0), aspect="equal", title="Decisions at logit 0")
    matrix.set_xticks([0.5, 1.5], ["called case", "called control"])
    matrix.set_yticks([0.5, 1.5], list(rows), rotation=90, va="center")
    matrix.tick_params(length=0)
    matrix.spines[:].set_visible(False)


def _paint_calibration(axes: Axes, is_case: np.ndarray, chance: np.ndarray) -> None:
    """Observed share of cases in equal parts of the scans, with Wilson intervals."""
    parts = np.array_split(np.argsort(chance, kind="stable"), min(5, max(2, len(is_case) // 10)))
    predicted = np.array([chance[part].mean() for part in parts])
    observed = np.array([is_case[part].mean() for part in parts])
    ends = np.array([wilson(int(is_case[part].sum()), len(part)) for part in parts])
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.vlines(predicted, ends[:, 0], ends[:, 1], color=CASE, linewidth=1.5)
    axes.plot(predicted, observed, color=CASE, linewidth=2, marker="o")
    axes.set(title="Calibration", xlabel="predicted chance of a case", ylabel="observed share of cases")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _band(axes: Axes, predictions: pd.DataFrame, curve: Any) -> None:
    """Where 95 % of the curves of resampled scans lie, point by point (cases and controls resampled apart)."""
    is_case, logit = predictions["is_case"].to_numpy(int), predictions["logit"].to_numpy(float)
    curves = [curve(is_case[some], logit[some]) for some in resampled(is_case, CURVES)]
    low, high = np.percentile(curves, BAND, axis=0)
    axes.fill_between(GRID, low, high, color=CASE, alpha=0.18, linewidth=0)


def _sensitivity(is_case: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """On ``GRID`` of 1 - specificity."""
    false_positive, true_positive, _ = roc_curve(is_case, logit)
    return np.interp(GRID, false_positive, true_positive)


def _precision(is_case: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """On ``GRID`` of recall."""
    precision, recall, _ = precision_recall_curve(is_case, logit)
    return np.interp(GRID, recall[::-1], precision[::-1])
