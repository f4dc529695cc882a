"""Trainings that several processes share end with the weights of one process, whoever starts the processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packed import write_packed_cohort
from safetensors.numpy import load_file

from counterwarp.training.checkpoint import STOPPED

COMMAND = Path(sys.executable).with_name("counterwarp")
TOLERANCE = 1e-4  # float32 sums in another order, through a few tens of AdamW steps; weights are around 0.1


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_packed_cohort(tmp_path_factory.mktemp("cohort"))


def train(kind, cohort, output, *options, **environment):
    """Start ``counterwarp train-...``; returns the process."""
    arguments = ["--cohort", cohort, "--fold", 0, "--seed", 1, "--device", "cpu", "--output", output, *options]
    command = [COMMAND, f"train-{kind}", "--width", 8, "--batch-size", 4, *arguments]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, encoding="utf-8", env=variables)


def finish(*processes):
    """Wait for processes that share a training; what they logged."""
    logs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), logs
    return "".join(logs)


def train_simulator(cohort, output, *options, **environment):
    """A simulator against a classifier that was not trained: its margin is set by hand."""
    classifier = output.parent / "classifier"
    if not classifier.exists():
        finish(train("classifier", cohort, classifier, "--epochs", 1))
        (classifier / "classifier.json").write_text(json.dumps({"logit_gap": 1.0}), encoding="utf-8")
    return train("simulator", cohort, output, "--classifier", classifier, "--steps", 6, *options, **environment)


def assert_same(one, two, kind):
    first, second = (load_file(folder / f"{kind}.safetensors") for folder in (one, two))
    for name in first:
        np.testing.assert_allclose(second[name], first[name], atol=TOLERANCE, err_msg=name)
    rows = [pd.concat(map(pd.read_csv, sorted(folder.rglob("history.csv")))) for folder in (one, two)]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-3, atol=1e-5)


def under_slurm(task):
    """What srun tells a task of two on two nodes."""
    return {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NAME": "test", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": str(task),
        "SLURM_NODEID": str(task), "SLURM_LOCALID": "0", "SLURM_NODELIST": "localhost",
    }  # fmt: skip


@pytest.mark.parametrize(("networks", "epochs"), [(1, 10), (2, 3)])
def test_two_processes_train_the_classifier_of_one(cohort, tmp_path, networks, epochs):
    options = ("--epochs", epochs, "--patience", 8, "--ensemble", networks)
    finish(train("classifier", cohort, tmp_path / "one", *options))
    log = finish(train("classifier", cohort, tmp_path / "two", *options, "--devices", 2))
    assert log.count("INFO step 1/") == networks  # the first process alone speaks
    assert_same(tmp_path / "one", tmp_path / "two", "classifier")
    predictions = [pd.read_csv(tmp_path / folder / "predictions.csv")["logit"] for folder in ("one", "two")]
    np.testing.assert_allclose(predictions[1], predictions[0], atol=1e-2)


def test_two_nodes_train_the_simulator_of_one_process(cohort, tmp_path):
    finish(train_simulator(cohort, tmp_path / "one"))
    finish(*(train_simulator(cohort, tmp_path / "two", **under_slurm(task)) for task in (0, 1)))
    assert_same(tmp_path / "one", tmp_path / "two", "simulator")


def test_two_processes_that_are_stopped_go_on_as_one(cohort, tmp_path):
    options = ("--epochs", 60, "--checkpoints", tmp_path / "checkpoints")
    process = train("classifier", cohort, tmp_path / "stopped", *options, "--devices", 2)
    history = tmp_path / "stopped" / "history.csv"
    while process.poll() is None and not (history.exists() and history.read_text(encoding="utf-8").count("\n") > 5):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)  # the first process alone
    _, log = process.communicate(timeout=120)
    assert process.returncode == STOPPED, log
    assert "continuing from" in finish(train("classifier", cohort, tmp_path / "stopped", *options))
    finish(train("classifier", cohort, tmp_path / "whole", *options))
    assert_same(tmp_path / "whole", tmp_path / "stopped", "classifier")


def test_a_batch_that_cannot_be_divided_is_refused(cohort, tmp_path):
    process = train("classifier", cohort, tmp_path, "--accumulation", 3)
    _, log = process.communicate()
    assert process.returncode == 1
    assert "4 scans" in log
    assert "--accumulation" in log
