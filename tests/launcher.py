"""Real Nextflow, started as a user starts it."""

import csv
import os
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).parents[1]
TINY_SCANS = 6


def write_tiny_cohort(folder, scans=TINY_SCANS, groups=("case", "control")):
    """Samplesheet of scans of a few large voxels, of each group in turn: enough for stub runs."""
    lines = ["participant_id,t1w,group"]
    for number in range(scans):
        data = np.random.default_rng(number).random((8, 8, 8)).astype(np.float32)
        nib.save(nib.Nifti1Image(data, np.diag([8.0, 8, 8, 1])), folder / f"{number}.nii.gz")
        lines.append(f"{number},{number}.nii.gz,{groups[number % len(groups)]}")
    (folder / "cohort.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "cohort.csv"


def run(where, *arguments, **environment):
    """``nextflow run main.nf`` in a folder, with the clone's own commands on PATH."""
    variables = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"} | environment
    command = ["nextflow", "-q", "run", str(ROOT / "main.nf"), *map(str, arguments)]
    return subprocess.run(command, cwd=where, env=variables, capture_output=True, encoding="utf-8", check=False)


def tasks(outdir):
    """(process, status) of every task of the last run, from the trace."""
    with (outdir / "pipeline_info" / "trace.txt").open(encoding="utf-8") as file:
        return [(row["name"].split(" ")[0], row["status"]) for row in csv.DictReader(file, delimiter="\t")]
