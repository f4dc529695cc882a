"""Reading and writing the pipeline's own NIfTI files; what a user gives is read by ``core.scans``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, itk_displacement

COMPRESSION = 1  # of 0 to 3


def load(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Read one 3-D image as float32 (X, Y, Z) with its grid (RAS+ mm)."""
    image = nib.Nifti1Image.from_filename(str(path))
    data = np.asarray(image.dataobj, dtype=np.float32)
    return data, Grid(data.shape[:3], np.asarray(image.affine, float))


def save(path: str | Path, data: np.ndarray, grid: Grid, sidecar: dict[str, Any] | None = None) -> None:
    """Write an array (X, Y, Z) on a grid as NIfTI with equal qform and sform; with ``sidecar``, its JSON beside it."""
    _write(nib.Nifti1Image(data, grid.affine), Path(path), sidecar)


def save_displacement(
    path: str | Path, displacement: np.ndarray, grid: Grid, sidecar: dict[str, Any] | None = None
) -> None:
    """Write a displacement field as an ITK/ANTs warp.

    Parameters
    ----------
    displacement : (X, Y, Z, 3), RAS+ mm
        Points from the fixed (output) to the moving (input) image, as ITK resamples: out(p) = in(p + u(p)).
        The file holds it as (X, Y, Z, 1, 3), LPS+ mm, NIfTI vector intent.
    """
    data = itk_displacement(displacement.astype(np.float32))[:, :, :, None, :]
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_intent("vector")
    _write(image, Path(path), sidecar)


def load_displacement(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Read what ``save_displacement`` wrote: (X, Y, Z, 3), RAS+ mm, with its grid."""
    image = nib.Nifti1Image.from_filename(str(path))
    data = itk_displacement(np.asarray(image.dataobj, dtype=np.float32)[:, :, :, 0, :])  # its own inverse
    return data, Grid(data.shape[:3], np.asarray(image.affine, float))


def _write(image: nib.Nifti1Image, path: Path, sidecar: dict[str, Any] | None) -> None:
    frame = "mni" if "space-MNI152" in path.name else "scanner"
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, code=frame)
    image.set_qform(image.affine, code=frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = image.to_bytes()
    if path.suffix == ".gz":
        content = igzip.compress(content, COMPRESSION, mtime=0)  # faster than zlib, as small
    path.write_bytes(content)
    if sidecar is not None:
        sidecar_path = path.with_name(path.name.split(".")[0] + ".json")
        sidecar_path.write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")


def read(path: str | Path, made_by: str) -> nib.Nifti1Image:
    """Read an image (.nii.gz) that another command wrote; it stays in memory, decompressed once.

    Raises
    ------
    InputError
        If it is not there; the message names the command.
    """
    return nib.Nifti1Image.from_bytes(igzip.decompress(output_of(made_by, path).read_bytes()))


def output_of(command: str, path: str | Path, remedy: str = "Run it first.") -> Path:
    """The path of a file that another command wrote.

    Raises
    ------
    InputError
        If it is not there; the message names the command.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an output of {command}, found no such file. {remedy}")
    return Path(path)
