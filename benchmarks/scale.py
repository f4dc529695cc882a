"""Stub run of a large cohort: what the scheduler and the file system bear.

    python benchmarks/scale.py --scans 2000 --folds 5          (about 12 minutes on 2 cores)

Every task is started, watched, published and cached as in a real run, but only creates empty files. Printed: time
per task beyond the task's own, peak memory of the head job (resident set of Nextflow's Java), files written and the
largest folder. The heap is limited as docs/running.md says.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from launcher import write_tiny_cohort  # noqa: E402

HEAP = "-Xms256m -Xmx1g"


def watch(command: list[str], where: Path) -> tuple[float, int]:
    """Run to the end; (seconds, peak resident memory in bytes)."""
    environment = os.environ | {"PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "NXF_OPTS": HEAP}
    begin, peak = time.monotonic(), 0
    head = subprocess.Popen(command, cwd=where, env=environment)
    while head.poll() is None:
        for line in Path(f"/proc/{head.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(1)
    if head.returncode:
        sys.exit(f"nextflow: exit {head.returncode}, see {where}/.nextflow.log")
    return time.monotonic() - begin, peak


def count_files(folder: Path) -> dict[str, int | str]:
    """Files and folders below a folder, and the folder with the most entries of its own."""
    entries, largest = 0, (0, "")
    for base, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        largest = max(largest, (len(folders) + len(files), str(Path(base).relative_to(folder))))
    return {"entries": entries, "largest_folder_entries": largest[0], "largest_folder": largest[1]}


def seconds(text: str) -> float:
    """Nextflow's durations: '1m 2s', '850ms', '1.2s'."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = (part.rstrip("dhms") for part in text.split())
    return sum(float(number) * units[part[len(number) :]] for number, part in zip(parts, text.split(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=2000)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--profile", default="test")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        cohort = where / "cohort"
        cohort.mkdir()
        write_tiny_cohort(cohort, arguments.scans)
        command = ["nextflow", "-q", "run", str(ROOT / "main.nf"), "-stub-run", "-profile", arguments.profile]
        command += [
            "--input",
            str(cohort / "cohort.csv"),
            "--outdir",
            str(where / "out"),
            "--folds",
            str(arguments.folds),
        ]
        elapsed, peak = watch(command, where)
        again, peak_again = watch([*command, "-resume"], where)
        with (where / "out/pipeline_info/trace.txt").open(encoding="utf-8") as file:
            tasks = list(csv.DictReader(file, delimiter="\t"))
        overheads = [seconds(task["duration"]) - seconds(task["realtime"]) for task in tasks]
        result = {
            "scans": arguments.scans,
            "folds": arguments.folds,
            "tasks": len(tasks),
            "minutes": round(elapsed / 60, 1),
            "seconds_per_task": round(elapsed / len(tasks), 3),
            "overhead_seconds_per_task": round(statistics.median(overheads), 3),
            "head_job_peak_GiB": round(max(peak, peak_again) / 2**30, 2),
            "resume_minutes": round(again / 60, 1),
            "resumed_cached": sum(task["status"] == "CACHED" for task in tasks),
            "work": count_files(where / "work"),
            "results": count_files(where / "out"),
            "cores": os.cpu_count(),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
