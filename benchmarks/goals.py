"""What the method is to reach on each data set, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments import MORPHOMETRY
from recovery import GUESS, OURS, TRUTH

Results = Mapping[str, Any]  # of one experiment: medians over its seeds
REAL = "real-heads"
NAMES = {
    "four-gaussians": "four Gaussians 2-D", "resized-squares": "resized squares", "atrophy": "planted atrophy 3-D",
    REAL: "real heads (--real), older and younger",
}  # fmt: skip
ABSENT = "not measured"


@dataclass(frozen=True)
class Goal:
    """Numbers of an experiment and the closed interval that each of them is to lie in; () if none is asked for."""

    experiment: str
    measure: str
    values: Callable[[Results], Sequence[float]]
    bounds: tuple[tuple[float, float], ...] = ()
    decimals: int = 2

    def row(self, results: Mapping[str, Results]) -> dict[str, str]:
        """The goal beside what was found; that it was not measured, if the experiment or its baselines were not run."""
        row = {"data": NAMES[self.experiment], "measure": self.measure, "goal": " / ".join(map(_interval, self.bounds))}
        values = self.values(results[self.experiment]) if self.experiment in results else []
        if not values:
            return row | {"found": ABSENT, "reached": ""}
        return row | {
            "found": " / ".join(f"{value:.{self.decimals}f}" for value in values),
            "reached": self._verdict(values),
        }

    def _verdict(self, values: Sequence[float]) -> str:
        if not self.bounds:
            return ""
        inside = [low <= value <= high for value, (low, high) in zip(values, self.bounds, strict=True)]
        return "yes" if all(inside) else "NO"


def rows(results: Mapping[str, Results], asked: Container[str] = NAMES) -> list[dict[str, str]]:
    """Every goal of the experiments that were asked for beside what was found; the last one is of all that were run."""
    folding = [result["folding_fraction"] for result in results.values()]
    return [goal.row(results) for goal in GOALS if goal.experiment in asked] + [{
        "data": "all", "measure": "folding fraction", "goal": "0",
        "found": f"{max(folding):.2g}", "reached": "NO" if max(folding) > 0 else "yes",
    }]  # fmt: skip


def _at_least(*lows: float) -> tuple[tuple[float, float], ...]:
    return tuple((low, math.inf) for low in lows)


def _interval(bound: tuple[float, float]) -> str:
    low, high = bound
    if math.isinf(high):
        return f"at least {low:g}"
    return f"at most {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def _ours(*columns: str) -> Callable[[Results], list[float]]:
    return lambda result: [result["methods"][OURS][column] for column in columns]


def _best_saliency(result: Results) -> list[float]:
    """Of a participant; nothing if no saliency stands beside ours."""
    others = {OURS, GUESS, MORPHOMETRY}
    found = [values["participant signed_ncc"] for name, values in result["methods"].items() if name not in others]
    return [max(found)] if found else []


def _share(percent: float, true_percent: float) -> float:
    """Of two changes in percent, the first as a share of the second, of their logs."""
    return float(np.log1p(percent / 100) / np.log1p(true_percent / 100))


def _region(name: str) -> Callable[[Results], list[float]]:
    return lambda result: [_share(result["regions"][name][OURS], result["regions"][name][TRUTH])]


BOTH_NCC = ("participant signed_ncc", "group signed_ncc")
GOALS = (
    Goal("four-gaussians", "signed NCC, participant / group", _ours(*BOTH_NCC), _at_least(0.82, 0.93)),
    Goal(
        "four-gaussians", "signed NCC of a participant, minus the best saliency baseline's",
        lambda r: [_ours(BOTH_NCC[0])(r)[0] - best for best in _best_saliency(r)], _at_least(0),
    ),
    Goal(
        "four-gaussians", "magnitude in the core as a share of the true one, participant / group",
        _ours("participant magnitude_share", "group magnitude_share"), ((0.9, 1.1), (0.9, 1.1)),
    ),
    Goal("resized-squares", "signed NCC of the difference of intensity", _ours(BOTH_NCC[0]), _at_least(0.8)),
    Goal(
        "resized-squares", "the same of the best guess that knows the class",
        lambda r: [r["methods"][GUESS]["participant signed_ncc"]],
    ),
    Goal("atrophy", "signed NCC, group", _ours(BOTH_NCC[1]), _at_least(0.75)),
    Goal(
        "atrophy", "hippocampus is found: log volume change as a share of the true one",
        _region("Hippocampus"), _at_least(0.25),
    ),
    Goal("atrophy", "signed NCC, participant", _ours(BOTH_NCC[0]), _at_least(0.6)),
    Goal("atrophy", "signed NCC of the best saliency baseline, participant", _best_saliency),
    Goal(
        "atrophy", "margin reached on held-out scans, inject / remove",
        lambda r: [r["margin_inject"], r["margin_remove"]], _at_least(0.97, 0.97),
    ),
    Goal(REAL, "area under the ROC curve, out of fold", lambda r: [r["auc"]], _at_least(0.95)),
    Goal(
        REAL, "margin reached on held-out scans, inject / remove",
        lambda r: [r["margin_inject"], r["margin_remove"]], _at_least(0.95, 0.95),
    ),
    Goal(
        REAL, "log change of the lateral ventricles as a share of the measured one, left / right",
        lambda r: [_share(r[f"{side}_ours"], r[f"{side}_measured"]) for side in "LR"], ((0.5, 2), (0.5, 2)),
    ),
    Goal(REAL, "lower place of both among all regions, by growth", lambda r: [r["place"]], ((-math.inf, 2),), 0),
    Goal(
        REAL, "rank correlation over all regions with the measured difference",
        lambda r: [r["spearman"]], _at_least(0.6),
    ),
)  # fmt: skip
