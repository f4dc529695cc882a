"""Checks that a map of the disease passes and a map of anything else fails; the exit code says whether all hold.

    python benchmarks/sanity.py gaussians|brains|all [--seeds 3] [--first 1] [--critic W] [--jobs CPUS]
        [--output DIR]

gaussians  200 images of 32 x 32 (cohort.synthetic.four_gaussians)
brains     120 brains at 6 mm with a planted atrophy, half of them held out: enough for significance to mean something

planted         the map of held-out scans correlates with what was planted
null            no difference between the groups, and
shuffled        labels drawn by lot: what is found does not correlate with what would have been planted, is small
                beside it, and held-out groups do not differ in it significantly; a simulator that is refused because
                the classifier found nothing passes too
random weights  a classifier that was never trained, explained without the critic (which does not ask the classifier):
                the map does not correlate with the planted one. With the critic the number is printed and not judged
moved           an effect elsewhere: the map correlates with what was planted there, more than with the first place
half            half of the effect: between 0.25 and 0.75 of the volume change in the planted core

Every check trains networks of its own on a cohort of its own; seeds are run side by side. Printed and written to
DIR/sanity.json: per check the correlation with the planted log-Jacobian and the share of its size, group maps, means
over the seeds that have one (others are refused: their classifier separates nothing): what chance differences between
lots do to one cohort points along the planted change or against it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from common import side_by_side
from counterwarp.cohort import synthetic
from counterwarp.cohort.planted import plant_effect
from counterwarp.cohort.store import CohortStore
from counterwarp.core import templates
from counterwarp.core.settings import ClassifierSettings, SimulationSettings, SimulatorSettings
from counterwarp.explain.designs import make_design
from counterwarp.explain.evaluation import finite, magnitude_share, signed_ncc
from counterwarp.explain.inference import infer
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator
from experiments import PIXELS, STILL
from recovery import Held, group_map, held_out

FOUND, NOTHING = 0.4, 0.4  # correlations: at least, at most
SMALL = 0.25  # of the planted size
CHANCE, PERMUTATIONS = 0.01, 500  # share of significant voxels that is too much; permutations of people
HALF = (0.25, 0.75)
ELSEWHERE = SimulationSettings(shrink="Putamen,Pallidum", grow="")


@dataclass(frozen=True)
class Data:
    """A kind of cohort: made in a folder from a seed, an effect's strength and whether it is moved elsewhere."""

    cohort: Callable[[Path, int, float, bool], Path]
    classifier: ClassifierSettings
    simulator: SimulatorSettings


def gaussians(folder: Path, seed: int, effect: float, moved: bool) -> Path:
    larger = (1, 2) if moved else (0, 3)
    return synthetic.four_gaussians(folder, 200, seed, effect=effect, larger=larger)


def brains(folder: Path, seed: int, effect: float, moved: bool) -> Path:
    planted = plant_effect(replace(ELSEWHERE if moved else SimulationSettings(), effect=effect))
    return synthetic.atrophied_brains(folder, 120, seed, planted, templates.network_grid(6.0), folds=2)


DATA = {
    "gaussians": Data(gaussians, replace(PIXELS, epochs=20), replace(STILL, steps=200, smoothness=1.0, magnitude=0.1)),
    "brains": Data(brains, ClassifierSettings(epochs=60), SimulatorSettings(steps=400)),
}


def shuffle(cohort: Path, seed: int) -> None:
    """Draw the labels by lot: within every fold half of the true cases and half of the true controls become cases."""
    index = pd.read_csv(cohort / "index.csv")
    random = np.random.default_rng(seed)
    index["is_case"] = index.groupby(["fold", "is_case"])["is_case"].transform(
        lambda group: random.permutation(np.arange(len(group)) % 2)
    )
    index.to_csv(cohort / "index.csv", index=False)


def randomise(classifier: Path, cohort: CohortStore, seed: int) -> None:
    """Fill the classifier with random weights, whichever sign gives cases the higher logit; its gap is theirs."""
    settings = json.loads((classifier / "network.json").read_text())
    mean_image = load_file(classifier / "classifier.safetensors")["mean_image"]
    torch.manual_seed(seed)
    network = Classifier(mean_image, **settings).eval().requires_grad_(False)
    logits = network(torch.from_numpy(cohort.images.astype(np.float32))[:, None]).numpy()
    is_case = cohort.index["is_case"].to_numpy() == 1
    gap = float(logits[is_case].mean() - logits[~is_case].mean())
    network.head[-1].weight.mul_(np.sign(gap))
    network.head[-1].bias.mul_(np.sign(gap))
    save_classifier(network, classifier, **settings)
    (classifier / "classifier.json").write_text(json.dumps({"logit_gap": abs(gap)}))


def explain(data: Data, cohort: Path, seed: int, folder: Path, random_weights: bool = False) -> list[Held] | None:
    """The held-out scans of the first fold; None if the classifier found nothing to explain."""
    train_classifier(cohort, 0, seed, "cpu", 1, None, folder / "classifier", data.classifier)
    if random_weights:
        randomise(folder / "classifier", CohortStore(cohort), seed)
    if json.loads((folder / "classifier/classifier.json").read_text())["logit_gap"] <= 0:
        return None  # the pipeline ends here with an error
    train_simulator(cohort, folder / "classifier", 0, seed, "cpu", 1, None, folder / "simulator", data.simulator)
    return list(held_out(cohort, folder, 0, opposite=True))


def significant(held: list[Held], mask: np.ndarray, seed: int) -> float:
    """Share of the mask in which the networks ask for something else of cases than of controls (family-wise p < 0.05).

    As the pipeline tests the groups' difference: half of inject minus remove, people permuted within the fold.
    """
    people = pd.DataFrame({"participant_id": one.position, "fold": 0, "is_case": one.is_case} for one in held)
    maps = [
        one.sign * (one.result.log_jacobian - one.opposite.log_jacobian).numpy()[mask > 0] / 2
        for one in held
        if one.opposite is not None
    ]
    design = make_design(people, np.arange(len(held)), "is_case", [])
    found = infer(np.nan_to_num(np.stack(maps)), design, PERMUTATIONS, seed)
    return float((found["log10pFWE"] > -np.log10(0.05)).mean())


def planted_map(cohort: Path) -> np.ndarray:
    """Mean truth of the first fold, from control to case."""
    store, truths = CohortStore(cohort), np.load(cohort / "truth.npy")
    held = store.positions(0, held_out=True)
    return np.mean([(-1 if store.index["is_case"][i] else 1) * truths[i] for i in held], axis=0)


def check(data: Data, seed: int) -> dict[str, dict[str, float]]:
    """Correlation with a planted map and share of its size, per check."""
    still = replace(data, simulator=replace(data.simulator, critic=0.0))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        first = data.cohort(root / "first", seed, 1.0, False)
        there = data.cohort(root / "moved", seed, 1.0, True)
        half = data.cohort(root / "half", seed, 0.5, False)
        null = data.cohort(root / "null", seed, 0.0, False)
        mask, truth, truth_there = CohortStore(first).brain_mask, planted_map(first), planted_map(there)

        def numbers(held: list[Held] | None, planted: np.ndarray = truth) -> dict[str, float]:
            if held is None:
                return {"refused": 1.0, "ncc": np.nan, "share": np.nan, "significant": np.nan}
            found = group_map(held)
            return {
                "refused": 0.0, "ncc": signed_ncc(found, planted, mask),
                "share": magnitude_share(found, planted, mask), "significant": significant(held, mask, seed),
            }  # fmt: skip

        results = {"planted": numbers(explain(data, first, seed, root / "a"))}
        results["random weights"] = numbers(explain(still, first, seed, root / "b", random_weights=True))
        results["random weights, critic"] = numbers(explain(data, first, seed, root / "c", random_weights=True))
        elsewhere = explain(data, there, seed, root / "d")
        results["moved"] = numbers(elsewhere, truth_there)
        results["moved, first place"] = numbers(elsewhere)
        results["half"] = numbers(explain(data, half, seed, root / "e"))
        results["null"] = numbers(explain(data, null, seed, root / "f"))
        shuffle(first, seed)
        results["shuffled"] = numbers(explain(data, first, seed, root / "g"))
    return results


def judge(r: dict[str, dict[str, float]]) -> dict[str, bool]:
    """Which checks hold. Without any map (NaN) nothing was found, which is right where nothing is, and else wrong."""
    nothing = {name: not abs(r[name]["ncc"]) >= NOTHING for name in ("null", "shuffled", "random weights")}
    small = {
        name: not (abs(r[name]["share"]) >= SMALL or r[name]["significant"] >= CHANCE) for name in ("null", "shuffled")
    }
    share = r["half"]["share"] / r["planted"]["share"]
    return {
        "planted": r["planted"]["ncc"] > FOUND,
        **{name: held and small.get(name, True) for name, held in nothing.items()},
        "moved": r["moved"]["ncc"] > max(FOUND, r["moved, first place"]["ncc"] + FOUND),
        "half": HALF[0] < share < HALF[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=[*DATA, "all"])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--critic", type=float, help="weight of the simulator's critic, instead of the default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many are run side by side")
    parser.add_argument("--output", type=Path, default=Path("science"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    record, holds = {}, True
    for name in DATA if options.data == "all" else [options.data]:
        data = DATA[name]
        if options.critic is not None:
            data = replace(data, simulator=replace(data.simulator, critic=options.critic))
        found: dict[int, dict[str, dict[str, float]]] = {}
        tasks = [(data, seed) for seed in range(options.first, options.first + options.seeds)]
        for (_, seed), found[seed] in side_by_side(check, tasks, options.jobs):
            means = {row: pd.DataFrame([f[row] for f in found.values()]).mean().to_dict() for row in found[seed]}
            verdicts = judge(means)
            record[name] = {"means": means, "seeds": found, "holds": verdicts}
            options_used = {"seeds": len(found), "critic": options.critic}  # what there is, should a seed be broken off
            (options.output / "sanity.json").write_text(json.dumps(finite(options_used | record), indent=2) + "\n")
        print(f"| {name} | NCC | share of size | significant | holds |\n|---|---|---|---|---|")
        for row, values in means.items():
            verdict = {True: "yes", False: "NO", None: ""}[verdicts.get(row)]
            refused = f" (refused: {values['refused']:.0%})" if values["refused"] else ""
            shown = f"{values['ncc']:.2f} | {values['share']:.2f} | {values['significant']:.1%}"
            print(f"| {row}{refused} | {shown} | {verdict} |")
        holds = holds and all(verdicts.values())
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
