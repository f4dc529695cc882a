"""Null runs of the group statistics: how often anything is found where nothing is.

    python benchmarks/null_statistics.py [--runs 20] [--folds 6] [--participants 60] [--tfce]

In every run the participants of a fold share a random smooth pattern, as they would share a simulator that learned
noise; group and pattern have nothing to do with each other. Counted is in how many runs any voxel falls below a
family-wise p of 0.05: under the two tests of the pipeline, and under sign flips of single participants, which ignore
that a simulator is shared.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
from nilearn.mass_univariate import permuted_ols
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

from counterwarp.explain.designs import MEAN, make_design
from counterwarp.explain.inference import infer

SHAPE = (24, 28, 24)
SMOOTHNESS = 2.0  # voxels, standard deviation
SHARED = 2.0  # size of a fold's pattern, in standard deviations of a participant's own
SIGNIFICANT = -np.log10(0.05)


def smooth_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, voxels): smooth Gaussian noise of unit variance."""
    noise = np.stack([gaussian_filter(rng.standard_normal(SHAPE), SMOOTHNESS).ravel() for _ in range(n)])
    return (noise / noise.std()).astype(np.float32)


def null_run(seed: int, participants: int, folds: int, permutations: int, tfce: bool) -> dict[str, bool]:
    """Whether each test finds anything in one null cohort."""
    rng = np.random.default_rng(seed)
    people = pd.DataFrame({
        "participant_id": [f"sub-{i:03d}" for i in range(participants)],
        "fold": np.arange(participants) % folds,
        "is_case": np.arange(participants) // folds % 2,
    })  # fmt: skip
    maps = SHARED * smooth_noise(rng, folds)[people["fold"]] + smooth_noise(rng, participants)
    everyone, mask = np.arange(participants), np.ones(SHAPE, bool) if tfce else None
    found = {}
    for name, tested in (("mean, between folds", MEAN), ("group, within folds", "is_case")):
        statistics = infer(maps, make_design(people, everyone, tested, []), permutations, seed, mask)
        found |= {f"{name}, {key[6:]}": bool(v.max() > SIGNIFICANT) for key, v in statistics.items() if "log10p" in key}
    naive = permuted_ols(np.ones((participants, 1)), maps, n_perm=permutations, random_state=seed, verbose=0)
    return found | {"mean, participants flipped": bool(naive["logp_max_t"].max() > SIGNIFICANT)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--participants", type=int, default=60)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--tfce", action="store_true")
    options = parser.parse_args()
    runs = pd.DataFrame(
        null_run(seed, options.participants, options.folds, options.permutations, options.tfce)
        for seed in range(options.runs)
    )
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
