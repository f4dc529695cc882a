"""Command compare-results: do two runs hold the same masks, transforms, weights, maps and tables, bit by bit?"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from counterwarp.core.errors import InputError

# What a run computes, by the end of the file's name. Records, figures and the report hold times and paths as well.
KINDS = {
    "_mask.nii.gz": "masks",
    ".nii.gz": "images and maps",
    ".mat": "transforms",
    ".safetensors": "weights",
    ".csv": "tables",
    ".tsv": "tables",
}
INFO = "pipeline_info"
OWN = {"outdir"}  # parameters that differ between any two runs


@dataclass(frozen=True)
class Comparison:
    """``equal``: number of equal files of each kind; ``differences``: file -> how it differs; ``parameters``: name ->
    values of the two runs, where they are known and differ."""

    equal: dict[str, int]
    differences: dict[str, str]
    parameters: dict[str, tuple]


def compare_results(first: Path, second: Path) -> Comparison:
    """Compare two folders of results.

    Of compressed images the content counts, not how it was compressed.

    Raises
    ------
    InputError
        If a folder holds nothing that a run computes.
    """
    found = [_computed(folder) for folder in (first, second)]
    differences, equal = {}, Counter[str]()
    for name in sorted(found[0].keys() | found[1].keys()):
        if name not in found[0] or name not in found[1]:
            differences[name] = f"only in {first if name in found[0] else second}"
        elif _content(first / name) == _content(second / name):
            equal[found[0][name]] += 1
        else:
            differences[name] = _describe(first / name, second / name)
    return Comparison(dict(equal), differences, _parameters(first, second))


def _computed(folder: Path) -> dict[str, str]:
    """Relative path -> kind of every file that a run computes."""
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    kinds = {
        path: next(kind for end, kind in KINDS.items() if path.endswith(end))
        for path in paths
        if path.endswith(tuple(KINDS)) and not path.startswith(INFO)
    }
    if not kinds:
        raise InputError(f"{folder}: expected the results of a run (images, transforms, weights, tables), found none.")
    return kinds


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _describe(first: Path, second: Path) -> str:
    """How two files of one name differ, in words."""
    describe: dict[str, Callable[[Path, Path], str]] = {".gz": _describe_images, ".csv": _describe_tables}
    return describe.get(first.suffix, lambda *_: "differs")(first, second)


def _describe_images(first: Path, second: Path) -> str:
    a, b = (nib.Nifti1Image.from_filename(str(path)) for path in (first, second))
    if a.shape != b.shape or not np.array_equal(a.affine, b.affine):
        return f"grids differ: {a.shape} and {b.shape}, or their affines"
    difference = np.abs(np.asarray(a.dataobj, float) - np.asarray(b.dataobj, float))
    if not difference.any():
        return "headers differ"
    return f"{np.count_nonzero(difference)} voxels differ, by {difference.max():.3g} at most"


def _describe_tables(first: Path, second: Path) -> str:
    a, b = (pd.read_csv(path, dtype=str) for path in (first, second))
    if a.shape != b.shape or list(a.columns) != list(b.columns):
        return f"{len(a)} rows of {', '.join(a.columns)}; {len(b)} rows of {', '.join(b.columns)}"
    columns = [name for name in a.columns if not a[name].equals(b[name])]
    return f"column {', '.join(columns)} differs" if columns else "differs in form only"


def _parameters(first: Path, second: Path) -> dict[str, tuple]:
    """Parameters, version and container of the two runs, where they differ."""
    runs = []
    for folder in (first, second):
        files = [folder / INFO / name for name in ("params.json", "run.json")]
        contents = [json.loads(file.read_text(encoding="utf-8")) if file.exists() else {} for file in files]
        versions = ("version", "revision", "nextflow", "container", "container_digest")
        runs.append(contents[0] | {name: contents[1].get(name) for name in versions})
    names = sorted((runs[0].keys() | runs[1].keys()) - OWN)
    return {name: (a, b) for name in names if (a := runs[0].get(name)) != (b := runs[1].get(name))}
