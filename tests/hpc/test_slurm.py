"""The pipeline through a real Slurm: what runs where, with what. Stub runs, for the wiring."""

import pytest
from placement import MAPS, TRAININGS, assert_on_gpus, placements


@pytest.mark.parametrize(
    ("profiles", "maps_device", "on_gpus"),
    [
        pytest.param("slurm,gpu,test", "cpu", TRAININGS, marks=pytest.mark.pipeline),
        pytest.param("test,gpu,slurm", "cuda", TRAININGS | MAPS, marks=pytest.mark.hpc),
    ],
)
def test_trainings_go_to_the_gpu_partition_and_maps_if_asked(
    cluster, submit, tiny_cohort, tmp_path, profiles, maps_device, on_gpus
):
    result = submit(tmp_path, profiles, "-stub-run", "--input", tiny_cohort, "--maps_device", maps_device)
    assert result.returncode == 0, result.stdout + result.stderr
    found = placements(tmp_path)
    assert_on_gpus(found, on_gpus)
    ours = [job for job in cluster.jobs() if job["WorkDir"].startswith(str(tmp_path))]
    assert len(ours) == len(found)
    assert {job["JobState"] for job in ours} == {"COMPLETED"}
    # the training tasks' own cores and memory, cut by the site's limits
    assert {job["Tres"].partition(",node")[0] for job in ours if job["Partition"] == "gpu"} == {"cpu=2,mem=4G"}


@pytest.mark.hpc
def test_account_and_extra_options_reach_every_job(submit, tiny_cohort, tmp_path):
    result = submit(
        tmp_path, "gpu,slurm,test", "-stub-run", "--input", tiny_cohort, "--until", "classifier",
        "--slurm_account", "mylab", "--slurm_extra", "--nice=7 --comment=counterwarp", "--slurm_gres", "gpu:fake",
        "--devices", 2,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    for process, _, _, gpu in placements(tmp_path):
        assert gpu == ("0,1" if process in TRAININGS else "none")
    for script in tmp_path.glob("work/*/*/.command.run"):
        assert "#SBATCH --account=mylab --nice=7 --comment=counterwarp" in script.read_text(encoding="utf-8").replace(
            "--gres=gpu:fake:2 ", ""
        )
