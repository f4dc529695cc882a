"""Trains on synthetic cohorts with a known truth, explains who was held out, and measures ours and the baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from counterwarp.cohort.store import CohortStore
from counterwarp.cohort.synthetic import BEST_GUESS
from counterwarp.core.settings import ClassifierSettings, JacobianSettings, SaliencySettings, SimulatorSettings
from counterwarp.explain import saliency
from counterwarp.explain.evaluation import planted_agreement, signed_ncc
from counterwarp.explain.jacobians import Explanation, explain
from counterwarp.networks.classifier import load_classifier, load_target_classifier
from counterwarp.networks.simulator import load_target_simulator, read_margin
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator

OURS, TRUTH, GUESS = "counterwarp", "truth", "best guess, knowing the class"
SMOOTHED = 1.5  # voxels: standard deviation of the smoothing of saliency maps
MEASURES = ["signed_ncc", "absolute_ncc", "masked_ncc", "magnitude_share"]


def train(
    cohort: Path, fold: int, seed: int, classifier: ClassifierSettings, simulator: SimulatorSettings, output: Path
) -> Path:
    """Both networks of a fold, by the pipeline's own stages."""
    train_classifier(cohort, fold, seed, "cpu", 1, None, output / "classifier", classifier)
    train_simulator(cohort, output / "classifier", fold, seed, "cpu", 1, None, output / "simulator", simulator)
    return output


@dataclass(frozen=True)
class Held:
    """A held-out scan, explained by networks that have not seen it.

    ``sign`` turns its maps, and those of the cohort's truth, into how cases differ from controls. ``opposite``: under
    the direction that leads away from the other group, if that was asked for.
    """

    position: int
    is_case: int
    sign: int
    image: torch.Tensor
    result: Explanation
    opposite: Explanation | None = None


def held_out(
    cohort: Path, networks: Path, fold: int, target: str = "", largest_scale: float = JacobianSettings().largest_scale,
    opposite: bool = False,
) -> Iterator[Held]:  # fmt: skip
    """Every scan of a fold: a control under inject, a case under remove; of several case groups, for the target."""
    store = CohortStore(cohort, target)
    classifier = load_target_classifier(networks / "classifier", target)
    simulator = load_target_simulator(networks / "simulator", target)
    margin = read_margin(networks / "simulator", target)
    brain, spacing, kind = torch.from_numpy(store.brain_mask), store.grid.spacing, simulator.field
    for position in store.positions(fold, held_out=True):
        case = int(store.index["is_case"][position])
        (direction, other), sign = (("remove", "inject"), -1) if case else (("inject", "remove"), 1)
        directions = [direction, other] if opposite else [direction]
        image = torch.from_numpy(store.images[position].astype(np.float32))[None, None]
        found = explain(
            classifier, simulator, image, spacing, brain, margin, 1, kind, directions, largest_scale=largest_scale
        )
        yield Held(position, case, sign, image, found[direction], found.get(other))


def group_map(held: Iterable[Held]) -> np.ndarray:
    """Mean log volume change from control to case over held-out scans; folded voxels are left out."""
    return np.nanmean([one.sign * one.result.log_jacobian.numpy() for one in held], axis=0)


def measure(
    cohort: Path, networks: Path, fold: int, baselines: SaliencySettings, difference: bool = False,
    regions: dict[str, np.ndarray] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Agreement with the truth of the held-out scans: ours and that of the saliency ``baselines``, raw and smoothed.

    ``difference``: the truth is a difference of intensity, to be compared with simulated minus original.
    ``regions``: masks in which the groups' volume change, ours and the true one, is measured too, percent.
    """
    store, classifier = CohortStore(cohort), load_classifier(networks / "classifier")
    truths = np.load(cohort / "truth.npy", mmap_mode="r")
    guesses = np.load(cohort / BEST_GUESS, mmap_mode="r") if (cohort / BEST_GUESS).exists() else None
    masks = {"": store.brain_mask}
    if store.brain_mask.ndim == 2 and not store.brain_mask.all():
        masks["whole "] = np.ones_like(store.brain_mask)
    rows: list[dict[str, float]] = []
    maps: dict[str, list[np.ndarray]] = defaultdict(list)
    for held in held_out(cohort, networks, fold):
        result, truth = held.result, held.sign * truths[held.position]
        found = {OURS: held.sign * _ours(result, held.image, difference)}
        if guesses is not None:
            found[GUESS] = held.sign * guesses[held.position]
        found |= _saliency(baselines, classifier, held.image, store.grid.spacing)
        row = {"margin_reached": float(result.margin_reached), "folding_fraction": result.folding_fraction,
               "logit_return": (result.logit_simulated - result.back.logit) / (result.logit_simulated - result.logit),
               "cycle_error": result.back.image_error, "cycle_mm": result.back.field_error,
               "is_case": held.is_case, "logit": result.logit}  # fmt: skip
        for name, values in found.items():
            row |= {f"{name}: {key}": value for key, value in _agreement(values, truth, masks).items()}
            maps[name].append(values)
        maps[TRUTH].append(truth)
        rows.append(row)
    people = {key: float(np.nanmedian([row[key] for row in rows])) for key in rows[0]}
    means = {name: np.nanmean(values, axis=0) for name, values in maps.items()}
    return {
        "auc": float(roc_auc_score([row["is_case"] for row in rows], [row["logit"] for row in rows])),
        **{
            f"margin_{direction}": float(np.mean([row["margin_reached"] for row in rows if row["is_case"] == case]))
            for case, direction in enumerate(("inject", "remove"))
        },
        "folding_fraction": float(np.mean([row["folding_fraction"] for row in rows])),
        **{key: people[key] for key in ("logit_return", "cycle_error", "cycle_mm")},
        "regions": {
            region: {name: float(100 * np.expm1(means[name][mask].mean())) for name in (OURS, TRUTH)}
            for region, mask in (regions or {}).items()
        },
        "methods": {
            name: {f"participant {key}": people[f"{name}: {key}"] for key in _measures(masks)}
            | {f"group {key}": value for key, value in _agreement(values, means[TRUTH], masks).items()}
            for name, values in means.items()
            if name != TRUTH
        },
    }


def _measures(masks: Iterable[str]) -> list[str]:
    """Names of the measures, over the cohort's mask and over the whole image."""
    return [prefix + key for prefix in masks for key in MEASURES if not prefix or key == "signed_ncc"]


def _agreement(values: np.ndarray, truth: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float]:
    found = planted_agreement(values, truth, masks[""])
    return found | {f"{prefix}signed_ncc": signed_ncc(values, truth, masks[prefix]) for prefix in masks if prefix}


def _saliency(
    settings: SaliencySettings, classifier: torch.nn.Module, image: torch.Tensor, spacing: tuple[float, ...]
) -> dict[str, np.ndarray]:
    """Maps of one scan by name, as they are and smoothed."""
    found = {}
    for name in settings.names:
        found[name] = saliency.attribute(name, classifier, image, settings, spacing)[0, 0].numpy()
        found[f"{name}, smoothed"] = gaussian_filter(found[name], SMOOTHED)
    return found


def _ours(result: Explanation, image: torch.Tensor, difference: bool) -> np.ndarray:
    return (result.simulated - image[0, 0] if difference else result.log_jacobian).numpy()
