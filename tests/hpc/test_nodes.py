"""A training that Slurm starts on two nodes ends with the weights of one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from unit.packed import write_packed_cohort

pytestmark = pytest.mark.hpc
SRUN = ("srun", "--partition=both", "--nodes=2", "--ntasks-per-node=1")
TOLERANCE = 1e-4  # as in tests/unit/test_parallel.py


def test_srun_over_two_nodes_trains_the_classifier_of_one_process(cluster, tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    write_packed_cohort(cohort)
    train = (
        Path(sys.executable).with_name("counterwarp"), "train-classifier", "--cohort", cohort, "--fold", 0,
        "--seed", 1, "--device", "cpu", "--width", 8, "--batch-size", 4, "--epochs", 10,
    )  # fmt: skip
    # the cluster's node names mean nothing to a resolver; on a real one the first node's does
    environment = os.environ | cluster.environment | {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    for launcher, output in (((), "one"), (SRUN, "two")):
        command = list(map(str, [*launcher, *train, "--output", tmp_path / output]))
        result = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert result.returncode == 0, result.stderr
    one, two = (load_file(tmp_path / output / "classifier.safetensors") for output in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=TOLERANCE, err_msg=name)
