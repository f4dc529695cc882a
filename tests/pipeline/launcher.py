"""Real Nextflow, started as a user starts it."""

import csv
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(where, *arguments, **environment):
    """``nextflow run main.nf`` in a folder, with the clone's own commands on PATH."""
    variables = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"} | environment
    command = ["nextflow", "-q", "run", str(ROOT / "main.nf"), *map(str, arguments)]
    return subprocess.run(command, cwd=where, env=variables, capture_output=True, text=True, check=False)


def tasks(outdir):
    """(process, status) of every task of the last run, from the trace."""
    with (outdir / "pipeline_info" / "trace.txt").open() as file:
        return [(row["name"].split(" ")[0], row["status"]) for row in csv.DictReader(file, delimiter="\t")]
