"""Null runs of the group statistics: how often anything is found where nothing is, and what a planted effect yields.

    python benchmarks/null_statistics.py [--runs 20] [--folds 6] [--participants 60] [--tfce] [--effect 3]

In every run the participants of a fold share a random smooth pattern, as they would share a simulator that learned
noise; group, site and pattern have nothing to do with each other. Counted is in how many runs any voxel falls below a
family-wise p of 0.05: under the tests of the pipeline, and under sign flips of single participants, which ignore that
a simulator is shared. With --effect the same change (in standard deviations of the folds' pattern) is planted in a
cube for everybody; printed is the share of it that is found by the mean between folds, and by t without moderation.
"""

from __future__ import annotations

import argparse
import json
from itertools import product

import numpy as np
import pandas as pd
from nilearn.mass_univariate import permuted_ols
from scipy.ndimage import gaussian_filter
from scipy.stats import binom, ttest_1samp

from counterwarp.explain.designs import MEAN, make_design
from counterwarp.explain.inference import infer

SHAPE = (24, 28, 24)
SMOOTHNESS = 2.0  # voxels, standard deviation
SHARED = 2.0  # size of a fold's pattern, in standard deviations of a participant's own
TESTS = {
    "mean, between folds": MEAN, "group, within folds": "is_case", "three sites (F), within folds": "site",
    "age, within folds": "age",
}  # fmt: skip
SIGNIFICANT = -np.log10(0.05)


def smooth_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, voxels): smooth Gaussian noise of unit variance."""
    noise = np.stack([gaussian_filter(rng.standard_normal(SHAPE), SMOOTHNESS).ravel() for _ in range(n)])
    return (noise / noise.std()).astype(np.float32)


def cohort(rng: np.random.Generator, participants: int, folds: int) -> tuple[pd.DataFrame, np.ndarray]:
    """People, and their maps (participants, voxels)."""
    people = pd.DataFrame({
        "participant_id": [f"sub-{i:03d}" for i in range(participants)],
        "fold": np.arange(participants) % folds,
        "is_case": np.arange(participants) // folds % 2,
        "site": rng.choice(["A", "B", "C"], participants),
        "age": rng.uniform(50, 80, participants),
    })  # fmt: skip
    return people, SHARED * smooth_noise(rng, folds)[people["fold"]] + smooth_noise(rng, participants)


def null_run(seed: int, participants: int, folds: int, permutations: int, tfce: bool) -> dict[str, bool]:
    """Whether each test finds anything in one null cohort."""
    people, maps = cohort(np.random.default_rng(seed), participants, folds)
    everyone, mask = np.arange(participants), np.ones(SHAPE, bool) if tfce else None
    found = {}
    for name, tested in TESTS.items():
        statistics = infer(maps, make_design(people, everyone, tested, []), permutations, seed, mask)
        found |= {f"{name}, {key[6:]}": bool(v.max() > SIGNIFICANT) for key, v in statistics.items() if "log10p" in key}
    naive = permuted_ols(np.ones((participants, 1)), maps, n_perm=permutations, random_state=seed, verbose=0)
    return found | {"mean, participants flipped": bool(naive["logp_max_t"].max() > SIGNIFICANT)}


def planted_run(seed: int, participants: int, folds: int, permutations: int, effect: float) -> dict[str, float]:
    """Share of a planted cube that the mean between folds finds (largest |t|), with and without moderation."""
    people, maps = cohort(np.random.default_rng(seed), participants, folds)
    cube = np.zeros(SHAPE, bool)
    cube[8:14, 8:14, 8:14] = True
    maps[:, cube.ravel()] += effect * SHARED
    moderated = infer(maps, make_design(people, np.arange(participants), MEAN, []), permutations, seed)
    means = np.stack([maps[people["fold"] == fold].mean(axis=0) for fold in range(folds)])
    signs = np.array(list(product((1, -1), repeat=folds)))[:, :, None]
    largest = [np.abs(ttest_1samp(flip * means, 0).statistic).max() for flip in signs]
    plain = np.abs(ttest_1samp(means, 0).statistic)
    p = np.array([(np.array(largest) >= t - 1e-6).mean() for t in plain[cube.ravel()]])
    return {
        "moderated t": float((moderated["log10pFWE"][cube.ravel()] > SIGNIFICANT).mean()),
        "t": float((p < 0.05).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--participants", type=int, default=60)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--tfce", action="store_true")
    parser.add_argument("--effect", type=float, default=0.0)
    options = parser.parse_args()
    sizes = (options.participants, options.folds, options.permutations)
    if options.effect:
        planted = pd.DataFrame(planted_run(seed, *sizes, options.effect) for seed in range(options.runs))
        print(json.dumps({"runs": options.runs, "share_of_the_planted_found": planted.mean().to_dict()}, indent=2))
        return
    runs = pd.DataFrame(null_run(seed, *sizes, options.tfce) for seed in range(options.runs))
    chance = int(binom.ppf(0.95, options.runs, 0.05))
    print(
        json.dumps(
            {"runs": options.runs, "at_most_by_chance": chance, "found_something": runs.sum().to_dict()},
            indent=2,
            default=int,
        )
    )


if __name__ == "__main__":
    main()
