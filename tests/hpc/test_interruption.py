"""A training that Slurm stops, by the time limit or by scancel, continues on retry and ends with the same weights."""

import csv
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.hpc
SECONDS = 150  # of training: Slurm's shortest limit is one minute, and it warns up to 90 s before
JOB = "nf-TRAIN_SIMULATOR_(fold-{fold})"
LIMIT = "process { withName: TRAIN_SIMULATOR { time = { fold == 0 && task.attempt == 1 ? 2.min : 1.h } } }\n"


def train(bare, fold, steps, output):
    """The same training without interruption; seconds."""
    cohort = next(bare.glob("work/*/*/cohort/images.npy")).parent
    command = ["counterwarp", "train-simulator", "--cohort", cohort, "--fold", fold, "--seed", 1, "--device", "cpu"]
    command += ["--classifier", bare / "out" / "models" / f"fold-{fold}" / "classifier"]
    command += ["--width", 8, "--steps", steps, "--output", output]
    begin = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, env=os.environ | {"OMP_NUM_THREADS": "2"})
    return time.monotonic() - begin


def cancel_when_running(cluster, name, after):
    """``scancel`` a job some seconds after it started."""
    while name not in cluster.running():
        time.sleep(1)
    time.sleep(after)
    cluster.cancel(name)


def attempts(results):
    """Exit codes of the attempts of both trainings, and the folder names of the last ones."""
    with (results / "pipeline_info" / "trace.txt").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["name"].startswith("TRAIN_SIMULATOR")]
    rows.sort(key=lambda row: int(row["task_id"]))
    return [[(row["exit"], row["hash"]) for row in rows if f"fold-{fold}" in row["name"]] for fold in (0, 1)]


def test_stopped_trainings_continue_and_end_with_the_same_weights(cluster, submit, bare, heads, tmp_path, log):
    # the first reads torch from disk and is not counted
    _, start, measured = (train(bare, 0, steps, tmp_path / str(number)) for number, steps in enumerate((1, 1, 41)))
    steps = int(SECONDS / (measured - start) * 40)
    (tmp_path / "limit.config").write_text(LIMIT, encoding="utf-8")
    arguments = ("-resume", "-c", tmp_path / "limit.config", "--input", heads, "--until", "simulator")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(submit, bare, "test,slurm,gpu", *arguments, "--simulator.steps", steps)
        cancel_when_running(cluster, JOB.format(fold=1), SECONDS / 3)
        result = running.result()
    assert result.returncode == 0, result.stdout + result.stderr
    by_limit, by_cancel = attempts(bare / "out")
    assert [code for code, _ in by_limit] == ["140", "0"]
    assert [code for code, _ in by_cancel] == ["143", "0"]
    for fold, ((code, _), (_, last)) in enumerate((by_limit, by_cancel)):
        messages = next(bare.glob(f"work/{last}*/.command.log")).read_text(encoding="utf-8")
        (continued,) = [line for line in messages.splitlines() if "continuing from" in line]
        log(f"TRAIN_SIMULATOR (fold-{fold}): exit {code}, then 0; {continued}")
        train(bare, fold, steps, tmp_path / f"fold-{fold}")
        name = "simulator.safetensors"
        resumed = bare / "out" / "models" / f"fold-{fold}" / "simulator" / name
        assert resumed.read_bytes() == (tmp_path / f"fold-{fold}" / name).read_bytes()
