"""Two case groups that differ from the controls at different places: each map shows its own group's place."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import sanity
from counterwarp.cohort import synthetic
from counterwarp.cohort.store import CohortStore
from counterwarp.explain.evaluation import signed_ncc
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator
from recovery import group_map, held_out

pytestmark = pytest.mark.science
SCANS, SEED, FOLD = 120, 1, 0  # scans of each group's own cohort, half of them controls
GAUSSIANS = sanity.DATA["gaussians"]
LARGER = {"A": (0, 3), "B": (1, 2)}  # which two of the four Gaussians


def three_groups(folder):
    """Two cohorts of Gaussians as one, and the planted map of each of its case groups."""
    tables, images, planted = [], [], {}
    for number, (target, larger) in enumerate(LARGER.items(), 1):
        one = synthetic.four_gaussians(folder / target, SCANS, SEED + number, larger=larger)
        table = pd.read_csv(one / "index.csv", keep_default_na=False)
        table["group"] = np.where(table["is_case"], target, "control")
        names = target + table["scan_id"]
        tables.append(table.assign(scan_id=names, participant_id=names, is_case=table["is_case"] * number))
        images.append(np.load(one / "images.npy"))
        planted[target] = sanity.planted_map(one)
    cohort = folder / "cohort"
    cohort.mkdir()
    pd.concat(tables).to_csv(cohort / "index.csv", index=False)
    np.save(cohort / "images.npy", np.concatenate(images))
    for name in ("brain_mask.nii.gz", "cohort.json"):
        (cohort / name).write_bytes((one / name).read_bytes())
    return cohort, planted


def test_each_groups_map_is_where_that_group_differs(tmp_path):
    cohort, planted = three_groups(tmp_path)
    classifier, simulator = replace(GAUSSIANS.classifier, epochs=10), replace(GAUSSIANS.simulator, steps=120)
    train_classifier(cohort, FOLD, SEED, "cpu", 1, None, tmp_path / "classifier", classifier)
    train_simulator(cohort, tmp_path / "classifier", FOLD, SEED, "cpu", 1, None, tmp_path / "simulator", simulator)
    mask = CohortStore(cohort).brain_mask
    for target, other in (("A", "B"), ("B", "A")):
        found = group_map(held_out(cohort, tmp_path, FOLD, target))
        own, others = (signed_ncc(found, planted[group], mask) for group in (target, other))
        print(f"{target}: {own:.2f} with its own place, {others:.2f} with the other's")
        assert own > others + sanity.FOUND
