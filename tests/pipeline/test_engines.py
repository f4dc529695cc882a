"""What a container engine is asked to do: GPU, checkpoint folder, environment.

The engine is a script in its place that notes its arguments and runs the task without a container, so that the
engines that cannot be installed everywhere are tested too. Real containers: ``tests/hpc``.
"""

import json
import os
import re
import subprocess

import pytest

from launcher import ROOT, run

GPU = "TRAIN_CLASSIFIER"
# the command follows the image; every other call (docker rm, docker inspect) succeeds
ENGINE = """#!/bin/bash
[[ " $* " == *" {image} "* ]] || exit 0
[ "$1" != image ] || {{ echo sha256:0123; exit; }}
{{ printf '%s\\n' "$*"; env | grep CUDA; }} > engine.txt
while [ "$1" != {image} ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def calls(tiny_cohort, tmp_path):
    """Run up to the classifiers with an engine; (arguments of each task of a process, run.json)."""

    def run_with(engine, image):
        script = tmp_path / "bin" / engine
        script.parent.mkdir()
        script.write_text(ENGINE.format(image=image), encoding="utf-8")
        script.chmod(0o755)
        result = run(
            tmp_path, "-stub-run", "-profile", f"test,gpu,{engine}", "--container", image, "--input", tiny_cohort,
            "--outdir", tmp_path / "out", "--until", "classifier", "--checkpoints", tmp_path / "kept",
            PATH=f"{script.parent}:{os.environ['PATH']}", CUDA_VISIBLE_DEVICES="3",
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        found = {}
        for note in tmp_path.glob("work/*/*/engine.txt"):
            header = (note.parent / ".command.run").read_text(encoding="utf-8")
            process = re.search(r"### name: '(\w+)", header)[1]
            found.setdefault(process, []).append(note.read_text(encoding="utf-8"))
        return found, json.loads((tmp_path / "out/pipeline_info/run.json").read_text(encoding="utf-8"))

    return run_with


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("engine", "gpu", "mount"),
    [
        pytest.param("apptainer", "--nv", "-B"),
        pytest.param("singularity", "--nv", "-B", marks=pytest.mark.hpc),
        pytest.param("docker", "--gpus all", "-v", marks=pytest.mark.hpc),
    ],
)
def test_training_gets_the_gpu_and_the_checkpoints_in_the_container(calls, tmp_path, engine, gpu, mount):
    image = tmp_path / "image.sif"
    image.write_bytes(b"an image")
    found, info = calls(engine, image if engine != "docker" else "counterwarp:test")
    assert info["container_engine"] == engine and info["container_digest"].startswith("sha256:")
    assert {GPU, "EXTRACT_BRAIN", "PACK_COHORT"} <= found.keys()
    for process, commands in found.items():
        for command in commands:
            assert (f" {gpu} " in command) == (process == GPU), command
            assert "CUDA_VISIBLE_DEVICES" in command
            assert (f"{mount} {tmp_path}/kept:{tmp_path}/kept" in command) == (process == GPU), command


@pytest.mark.pipeline
@pytest.mark.parametrize("work", ["test", pytest.param("demo", marks=pytest.mark.hpc)])
@pytest.mark.parametrize("order", [pytest.param((2, 0, 3, 1)), pytest.param((3, 2, 1, 0), marks=pytest.mark.hpc)])
def test_profiles_mean_the_same_in_any_order(work, order):
    profiles = [work, "slurm", "gpu", "apptainer"]
    first = configuration(profiles)
    assert configuration(profiles[number] for number in order) == first
    for line in ("process.executor = 'slurm'", "apptainer.enabled = true", "params.device = 'cuda'"):
        assert line in first


def configuration(profiles):
    """What Nextflow makes of nextflow.config, a line per setting."""
    command = ["nextflow", "config", "-flat", "-sort", "-profile", ",".join(profiles), ROOT]
    environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
