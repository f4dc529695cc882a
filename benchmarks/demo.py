"""Run `make demo` and print its minutes, its peak memory and what it reached.

    python benchmarks/demo.py              (in a fresh clone, after make setup, on idle cores)

Memory is the proportional set size (PSS) summed over make and everything it starts, sampled once a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def processes_below(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for process in found:
        found += parents.get(process, [])
    return found


def memory_below(pid: int) -> int:
    """PSS in bytes of a process and its descendants."""
    total = 0
    for process in processes_below(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def main() -> None:
    begin, peak = time.monotonic(), 0
    demo = subprocess.Popen(["make", "demo"], cwd=ROOT, stdout=subprocess.DEVNULL)
    while demo.poll() is None:
        peak = max(peak, memory_below(demo.pid))
        time.sleep(1)
    if demo.returncode:
        sys.exit(f"make demo: exit {demo.returncode}")
    result = {
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "peak_memory_GiB": round(peak / 2**30, 2),
        "cores": os.cpu_count(),
        "evaluation": json.loads((ROOT / "results/evaluation.json").read_text(encoding="utf-8")),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
