"""The test profile, every stage real, on a private Slurm: bare, with podman and with Charliecloud."""

import json

import pytest
from placement import assert_on_gpus, placements

from counterwarp.stages.compare_results import compare_results
from launcher import tasks

pytestmark = pytest.mark.hpc
TRAINED = ("models/fold-0/classifier/classifier.json", "models/fold-1/simulator/simulator.json")
PREPROCESSED = ("sub-001/anat/sub-001_desc-extraction.json", "sub-001/anat/sub-001_desc-qc.json")


def records(results, names):
    return [json.loads((results / name).read_text(encoding="utf-8")) for name in names]


def test_bare_tasks_know_their_gpu_and_their_code(bare, log):
    found = placements(bare)
    assert_on_gpus(found)
    for process, partition, node in sorted({(process, partition, node) for process, partition, node, _ in found}):
        log(f"{process}: {sum(name == process for name, *_ in found)} jobs on {node}, partition {partition}")
    trained, preprocessed = records(bare / "out", TRAINED), records(bare / "out", PREPROCESSED)
    assert {record["gpus"] for record in trained} <= {"0", "1"}
    assert {record["gpus"] for record in preprocessed} == {None}
    assert all(len(record["code"]) == 64 for record in trained + preprocessed)  # SHA-256


@pytest.fixture(scope="module")
def contained(submit, heads, container, tmp_path_factory):
    """engine -> results of a run in that engine's container, made once."""
    done = {}

    def results(engine):
        if engine not in done:
            folder = tmp_path_factory.mktemp(engine)
            image = container(engine)
            run = submit(folder, f"gpu,test,{engine},slurm", "--input", heads, "--container", image)
            assert run.returncode == 0, run.stdout + run.stderr
            done[engine] = folder / "out"
        return done[engine]

    return results


@pytest.mark.parametrize("engine", ["podman", "charliecloud"])
def test_container_runs_without_network_and_is_recorded(contained, engine):
    results = contained(engine)
    assert (results / "report.html").is_file()
    info = json.loads((results / "pipeline_info" / "run.json").read_text(encoding="utf-8"))
    assert info["container_engine"] == engine
    assert info["container_digest"].startswith("sha256:")
    for record in records(results, TRAINED + PREPROCESSED):
        assert record["code"] == f"{info['container']} {info['container_digest']}"
    assert {record["gpus"] for record in records(results, TRAINED)} <= {"0", "1"}


def test_a_second_run_in_the_same_image_repeats_nothing(contained, submit, heads, container):
    results = contained("podman")
    again = submit(
        results.parent, "gpu,test,podman,slurm", "-resume", "--input", heads, "--container", container("podman")
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert {status for _, status in tasks(results)} == {"CACHED"}


def test_two_runs_in_the_same_image_are_bitwise_equal(contained):
    first, second = contained("podman"), contained("charliecloud")
    digests = {
        json.loads((run / "pipeline_info/run.json").read_text(encoding="utf-8"))["container_digest"]
        for run in (first, second)
    }
    assert len(digests) == 1
    found = compare_results(first, second)
    assert found.differences == {}
    assert {"masks", "transforms", "weights", "images and maps", "tables"} <= found.equal.keys()
