"""Several case groups: a classifier with a logit for each, one simulator, and one group at a time in what follows."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from packed import TARGETS, write_packed_cohort, write_three_groups
from torch.nn import functional as F

from counterwarp.cohort.store import CohortStore
from counterwarp.cohort.targets import of_target, predictions_of_target
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings, JacobianSettings, SaliencySettings, SimulatorSettings
from counterwarp.networks.classifier import Classifier, load_classifier, load_target_classifier, save_classifier
from counterwarp.networks.simulator import build_simulator, load_simulator, load_target_simulator, save_simulator
from counterwarp.stages.import_classifier import import_classifier
from counterwarp.stages.map_jacobians import map_jacobians
from counterwarp.stages.map_saliency import map_saliency
from counterwarp.stages.train_classifier import train_classifier
from counterwarp.stages.train_simulator import train_simulator
from counterwarp.training import checkpoint as checkpoints
from counterwarp.training.augmentation import Draws
from counterwarp.training.checkpoint import Checkpoint
from counterwarp.training.classifier import case_weight, correctly_classified, cross_entropy
from counterwarp.training.critic import GroupMeanCritic
from counterwarp.training.simulator import choose_targets

FOLD, STEPS = 1, 4
QUICK = SimulatorSettings(steps=STEPS, width=8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A cohort of three groups and its networks of one fold."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "cohort").mkdir()
    cohort = write_three_groups(folder / "cohort")
    settings = ClassifierSettings(width=4, epochs=12)
    train_classifier(cohort, FOLD, 0, "cpu", 1, None, folder / "classifier", settings)
    train_simulator(cohort, folder / "classifier", FOLD, 0, "cpu", 1, None, folder / "simulator", QUICK)
    return folder


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_of_one_case_group_it_is_the_binary_cross_entropy(smoothing, reduction):
    random = torch.Generator().manual_seed(0)
    logits, is_case = torch.randn(7, generator=random), (torch.arange(7) % 2).float()
    weight = torch.tensor(1.7)
    target = is_case + smoothing * (0.5 - is_case)
    binary = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction=reduction)
    assert torch.equal(cross_entropy(logits, is_case, weight, smoothing, reduction), binary)
    multinomial = cross_entropy(logits[:, None], is_case, weight[None], smoothing, reduction)
    torch.testing.assert_close(multinomial, binary)


def test_a_rare_case_group_counts_as_much_as_the_controls(tmp_path):
    store = CohortStore(write_three_groups(tmp_path))
    rare = np.flatnonzero((store.index["is_case"] != 2) | (np.arange(18) < 6))
    torch.testing.assert_close(case_weight(store, rare), torch.tensor([1.0, 3.0]))


def test_a_view_has_the_controls_and_one_group(tmp_path):
    whole = CohortStore(write_three_groups(tmp_path))
    assert whole.targets == TARGETS
    for number, target in enumerate(TARGETS, 1):
        view = CohortStore(tmp_path, target)
        assert set(view.index["group"]) == {"CN", target}
        assert (view.index["is_case"] == (view.index["group"] == target)).all()
        held_out = view.positions(FOLD, held_out=True)
        assert list(whole.index["is_case"][held_out]) == [0, number] * (len(held_out) // 2)
        assert list(whole.index["scan_id"][held_out]) == list(view.index.loc[held_out, "scan_id"])
    for wrong in ("", "CN", "FTD"):
        with pytest.raises(InputError, match=f"--target '{wrong}': expected one of MCI, AD, as the case group"):
            CohortStore(tmp_path, wrong)


def test_of_one_case_group_the_view_is_everybody(tmp_path):
    whole, view = CohortStore(write_packed_cohort(tmp_path)), CohortStore(tmp_path, "")
    assert whole.targets == ()
    pd.testing.assert_frame_equal(view.index, whole.index)
    pd.testing.assert_frame_equal(CohortStore(tmp_path, "case").index, whole.index)
    with pytest.raises(InputError, match="--target 'AD': expected case, as the case group"):
        CohortStore(tmp_path, "AD")


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("field", ["velocity", "displacement"])
def test_views_of_networks_are_networks_of_one_group(tmp_path, field, coupled):
    torch.manual_seed(0)
    settings = {"dimensions": 2, "width": 8, "experts": 2, "coupled": coupled, "field": field, "targets": list(TARGETS)}
    classifier, simulator = Classifier(torch.zeros(1, 1, 16, 16), 4, targets=TARGETS), build_simulator(**settings)
    save_classifier(classifier, tmp_path, width=4, targets=list(TARGETS))
    (tmp_path / "simulator").mkdir()
    save_simulator(simulator, tmp_path / "simulator", **settings)
    x, direction = torch.randn(3, 1, 16, 16), torch.tensor([1.0, -1.0, 1.0])
    logits = load_classifier(tmp_path)(x)
    assert logits.shape == (3, 2)
    for number, target in enumerate(TARGETS):
        assert torch.equal(load_target_classifier(tmp_path, target)(x), logits[:, number])
        condition = direction[:, None] * torch.eye(2)[number]
        view = load_target_simulator(tmp_path / "simulator", target)
        assert view.field == field
        assert torch.equal(view(x, direction), load_simulator(tmp_path / "simulator")(x, condition))
    for load, folder in ((load_target_classifier, tmp_path), (load_target_simulator, tmp_path / "simulator")):
        with pytest.raises(InputError, match="the networks know the case groups MCI, AD"):
            load(folder, "")


def test_a_case_is_warped_for_its_own_group_and_a_control_for_one_that_is_drawn():
    is_case = torch.tensor([0.0, 1.0, 2.0, 0.0]).repeat(50)
    targets = choose_targets(is_case, 2, Draws(3, 200, slice(None)))
    assert torch.equal(targets[is_case > 0], is_case[is_case > 0].long() - 1)
    drawn = targets[is_case == 0].float().mean()
    assert 0.3 < drawn < 0.7
    part = choose_targets(is_case[60:80], 2, Draws(3, 200, slice(60, 80)))
    assert torch.equal(part, targets[60:80])


def test_the_critic_holds_each_group_to_its_own_mean():
    means = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    critic, target = GroupMeanCritic(means), torch.tensor([0, 0, 1, 1])
    is_case = torch.tensor([0, 1, 0, 1])
    start = means[is_case * (1 + target)]
    goal = means[(1 - is_case) * (1 + target)]
    for _ in range(100):
        loss = critic(start, goal, 2 * target + is_case)
    assert critic.distance() < 1e-4 and abs(float(loss)) < 1e-3
    other = GroupMeanCritic(means)
    other(start[:2], goal[:2], torch.tensor([0, 1]))  # only the first target's
    assert other.change[:2].any() and not other.change[2:].any()


def test_only_correct_scans_are_those_whose_largest_score_is_their_groups(tmp_path):
    store = CohortStore(write_three_groups(tmp_path))

    class Halves(torch.nn.Module):
        def forward(self, x):
            back, front = x.tensor_split(2, dim=3)
            return 10 * torch.stack([half.flatten(1).mean(1) - 0.5 for half in (front, back)], dim=1)

    everybody = np.arange(18)
    right = correctly_classified(store, Halves(), everybody, torch.device("cpu"))
    assert list(right) == list(everybody)

    class Swapped(Halves):
        def forward(self, x):
            return super().forward(x).flip(1)

    with pytest.raises(InputError, match="gets no training scan of one group right"):
        correctly_classified(store, Swapped(), everybody, torch.device("cpu"))


def test_predictions_have_a_logit_for_each_group(trained):
    predictions = pd.read_csv(trained / "classifier" / "predictions.csv")
    record = json.loads((trained / "classifier" / "classifier.json").read_text(encoding="utf-8"))
    logits = predictions[[f"logit_{target}" for target in TARGETS]].to_numpy()
    odds = np.exp(logits).sum(axis=1)  # of any case group against the controls
    np.testing.assert_allclose(predictions["probability"], odds / (1 + odds), rtol=1e-4)
    for target in TARGETS:
        table = predictions_of_target(predictions, target)
        assert set(table["group"]) == {"CN", target}
        assert table["logit"].equals(table[f"logit_{target}"])
        means = table[table["split"] == "validation"].groupby("is_case")["logit"].mean()
        assert record["logit_gap"][target] == pytest.approx(means[1] - means[0])
        assert 0.8 < record["auc"][target]["test"] <= 1


def test_maps_are_of_the_target_and_of_the_scans_it_is_about(trained, tmp_path):
    cohort, networks = trained / "cohort", (trained / "classifier", trained / "simulator")
    predictions = pd.read_csv(networks[0] / "predictions.csv").set_index("scan_id")
    margins = json.loads((networks[1] / "simulator.json").read_text(encoding="utf-8"))["margin"]
    found = {}
    for target in TARGETS:
        maps = tmp_path / target
        map_jacobians(cohort, *networks, FOLD, 0, "cpu", maps, JacobianSettings(doses=1), target)
        methods = SaliencySettings(methods="gradient,guidedGradcam")
        map_saliency(cohort, networks[0], FOLD, "cpu", maps, methods, target)
        table = pd.read_csv(maps / f"explanations_fold-{FOLD}_chunk-0.csv")
        view = CohortStore(cohort, target)
        held_out = view.index.loc[view.positions(FOLD, held_out=True)].set_index("scan_id")
        assert set(table["scan_id"]) == set(held_out.index)
        np.testing.assert_array_equal(table["is_case"], held_out.loc[table["scan_id"], "is_case"])
        np.testing.assert_allclose(table["logit"], predictions.loc[table["scan_id"], f"logit_{target}"], atol=1e-4)
        assert (table["margin"] == margins[target]).all()
        control = held_out.index[held_out["is_case"] == 0][0]
        for name in (layout.log_jacobian(control, "inject"), layout.saliency(control, "gradient")):
            found.setdefault(name, []).append(images.load(maps / name)[0])
    for one, other in found.values():
        assert not np.allclose(one, other)
    with pytest.raises(InputError, match="--target '': expected one of MCI, AD"):
        map_jacobians(cohort, *networks, FOLD, 0, "cpu", tmp_path, JacobianSettings())


def test_a_training_that_was_stopped_ends_with_the_same_weights(trained, tmp_path, monkeypatch):
    """Saved after every step, and left after the second by what SIGTERM does."""
    arguments = (trained / "cohort", trained / "classifier", FOLD, 0, "cpu", 1, tmp_path / "kept", tmp_path / "out")
    monkeypatch.setattr(Checkpoint, "stopped", property(lambda self: True))
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    for _ in range(2):
        with pytest.raises(SystemExit):
            train_simulator(*arguments, QUICK)
    monkeypatch.undo()
    train_simulator(*arguments, QUICK)
    assert len(pd.read_csv(tmp_path / "out" / "history.csv")) == STEPS
    for name in ("simulator.safetensors", "history.csv", "network.json"):
        assert (tmp_path / "out" / name).read_bytes() == (trained / "simulator" / name).read_bytes(), name


def test_a_group_that_the_classifier_does_not_tell_is_named(trained, tmp_path):
    record = json.loads((trained / "classifier" / "classifier.json").read_text(encoding="utf-8"))
    (tmp_path / "classifier.json").write_text(
        json.dumps(record | {"logit_gap": {"MCI": 2.0, "AD": -0.5}}), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"fold 1 gives AD a mean validation logit 0\.50 below controls"):
        train_simulator(trained / "cohort", tmp_path, FOLD, 0, "cpu", 1, None, tmp_path / "out", QUICK)


def test_networks_of_an_earlier_run_must_know_the_same_groups(trained, tmp_path):
    import_classifier(trained / "cohort", trained / "classifier", FOLD, "cpu", tmp_path / "same")
    theirs, ours = (pd.read_csv(folder / "predictions.csv") for folder in (trained / "classifier", tmp_path / "same"))
    np.testing.assert_allclose(ours["logit_AD"], theirs["logit_AD"], atol=1e-5)
    (tmp_path / "two").mkdir()
    binary = write_packed_cohort(tmp_path / "two")
    with pytest.raises(InputError, match="expected a classifier of one case group, got one of the case groups MCI, AD"):
        import_classifier(binary, trained / "classifier", FOLD, "cpu", tmp_path / "other")


def test_a_table_without_the_group_is_refused():
    table = pd.DataFrame({"is_case": [0, 1, 2], "group": ["CN", "MCI", "AD"]})
    assert of_target(table, "AD")["is_case"].tolist() == [0, 1]
    with pytest.raises(InputError, match="Name it with --target"):
        of_target(table, "CN")
