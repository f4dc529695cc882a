"""Brain extraction against labels: overlap, CPU seconds and memory of every head.

    python benchmarks/brain_extraction.py ../shared/data/ixi --heads 8 --jobs 1 --output /tmp/extraction
    ... --other brainextractor      another extractor on the same heads, called with the scan and its output file
    ... --results results           the masks and verdicts of a run of the pipeline, nothing is computed

The folder holds ``T1w/{scan}_T1w.nii.gz`` and ``labels/{scan}_dseg.nii.gz`` on the same grid; the true brain is where
the label is above 0, closed by 3 voxels and filled (sulci and ventricles are brain). Heads are taken at even
distances from the sorted list. Each stage runs as its own process, as in the pipeline. A run that was broken off
continues: heads whose row is in the output folder are not measured again.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import nibabel as nib
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.ndimage import binary_closing, binary_fill_holes

from counterwarp.cohort.review import LOST, read_verdict
from counterwarp.core import layout
from counterwarp.core.files import FileTree

COMMAND = Path(sys.executable).with_name("counterwarp")
CLOSING = 3  # voxels
POOR, GOOD = 0.93, 0.95  # Dice: below the one a head must be flagged, from the other on it must not FAIL
COLUMNS = ("dice", "too_much", "missed", "extract_cpu_s", "align_cpu_s", "peak_gib", "status")


def true_brain(labels: Path) -> np.ndarray:
    """(X, Y, Z) bool: labelled voxels, closed and filled."""
    labelled = np.asarray(nib.Nifti1Image.from_filename(str(labels)).dataobj) > 0
    closed = binary_closing(np.pad(labelled, CLOSING + 1), iterations=CLOSING)
    return binary_fill_holes(closed)[tuple(slice(CLOSING + 1, -CLOSING - 1) for _ in range(3))]


def run(*arguments: str, command: str = str(COMMAND)) -> tuple[float, float]:
    """Run a command; (CPU seconds, peak GiB)."""
    process = subprocess.Popen([command, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} {' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def compare(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Overlap, and what is too much and missed as shares of the true brain."""
    wrong = {"too_much": found & ~truth, "missed": truth & ~found}
    return {"dice": overlap(found, truth), **{name: float(w.sum() / truth.sum()) for name, w in wrong.items()}}


def read_mask(path: Path) -> np.ndarray:
    """(X, Y, Z) bool: above 0."""
    return np.asarray(nib.Nifti1Image.from_filename(str(path)).dataobj) > 0


def measure_other(command: str, t1w: Path, truth: np.ndarray, output: Path) -> dict[str, float]:
    """Another extractor's brain of the same head."""
    brain = output / f"other_{t1w.name}"
    cpu, _ = run(str(t1w), str(brain), command=command)
    return {"other_dice": overlap(read_mask(brain), truth), "other_cpu_s": cpu}


def row(scan: str, data: Path, templates: Path, output: Path, other: str | None) -> dict[str, float | str]:
    """One head's row of the table, kept as a file."""
    path = output / f"{scan}_row.json"
    if not path.exists():
        measured = {"scan": scan, **measure(scan, data, templates, output, other)}
        path.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def measure(scan: str, data: Path, templates: Path, output: Path, other: str | None) -> dict[str, float | str]:
    """Extract and align one head: overlap with the truth, costs, verdict and metrics."""
    common = ("--scan-id", scan, "--templates", str(templates))
    t1w = data / "T1w" / f"{scan}_T1w.nii.gz"
    extract_cpu, extract_gib = run("extract-brain", str(t1w), str(output), *common)
    native, mask = output / layout.native_t1w(scan), output / layout.native_mask(scan)
    brain = "--t1w", str(native), "--mask", str(mask), "--affine", str(output / layout.affine(scan))
    align_cpu, align_gib = run("align-affine", *brain, "--output", str(output), *common)
    truth = true_brain(data / "labels" / f"{scan}_dseg.nii.gz")
    record = json.loads((output / layout.quality_record(scan)).read_text(encoding="utf-8"))
    return {
        **compare(read_mask(mask), truth),
        "extract_cpu_s": extract_cpu,
        "align_cpu_s": align_cpu,
        "peak_gib": max(extract_gib, align_gib),
        "status": record["status"],
        **record["metrics"],
        **(measure_other(other, t1w, truth, output) if other else {}),
    }


def rows_of_run(results: Path, data: Path, scans: list[str]) -> list[dict[str, float | str]]:
    """Overlap and verdict of the scans that a run has extracted so far; without a mask the overlap is 0."""
    files, rows = FileTree(results), []
    for scan in scans:
        mask, verdict = files / layout.native_mask(scan), read_verdict(files, scan)
        if mask.exists() or verdict.reasons != [LOST]:
            truth = true_brain(data / "labels" / f"{scan}_dseg.nii.gz")
            found = read_mask(mask) if mask.exists() else np.zeros_like(truth)
            status = "none yet" if verdict.reasons == [LOST] else verdict.status
            rows.append({"scan": scan, **compare(found, truth), "status": status, **verdict.metrics})
    return rows


def cell(value: float | str) -> str:
    """A number with three digits, or the word."""
    return value if isinstance(value, str) else f"{value:.3f}"


def print_summary(rows: list[dict], console: Console) -> None:
    """Table of the heads, worst first, then median, minimum and the shares of the verdicts."""
    measured = [column for column in rows[0] if all(column in row for row in rows)]  # a run that goes on may differ
    other = [column for column in measured if column.startswith("other_")]
    columns = [*(column for column in COLUMNS if column in measured), *other]
    table = Table("scan", *columns)
    for row in sorted(rows, key=lambda row: row["dice"]):
        table.add_row(row["scan"], *(cell(row[column]) for column in columns))
    console.print(table)
    dice = [row["dice"] for row in rows]
    console.print(f"{len(rows)} heads: Dice median {statistics.median(dice):.4f}, minimum {min(dice):.4f}")
    for column in ("too_much", "missed"):
        console.print(f"{column}: mean {statistics.mean(row[column] for row in rows):.1%}")
    if "peak_gib" in columns:
        cpu = [row["extract_cpu_s"] + row["align_cpu_s"] for row in rows]
        console.print(f"CPU s median {statistics.median(cpu):.1f}, most {max(cpu):.1f}")
        console.print(f"peak GiB {max(row['peak_gib'] for row in rows):.2f}")
    for column in other:
        console.print(f"{column}: median {statistics.median(row[column] for row in rows):.4f}")
    for status in ("PASS", "REVIEW", "FAIL"):
        console.print(f"{status}: {statistics.mean(row['status'] == status for row in rows):.1%}")
    missed = [row["scan"] for row in rows if row["dice"] < POOR and row["status"] == "PASS"]
    wronged = [row["scan"] for row in rows if row["dice"] >= GOOD and row["status"] == "FAIL"]
    good = [row["status"] for row in rows if row["dice"] >= GOOD]
    console.print(f"below {POOR} and PASS: {missed or 'none'}")
    console.print(f"at least {GOOD} and FAIL: {wronged or 'none'}; and REVIEW: {good.count('REVIEW')} of {len(good)}")


def measure_all(scans: list[str], data: Path, jobs: int, other: str | None, output: Path) -> list[dict]:
    """The rows of all heads."""
    templates = output / "templates"
    if not (templates / "templates.json").exists():
        run("prepare-templates", "--resolution", "4", "--output", str(templates))
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda scan: row(scan, data, templates, output, other), scans))


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--heads", type=int, help="How many heads [all].")
@click.option("--jobs", type=int, default=1, show_default=True, help="Heads at a time.")
@click.option("--other", help="Command of another extractor.")
@click.option("--results", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A run to judge.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def brain_extraction(
    data: Path, heads: int | None, jobs: int, other: str | None, results: Path | None, output: Path
) -> None:
    """Print the table and write it, with the quality metrics, to OUTPUT/brain_extraction.csv."""
    output.mkdir(parents=True, exist_ok=True)
    scans = sorted(path.name.removesuffix("_T1w.nii.gz") for path in (data / "T1w").glob("*_T1w.nii.gz"))
    chosen = [scans[i] for i in np.unique(np.linspace(0, len(scans) - 1, heads or len(scans)).round().astype(int))]
    rows = rows_of_run(results, data, chosen) if results else measure_all(chosen, data, jobs, other, output)
    print_summary(rows, Console())
    with (output / "brain_extraction.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, dict.fromkeys(column for row in rows for column in row))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    brain_extraction()
