"""A training that is killed and started again ends with the weights of one that was not."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from packed import write_packed_cohort

from counterwarp.core.errors import InputError
from counterwarp.training import checkpoint as checkpoints
from counterwarp.training.checkpoint import STOPPED, Checkpoint
from counterwarp.training.data import ShuffledBatches

EPOCHS = 30
# train-classifier, saving after every step, and slow enough to be caught in the middle
COMMAND = """
import sys, time
from counterwarp.training import checkpoint, loop
checkpoint.SECONDS_BETWEEN = 0.0
update = loop._Training.update
def slow(self, number, batch):
    stopped = update(self, number, batch)
    print(len(self.rows), flush=True)
    time.sleep(0.02)
    return stopped
loop._Training.update = slow
from counterwarp.cli.main import counterwarp
counterwarp(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_packed_cohort(tmp_path_factory.mktemp("cohort"))


def train(cohort, output, folder, kill_at=None, how=signal.SIGKILL):
    """Run the command; with ``kill_at``, send a signal once that many steps are done. Returns exit code and steps."""
    arguments = [
        "train-classifier", "--cohort", cohort, "--fold", 0, "--seed", 1, "--device", "cpu", "--epochs", EPOCHS,
        "--width", 4, "--batch-size", 2, "--checkpoints", folder, "--output", output,
    ]  # fmt: skip
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        steps = []
        for line in process.stdout:
            steps.append(int(line))
            if len(steps) == kill_at:
                process.send_signal(how)
        assert process.wait() in (0, STOPPED, -signal.SIGKILL), process.stderr.read()
        return process.returncode, steps


@pytest.fixture(scope="module")
def uninterrupted(cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted")
    assert train(cohort, output, output / "checkpoints")[0] == 0
    assert not list((output / "checkpoints").iterdir())  # a complete training leaves none
    return output


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_training_goes_on_to_the_same_weights(cohort, uninterrupted, tmp_path, how):
    done = 0
    for kill_at in (3, 10):
        code, steps = train(cohort, tmp_path, tmp_path / "checkpoints", kill_at, how)
        assert code == (STOPPED if how == signal.SIGTERM else -signal.SIGKILL)
        # the step after the last that was saved; SIGKILL may lose the one that was being saved
        assert done <= steps[0] <= done + 1
        done = steps[-1]
    code, steps = train(cohort, tmp_path, tmp_path / "checkpoints")
    assert code == 0
    assert steps[0] > 10
    for name in ("classifier.safetensors", "history.csv", "predictions.csv"):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes(), name


def test_checkpoints_of_other_settings_are_not_taken(tmp_path):
    first = Checkpoint(tmp_path, stage="train_classifier", settings={"epochs": 3})
    first.save({"rows": [1.0]})
    assert Checkpoint(tmp_path, stage="train_classifier", settings={"epochs": 4}).load() is None
    assert Checkpoint(tmp_path, stage="train_classifier", settings={"epochs": 3}).load() == {"rows": [1.0]}


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path):
    mine = Checkpoint(tmp_path, stage="train_simulator", seed=1)
    mine.save({"weights": torch.ones(1000)})
    content = mine.path.read_bytes()
    mine.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"train_simulator_.*\.pt: expected a checkpoint, but it cannot be read"):
        mine.load()
    other = Checkpoint(tmp_path, stage="train_simulator", seed=2)
    other.save({"weights": torch.ones(1)})
    other.path.replace(mine.path)
    with pytest.raises(InputError, match="made by another task"):
        mine.load()
    mine.path.write_bytes(json.dumps({"key": mine.key}).encode())
    with pytest.raises(InputError, match="cannot be read"):
        mine.load()


def test_a_crash_while_saving_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    mine = Checkpoint(tmp_path, stage="train_simulator")
    mine.save({"step": 1})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoints.torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        mine.save({"step": 2})
    monkeypatch.undo()
    assert mine.load() == {"step": 1}


def test_batches_are_the_same_whatever_the_start():
    def take(start, n):
        batches = ShuffledBatches(7, 2, seed=5)
        batches.start = start
        return [batch for _, batch in zip(range(n), batches, strict=False)]

    whole = take(0, 12)
    for start in (1, 3, 4, 8):
        assert take(start, 12 - start) == whole[start:]
    for epoch in (0, 3, 6, 9):  # three batches; no scan twice in an epoch
        assert len({scan for batch in whole[epoch : epoch + 3] for scan in batch}) == 6
    assert whole[:3] != whole[3:6]


def test_without_a_folder_sigterm_ends_the_process_as_usual():
    before = signal.getsignal(signal.SIGTERM)
    with Checkpoint(None, stage="x").listening():
        assert signal.getsignal(signal.SIGTERM) is before


def test_saving_is_due_now_and_then(tmp_path, monkeypatch):
    mine = Checkpoint(tmp_path, stage="x")
    assert not mine.due
    now = time.monotonic()
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now + checkpoints.SECONDS_BETWEEN + 1)
    assert mine.due
    assert not Checkpoint(None, stage="x").due
