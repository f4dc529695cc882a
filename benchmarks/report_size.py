"""Size of a large cohort's report, and the time a browser takes to open it.

    python benchmarks/report_size.py RESULTS [--participants 500] [--pages 5]

A finished run is replicated: copies of its scans under new names (hard links, beside RESULTS) until the cohort is large
enough. Pages of participants are alike, so only some are written (the report links to all). The loading time is the one
that headless Chromium notes, from the start of navigation to the end of the load event.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from counterwarp.report.participants import write_pages
from counterwarp.report.results import Results
from counterwarp.stages import write_report as stage

NAMES = ("scan_id", "participant_id")
PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const ms = performance.getEntriesByType("navigation")[0].loadEventEnd
  document.documentElement.innerHTML = `loaded in ${ms} ms`
}))
</script>"""
LIMITS = {"report_mb": 15.0, "participant_page_mb": 3.0, "load_seconds": 3.0}


def replicate(results: Path, folder: Path, participants: int) -> None:
    """A results folder with every scan's files linked, and its rows repeated, under new names."""
    cohort = pd.read_csv(next(results.rglob("cohort.csv")), dtype=dict.fromkeys(NAMES, str))
    scans = list(cohort["scan_id"])
    copies = -(-participants // len(scans))
    for path in (p for p in results.rglob("*") if p.is_file()):
        if path.parent == results or (path.parent.name in ("participants", "figures") and path.suffix == ".html"):
            continue
        target = folder / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        owner = next((scan for scan in scans if path.name.startswith(f"{scan}_")), None)
        if path.suffix == ".csv":
            repeat_rows(path, target, copies)
        elif path.name == "comparison.json":
            target.write_text(
                json.dumps(repeat_people(json.loads(path.read_text(encoding="utf-8")), copies)), encoding="utf-8"
            )
        elif owner is None:
            target.hardlink_to(path.resolve())
        else:
            for copy in range(copies):
                link(path, target.with_name(renamed(owner, copy) + path.name.removeprefix(owner)), owner, copy)


def renamed(name: str, copy: int) -> str:
    """sub-01 -> sub-01x3; a session keeps its place at the end."""
    first, *rest = name.split("_", 1)
    return "_".join([f"{first}x{copy}", *rest])


def link(path: Path, target: Path, owner: str, copy: int) -> None:
    """Link a scan's file; records name the scan inside."""
    if path.suffix == ".json":
        target.write_text(
            path.read_text(encoding="utf-8").replace(f'"{owner}"', f'"{renamed(owner, copy)}"'), encoding="utf-8"
        )
    else:
        target.hardlink_to(path.resolve())


def repeat_rows(path: Path, target: Path, copies: int) -> None:
    """Repeat the rows of a table that is about scans or participants."""
    table = pd.read_csv(path, dtype=dict.fromkeys(NAMES, str))
    names = [name for name in NAMES if name in table]
    if not names:
        shutil.copy(path, target)
        return
    parts = [table.assign(**{n: table[n].map(lambda v, c=c: renamed(v, c)) for n in names}) for c in range(copies)]
    pd.concat(parts).to_csv(target, index=False)


def repeat_people(comparison: dict, copies: int) -> dict:
    """comparison.json with every participant's typicality repeated."""
    people = comparison["typicality"].items()
    return comparison | {"typicality": {renamed(name, c): value for c in range(copies) for name, value in people}}


def only(pages: int) -> Callable[..., dict[str, str]]:
    """``write_pages`` for the first scans; the names are those of all."""

    def write_some(
        folder: Path, results: Results, cohort: pd.DataFrame, explanations: pd.DataFrame, *rest: Any
    ) -> dict:
        scans = explanations["scan_id"].unique()
        write_pages(folder, results, cohort, explanations[explanations["scan_id"].isin(scans[:pages])], *rest)
        return {scan: f"{scan}.html" for scan in scans}

    return write_some


def loading_seconds(browser: str, page: Path) -> float:
    """From the start of navigation to the end of the load event, as headless Chromium notes it; the best of three."""
    probe = page.with_name("probe.html")
    probe.write_text(page.read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as profile:
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
            command += ["--disable-background-networking", f"--user-data-dir={profile}", f"file://{probe}"]
            dom = subprocess.run(command, check=True, capture_output=True, timeout=300, encoding="utf-8").stdout
            times.append(float(re.search(r"loaded in ([\d.]+) ms", dom)[1]) / 1000)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--participants", type=int, default=500)
    parser.add_argument("--pages", type=int, default=5)
    options = parser.parse_args()
    stage.write_pages = only(options.pages)
    with tempfile.TemporaryDirectory(dir=options.results.parent) as scratch:
        copied, report = Path(scratch) / "results", Path(scratch) / "report"
        replicate(options.results, copied, options.participants)
        start = time.perf_counter()
        stage.write_report([copied], report)
        pages = [path.stat().st_size / 1e6 for path in (report / "participants").iterdir()]
        found = {
            "participants": options.participants,
            "participant_page_mb": round(max(pages), 2),
            "report_mb": round((report / "report.html").stat().st_size / 1e6, 2),
            "write_seconds": round(time.perf_counter() - start, 1),
            "cpus": os.cpu_count(),
        }
        browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if browser:
            found["load_seconds"] = round(loading_seconds(browser, report / "report.html"), 2)
        too_much = [name for name, limit in LIMITS.items() if found.get(name, 0) > limit]
        print(json.dumps(found | {"limits": LIMITS, "over_the_limit": too_much}, indent=2))


if __name__ == "__main__":
    main()
