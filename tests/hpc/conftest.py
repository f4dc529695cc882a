"""Built once for all tests of this folder: a cluster, a cohort of simulated heads, the container image."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster, why_not

from counterwarp import __version__
from counterwarp.core.settings import SimulationSettings
from counterwarp.stages.simulate_cohort import simulate_cohort
from launcher import ROOT, run

HERE = Path(__file__).parent
PARTICIPANTS, HEAD_RESOLUTION = 8, 3.0  # mm
GPU_SPECIFICATION = Path("/var/run/cdi/counterwarp-test.json")
LOG = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def log(request):
    """``log(line)``: a line of the report at the end."""
    return request.config.stash.setdefault(LOG, []).append


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash.get(LOG, []):
        terminalreporter.section("what Slurm ran")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running private Slurm; the test is skipped, with the reason, where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="session")
def submit(cluster):
    """Run the pipeline on the cluster: ``submit(folder, "slurm,gpu,test", *arguments)``."""

    def run_there(folder, profiles, *arguments):
        # there is no GPU in the fake ones
        fixed = ("-c", HERE / "site.config", "-profile", profiles, "--device", "cpu", "--outdir", folder / "out")
        partitions = ("--slurm_partition", "short", "--slurm_gpu_partition", "gpu")
        return run(folder, *fixed, *partitions, *arguments, **cluster.environment)

    return run_there


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Samplesheet of simulated whole heads."""
    folder = tmp_path_factory.mktemp("heads")
    # a classifier learns from two of them: they hardly differ but by the effect
    settings = SimulationSettings(effect=1.3, variation=0.1, dose_sd=0.05, rotation=3.0, bias=0.05)
    simulate_cohort(folder, PARTICIPANTS, 1, HEAD_RESOLUTION, None, 2, settings)
    return folder / "cohort.csv"


@pytest.fixture(scope="session")
def bare(submit, heads, tmp_path_factory):
    """A finished run of the test profile on the cluster, without a container."""
    folder = tmp_path_factory.mktemp("bare")
    result = submit(folder, "test,slurm,gpu", "--input", heads)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="session")
def image(cluster):
    """Name of the container image, built from this clone; a fake GPU for the container engine."""
    for command in ("podman", "runc", "mmdebstrap"):
        if shutil.which(command) is None:
            pytest.skip(f"no {command} (Debian: apt-get install podman runc mmdebstrap)")
    built = subprocess.run([HERE / "build_image.sh"], capture_output=True, encoding="utf-8", check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    nodes = [{"path": "/dev/nvidia0", "hostPath": str(cluster.folder / "dev" / "nvidia0")}]
    devices = [{"name": "all", "containerEdits": {"deviceNodes": nodes}}]
    GPU_SPECIFICATION.parent.mkdir(parents=True, exist_ok=True)
    GPU_SPECIFICATION.write_text(
        json.dumps({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices}), encoding="utf-8"
    )
    os.environ["CONTAINERS_CONF"] = str(HERE / "containers.conf")
    yield f"localhost/counterwarp:{__version__}"
    GPU_SPECIFICATION.unlink()


@pytest.fixture(scope="session")
def container(image, tmp_path_factory):
    """engine -> value of --container."""
    folder = tmp_path_factory.mktemp("charliecloud") / "image"

    def of(engine):
        if engine != "charliecloud":
            return image
        if shutil.which("ch-run") is None:
            pytest.skip("no ch-run (Debian: apt-get install charliecloud)")
        if not folder.exists():
            subprocess.run([ROOT / "containers" / "charliecloud.sh", image, folder], check=True)
        return folder

    return of
