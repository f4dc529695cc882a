"""The table of hours that ``benchmarks/sizing.py`` makes of a run, with trainings on CPUs and on GPUs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SIZING = Path(__file__).parents[2] / "benchmarks" / "sizing.py"
TRACE = [  # process, wall clock, use of the cores
    ("EXTRACT_BRAIN (sub-1)", "36s", "100.0%"),
    ("TRAIN_CLASSIFIER (fold-0)", "1m", "150.0%"),
    ("TRAIN_SIMULATOR (fold-0)", "1h", "200.0%"),
    ("MAP_JACOBIANS (fold-0)", "18s", "200.0%"),
]


def write_run(folder, device, devices):
    """A run of one scan and one fold, of as many steps as there are by default."""
    for name, rows in (("classifier", 60), ("simulator", 300)):
        model = folder / "models" / "fold-0" / name
        model.mkdir(parents=True)
        (model / "history.csv").write_text("total\n" + "1\n" * rows)
    inputs = {"device": device, "devices": devices}
    (folder / "models/fold-0/simulator/simulator.json").write_text(json.dumps({"inputs": inputs}))
    (folder / "pipeline_info/cohort").mkdir(parents=True)
    (folder / "pipeline_info/cohort/index.csv").write_text("scan_id\nsub-1\n")
    rows = ["name\tstatus\trealtime\t%cpu", *("\t".join((n, "COMPLETED", time, cpu)) for n, time, cpu in TRACE)]
    (folder / "pipeline_info/trace.txt").write_text("\n".join(rows) + "\n")


# 375 steps a fold of 100 scans in 2 folds (60 epochs, 8 scans a step) at 1.5 CPU or 4 GPU seconds; 2 CPU h, 4 GPU h
@pytest.mark.parametrize(
    ("device", "devices", "unit", "hours"), [("cpu", 1, "CPU", "4.3 (2.0)"), ("cuda", 4, "GPU", "8.8 (4.0)")]
)
def test_hours_of_trainings_are_of_cpus_or_gpus(tmp_path, device, devices, unit, hours):
    write_run(tmp_path, device, devices)
    command = [sys.executable, SIZING, tmp_path, "--folds", "2"]
    lines = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()
    assert f"training, {unit} h" in lines[0]
    assert [cell.strip() for cell in lines[2].split("|")[1:5]] == ["100", "1.0", hours, "1.0"]  # 36 s a scan
