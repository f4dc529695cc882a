"""Where tasks ran, as noted by the task itself (``site.config``)."""

TRAININGS = {"TRAIN_CLASSIFIER", "TRAIN_SIMULATOR"}
MAPS = {"MAP_JACOBIANS", "MAP_SALIENCY"}


def placements(where):
    """(process, partition, node, CUDA_VISIBLE_DEVICES) of every task below a run's work folder."""
    found = []
    for note in where.glob("work/*/*/placement.txt"):
        header = (note.parent / ".command.run").read_text(encoding="utf-8")
        process = header.split("#SBATCH -J nf-")[1].split()[0].partition("_(")[0]
        found.append((process, *note.read_text(encoding="utf-8").split()))
    return found


def assert_on_gpus(found, processes=TRAININGS):
    """These run on the GPU node with a GPU of their own, all else on the other node without one."""
    assert {process for process, *_ in found} > processes
    for process, partition, node, gpu in found:
        expected = ("gpu", "gpu1") if process in processes else ("short", "cpu1")
        assert (partition, node) == expected, process
        assert gpu in {"0", "1"} if process in processes else gpu == "none", process
