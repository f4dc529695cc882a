"""The engine's options, on networks so small that the answer is known."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from packed import write_packed_cohort
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from counterwarp.cohort.store import CohortStore
from counterwarp.core.errors import InputError
from counterwarp.core.settings import ClassifierSettings
from counterwarp.networks.parallel import BatchNorm
from counterwarp.training import classifier as classifiers
from counterwarp.training.augmentation import Draws, augment
from counterwarp.training.checkpoint import Checkpoint
from counterwarp.training.data import ShuffledBatches, read_ahead, training_batches
from counterwarp.training.launch import launch
from counterwarp.training.loop import Run, Schedule, fit

STEPS, EPOCH, BATCH = 12, 2, 4
LEARNING_RATE = 0.1


class Watched:
    """A linear regression that notes its weights, loss by loss, before every step."""

    def __init__(self, folder, precision="fp32"):
        self.fabric = launch("cpu", 1, precision, 0)
        self.run = Run(self.fabric, 0, folder / "history.csv", Checkpoint(None, stage="test"))
        self.network, self.weights, self.tables, self.kinds = nn.Linear(3, 1), [], [], set()
        random = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(BATCH * EPOCH, 3, generator=random), torch.randn(BATCH * EPOCH, generator=random)

    def step(self, network, batch, draws):
        self.weights.append(self.network.weight.detach().clone())
        self.tables.append(self.run.history.read_text(encoding="utf-8").splitlines())
        y = network(batch[0])
        self.kinds.add(y.dtype)
        return {"total": (y[:, 0] - batch[1]).square().mean()}

    def fit(self, validate=None, patience=0, **options):
        sampler = ShuffledBatches(len(self.x), BATCH, 0)
        loader = DataLoader(TensorDataset(self.x, self.y), batch_sampler=sampler)
        settings = ClassifierSettings(learning_rate=LEARNING_RATE, weight_decay=0.0, **options)
        schedule = Schedule(STEPS, EPOCH, patience=patience)
        result = fit(self.run, self.network, loader, self.step, schedule, settings, validate)
        return result.weight.detach()


def test_a_step_in_parts_is_the_same_step(tmp_path):
    whole, parts = (Watched(tmp_path).fit(accumulation=n) for n in (1, 4))
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)  # sums in another order


def test_a_short_gradient_hardly_moves_the_weights(tmp_path):
    # AdamW divides by the gradient's own size, but not by less than 1e-8
    free, short = Watched(tmp_path), Watched(tmp_path)
    assert (free.fit(clip=0.0) - free.weights[0]).abs().max() > LEARNING_RATE
    assert (short.fit(clip=1e-12) - short.weights[0]).abs().max() < 1e-3 * LEARNING_RATE


def test_the_moving_average_is_the_result(tmp_path):
    watched, decay = Watched(tmp_path), 0.8
    result = watched.fit(ema_decay=decay)
    after_each_step = [*watched.weights[1:], watched.network.weight.detach()]
    expected = after_each_step[0]
    for weight in after_each_step[1:]:
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(result, expected)


def test_training_stops_when_the_validation_loss_does_and_the_best_weights_win(tmp_path):
    watched, losses = Watched(tmp_path), iter([3.0, 2.0, 2.5, 2.1, 0.0])
    result = watched.fit(validate=lambda network: next(losses), patience=2)
    assert len(watched.weights) == 4 * EPOCH
    torch.testing.assert_close(result, watched.weights[2 * EPOCH])
    table = pd.read_csv(tmp_path / "history.csv")
    assert table["validation"].dropna().tolist() == [3.0, 2.0, 2.5, 2.1]


def test_early_stopping_never_sees_the_held_out_fold(tmp_path, monkeypatch):
    store, seen = CohortStore(write_packed_cohort(tmp_path)), []

    def spy(store, network, positions, fabric):
        seen.append(set(positions))
        return 1.0 / len(seen)

    monkeypatch.setattr(classifiers, "validation_loss", spy)
    run = Run(launch("cpu", 1, "fp32", 0), 0, tmp_path / "history.csv", Checkpoint(None, stage="test"))
    settings = ClassifierSettings(width=4, epochs=2, patience=1)
    _, predictions = classifiers.fit_classifier(store, 1, settings, run)
    assert len(seen) == 2
    validation = set(predictions.index[predictions["split"] == "validation"])
    assert seen[0] == validation
    assert not validation & set(store.positions(1, held_out=True))


def test_validation_loss_is_the_mean_of_both_groups(tmp_path):
    store = CohortStore(write_packed_cohort(tmp_path))
    positions = store.positions(0, held_out=True)[:3]  # two controls, one case

    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((len(x),), 2.0)

    loss = classifiers.validation_loss(store, Constant(), positions, launch("cpu", 1, "fp32", 0))
    assert loss == pytest.approx((torch.log1p(torch.tensor(2.0).exp()) + torch.log1p(torch.tensor(-2.0).exp())) / 2)


def test_it_is_seen_while_it_runs(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "counterwarp"):
        watched = Watched(tmp_path)
        watched.fit()
    assert [len(table) for table in watched.tables] == [0, *range(2, STEPS + 1)]  # the names, and a row per step
    assert watched.tables[1][0] == "step,total"
    lines = [record.message for record in caplog.records if record.message.startswith("step")]
    assert lines[0].startswith(f"step 1/{STEPS}  total ")
    assert all("scans/s" in line and "GiB" in line and line.endswith(" left") for line in lines)


def test_on_a_terminal_a_bar_shows_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    Watched(tmp_path).fit()
    shown = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in shown
    assert "scans/s" in shown


def test_tensorboard_if_installed(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    watched = Watched(tmp_path)
    watched.fit()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("total")
    assert [event.step for event in events] == list(range(1, STEPS + 1))


def test_in_mixed_precision_weights_and_losses_stay_float32(tmp_path):
    watched, exact = Watched(tmp_path, "bf16"), Watched(tmp_path)
    result, expected = watched.fit(), exact.fit()
    assert result.dtype == torch.float32
    assert watched.kinds == {torch.float32}
    assert not torch.equal(result, expected)
    torch.testing.assert_close(result, expected, atol=0.1, rtol=0)  # 8 bits of mantissa


@pytest.mark.parametrize(
    ("device", "devices", "precision", "what"),
    [("cpu", 1, "fp16", "fp16"), ("cuda", 10_000, "auto", "expected 10000 GPUs")],
)
def test_what_a_machine_cannot_do_is_refused(device, devices, precision, what):
    with pytest.raises(InputError, match=what):
        launch(device, devices, precision, 0)


def test_a_scan_draws_the_same_whoever_computes_it():
    whole = Draws(3, 8, slice(None))
    one, two = whole.normal(2, 5), whole.normal(4)
    part = Draws(3, 8, slice(2, 4))
    assert torch.equal(part.normal(2, 5), one[2:4])
    assert torch.equal(part.normal(4), two[2:4])


def test_in_one_process_batch_norm_is_pytorchs():
    x = torch.randn(4, 3, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = BatchNorm(3), nn.BatchNorm3d(3)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_batches_are_read_ahead_in_order_and_a_failure_of_reading_is_one_of_training():
    taken = []

    def reading():
        for number in range(4):
            taken.append(number)
            yield number
        raise OSError("images.npy: input/output error")

    ahead = read_ahead(reading())
    assert [next(ahead) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="input/output"):
        next(ahead)
    assert taken == [0, 1, 2, 3]
    assert list(read_ahead(range(3))) == [0, 1, 2]


def test_batches_that_cannot_be_divided_are_refused(tmp_path):
    store = CohortStore(write_packed_cohort(tmp_path))
    fabric = launch("cpu", 1, "fp32", 0)
    with pytest.raises(InputError, match=r"8 scans .* 1 processes x 3 parts"):
        training_batches(store, store.positions(0, held_out=False), ClassifierSettings(accumulation=3), 0, fabric)


class Brightness(nn.Module):
    """Calls a scan a case's if it is brighter than a threshold."""

    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def forward(self, images):
        return images.flatten(1).mean(1) - self.threshold


def test_only_correct_scans_are_those_whose_logit_has_their_groups_sign(tmp_path):
    store = CohortStore(write_packed_cohort(tmp_path))
    brightness = store.images.astype(float).mean(axis=(1, 2, 3))  # of controls about 0, of cases about 1
    positions, device = store.positions(0, held_out=False), torch.device("cpu")
    everybody = classifiers.correctly_classified(store, Brightness(0.5), positions, device)
    assert list(everybody) == list(positions)
    threshold = brightness[positions[1::2]].max() - 1e-4
    right = classifiers.correctly_classified(store, Brightness(threshold), positions, device)
    assert len(right) == len(positions) // 2 + 1
    with pytest.raises(InputError, match=r"no training scan of one group right, so --simulator\.only_correct"):
        classifiers.correctly_classified(store, Brightness(9.0), positions, device)


def test_a_rare_group_counts_as_much_as_a_common_one(tmp_path, monkeypatch):
    """Images that say nothing: the best answer is logit 0, not the log of the groups' sizes, which is below -1."""
    store = CohortStore(write_packed_cohort(tmp_path, scans=60))
    index = store.index.assign(is_case=(np.arange(60) % 10 < 2).astype(int))
    index.to_csv(tmp_path / "index.csv", index=False)
    np.save(tmp_path / "images.npy", np.zeros((60, *store.grid.shape), np.float16))
    settings = ClassifierSettings(width=4, epochs=30, batch_size=60, learning_rate=0.03, noise=0.0, dropout=0.0)

    def logit():
        run = Run(launch("cpu", 1, "fp32", 0), 0, tmp_path / "history.csv", Checkpoint(None, stage="test"))
        return float(classifiers.fit_classifier(CohortStore(tmp_path), 0, settings, run)[1]["logit"].mean())

    assert abs(logit()) < 0.1
    monkeypatch.setattr(classifiers, "case_weight", lambda *_: torch.tensor(1.0))
    assert logit() < -0.5


def test_augmentation_that_is_off_leaves_scans_as_they_are():
    images = torch.randn(2, 1, 8, 8, 8)
    assert augment(images, (4.0,) * 3, 0.0, 0.0, 0.0, Draws(0, 2, slice(None))) is images
    for on in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.1)):
        assert not torch.allclose(augment(images, (4.0,) * 3, *on, Draws(0, 2, slice(None))), images)
