"""Trains on synthetic cohorts with a known truth, explains who was held out, and measures ours and the baselines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from counterwarp.cohort.store import CohortStore
from counterwarp.core.settings import ClassifierSettings, SaliencySettings, SimulatorSettings
from counterwarp.explain import saliency
from counterwarp.explain.evaluation import planted_agreement
from counterwarp.explain.jacobians import Explanation, explain, returning
from counterwarp.networks.classifier import load_classifier
from counterwarp.networks.simulator import CONDITIONS, load_simulator
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator

OURS = "counterwarp"
SMOOTHED = 1.5  # voxels: standard deviation of the smoothing of saliency maps
MEASURES = ["signed_ncc", "absolute_ncc", "masked_ncc", "magnitude_share"]


def train(
    cohort: Path, fold: int, seed: int, classifier: ClassifierSettings, simulator: SimulatorSettings, output: Path
) -> Path:
    """Both networks of a fold, by the pipeline's own stages."""
    train_classifier(cohort, fold, seed, "cpu", 1, None, output / "classifier", classifier)
    train_simulator(cohort, output / "classifier", fold, seed, "cpu", 1, None, output / "simulator", simulator)
    return output


def measure(
    cohort: Path, networks: Path, fold: int, difference: bool = False, methods: Iterable[str] = saliency.METHODS
) -> dict[str, Any]:  # fmt: skip
    """Agreement with the truth of the held-out scans: ours and every saliency method's, raw and smoothed.

    ``difference``: the truth is a difference of intensity, to be compared with simulated minus original.
    """
    store = CohortStore(cohort)
    classifier, simulator = load_classifier(networks / "classifier"), load_simulator(networks / "simulator")
    margin = json.loads((networks / "simulator/simulator.json").read_text(encoding="utf-8"))["margin"]
    truths = np.load(cohort / "truth.npy", mmap_mode="r")
    mask, spacing = store.brain_mask, store.grid.spacing
    settings = replace(SaliencySettings(), window=3 * spacing[0], stride=spacing[0] * (1 if len(spacing) == 2 else 2))
    rows: list[dict[str, float]] = []
    sums: dict[str, Any] = defaultdict(float)
    logits = {"is_case": [], "logit": []}
    for position in store.positions(fold, held_out=True):
        case = int(store.index["is_case"][position])
        direction, sign = ("remove", -1) if case else ("inject", 1)
        image = torch.from_numpy(store.images[position].astype(np.float32))[None, None]
        with torch.no_grad():
            field = simulator(image, torch.tensor([CONDITIONS[direction]]))[0]
        brain = torch.from_numpy(mask)
        result = explain(classifier, image, field, direction, spacing, brain, margin, 1, simulator.field)
        back = returning(classifier, simulator, image, result, direction, spacing, brain, simulator.field)
        truth = sign * truths[position]
        maps = {OURS: sign * _ours(result, image, difference)}
        for name in methods:
            found = saliency.attribute(name, classifier, image, settings, spacing)[0, 0].numpy()
            maps[name] = found
            maps[f"{name}, smoothed"] = gaussian_filter(found, SMOOTHED)
        row = {"margin_reached": float(result.margin_reached), "folding_fraction": result.folding_fraction,
               "logit_return": (result.logit_simulated - back.logit) / (result.logit_simulated - result.logit),
               "cycle_error": back.image_error, "cycle_mm": back.field_error}  # fmt: skip
        for name, values in maps.items():
            row |= {f"{name}: {key}": value for key, value in planted_agreement(values, truth, mask).items()}
            sums[name] = sums[name] + values
        sums["truth"] = sums["truth"] + truth
        rows.append(row)
        logits["is_case"].append(case)
        logits["logit"].append(result.logit)
    people = {key: float(np.nanmedian([row[key] for row in rows])) for key in rows[0]}
    return {
        "auc": float(roc_auc_score(logits["is_case"], logits["logit"])),
        **{key: float(np.mean([row[key] for row in rows])) for key in ("margin_reached", "folding_fraction")},
        **{key: people[key] for key in ("logit_return", "cycle_error", "cycle_mm")},
        "methods": {
            name: {
                **{f"participant {key}": people[f"{name}: {key}"] for key in MEASURES},
                **{f"group {key}": v for key, v in planted_agreement(values, sums["truth"], mask).items()},
            }
            for name, values in sums.items()
            if name != "truth"
        },
    }


def _ours(result: Explanation, image: torch.Tensor, difference: bool) -> np.ndarray:
    return (result.simulated - image[0, 0] if difference else result.log_jacobian).numpy()
