"""Plant an atrophy, train on some participants, and look for it in the maps of the others."""

import numpy as np
import pandas as pd
import pytest
import torch

from counterwarp.cohort import synthetic
from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout, templates
from counterwarp.core.geometry import apply_affine
from counterwarp.core.settings import ClassifierSettings, JacobianSettings, SimulatorSettings
from counterwarp.networks import fields
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator

pytestmark = pytest.mark.science
PARTICIPANTS = 36
RESOLUTION = 8.0  # mm: coarse, so that it runs in a minute


@pytest.fixture(scope="module")
def planted(effect, tmp_path_factory):
    """A packed cohort made in brain space, and every participant's true log-Jacobian on the network grid."""
    folder = tmp_path_factory.mktemp("cohort")
    synthetic.atrophied_brains(folder, PARTICIPANTS, 0, effect, templates.network_grid(RESOLUTION))
    return folder, np.load(folder / "truth.npy")


@pytest.fixture(scope="module")
def explained(planted, tmp_path_factory):
    """Maps of the held-out fold."""
    cohort, _ = planted
    out = tmp_path_factory.mktemp("explained")
    train_classifier(cohort, 0, 0, "cpu", 1, None, out / "classifier", ClassifierSettings(epochs=60))
    train_simulator(cohort, out / "classifier", 0, 0, "cpu", 1, None, out / "simulator", SimulatorSettings(steps=200))
    map_jacobians(cohort, out / "classifier", out / "simulator", 0, 0, "cpu", out / "maps", JacobianSettings())
    return out


def test_classifier_tells_held_out_cases_from_controls(explained):
    from sklearn.metrics import roc_auc_score

    table = pd.read_csv(explained / "classifier" / "predictions.csv").query("split == 'test'")
    assert roc_auc_score(table["is_case"], table["logit"]) > 0.9


def test_maps_of_held_out_participants_show_the_planted_change(planted, explained):
    cohort, truths = planted
    store = CohortStore(cohort)
    brain, ours, theirs, each = store.brain_mask, 0, 0, []
    for position in store.positions(0, held_out=True):
        case = store.index["is_case"][position]
        direction, sign = ("remove", -1) if case else ("inject", 1)
        name = layout.log_jacobian(store.index["scan_id"][position], direction)
        found = images.load(explained / "maps" / name)[0]
        each.append(np.corrcoef(found[brain], truths[position][brain])[0, 1])
        ours, theirs = ours + sign * found, theirs + sign * truths[position]
    group = np.corrcoef(ours[brain], theirs[brain])[0, 1]
    print(f"group {group:.2f}, participants {np.median(each):.2f}")
    assert group > 0.2
    assert np.median(each) > 0.15
    strong = np.abs(theirs) > 0.5 * np.abs(theirs).max()
    assert (ours[strong & brain & (theirs < 0)]).mean() < 0 < (ours[strong & brain & (theirs > 0)]).mean()


def test_simulated_logits_move_and_nothing_folds(explained):
    table = pd.concat(pd.read_csv(path) for path in (explained / "maps").glob("explanations*.csv"))
    moved = table["logit_simulated"] - table["logit"]
    assert (moved[table["direction"] == "inject"] > 0).all()
    assert (moved[table["direction"] == "remove"] < 0).all()
    assert (table["folding_fraction"] == 0).all()


def test_the_written_velocity_makes_the_written_warp(planted, explained):
    store = CohortStore(planted[0])
    scan = store.index["scan_id"][store.positions(0, held_out=True)[0]]
    velocity, half = images.load_displacement(explained / "maps" / layout.velocity(scan, "inject"))
    warp, grid = images.load_displacement(explained / "maps" / layout.warp(scan, "inject"))
    assert np.allclose(half.spacing, 2 * np.array(grid.spacing))
    corner = np.full(3, -0.5)  # outer corner of the first voxel: both grids fill the same box
    assert np.allclose(apply_affine(half.affine, corner), apply_affine(grid.affine, corner), atol=1e-4)
    again = fields.warp(torch.from_numpy(velocity).movedim(-1, 0)[None], fields.VELOCITY, grid.spacing)
    np.testing.assert_allclose(again[0].movedim(0, -1).numpy(), warp, atol=1e-4)  # mm
    doses = pd.concat(pd.read_csv(path) for path in (explained / "maps").glob("doses*.csv"))
    path = doses[(doses["scan_id"] == scan) & (doses["direction"] == "inject")]["logit"].to_numpy()
    table = pd.concat(pd.read_csv(path) for path in (explained / "maps").glob("explanations*.csv"))
    row = table[(table["scan_id"] == scan) & (table["direction"] == "inject")].iloc[0]
    np.testing.assert_allclose(path[[0, -1]], [row["logit"], row["logit_simulated"]], atol=1e-3)


def test_training_again_gives_the_same_weights(planted, explained, tmp_path):
    cohort, _ = planted
    settings = SimulatorSettings(steps=3)
    for name in "ab":
        train_simulator(cohort, explained / "classifier", 0, 0, "cpu", 1, None, tmp_path / name, settings)
    a, b = ((tmp_path / name / "simulator.safetensors").read_bytes() for name in "ab")
    assert a == b
