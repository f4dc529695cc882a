"""Reading and writing NIfTI: this module alone touches image files."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid, itk_displacement


def load(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Read one 3-D image as float32 (X, Y, Z) with its grid (RAS+ mm)."""
    image = nib.Nifti1Image.from_filename(str(path))
    data = np.asarray(image.dataobj, dtype=np.float32)
    return data, Grid(data.shape[:3], np.asarray(image.affine, float))


def save(path: str | Path, data: np.ndarray, grid: Grid, sidecar: dict[str, Any] | None = None) -> None:
    """Write an array (X, Y, Z) on a grid as NIfTI with equal qform and sform; with ``sidecar``, its JSON beside it."""
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code="mni" if "space-MNI152" in Path(path).name else "scanner")
    image.set_qform(grid.affine, code="mni" if "space-MNI152" in Path(path).name else "scanner")
    _write(image, Path(path), sidecar)


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
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code="mni")
    image.set_qform(grid.affine, code="mni")
    _write(image, Path(path), sidecar)


def load_displacement(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Read what ``save_displacement`` wrote: (X, Y, Z, 3), RAS+ mm, with its grid."""
    image = nib.Nifti1Image.from_filename(str(path))
    data = itk_displacement(np.asarray(image.dataobj, dtype=np.float32)[:, :, :, 0, :])  # its own inverse
    return data, Grid(data.shape[:3], np.asarray(image.affine, float))


def _write(image: nib.Nifti1Image, path: Path, sidecar: dict[str, Any] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, str(path))
    if sidecar is not None:
        sidecar_path = path.with_name(path.name.split(".")[0] + ".json")
        sidecar_path.write_text(json.dumps(sidecar, indent=2) + "\n")


def read(path: str | Path, made_by: str) -> nib.Nifti1Image:
    """Read an image that another command wrote.

    Raises
    ------
    InputError
        If it is not there; the message names the command.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: expected an output of {made_by}, found no such file. Run it first.")
    return nib.Nifti1Image.from_filename(str(path))


def load_t1w(path: str | Path) -> nib.Nifti1Image:
    """Read a T1w scan strictly: float32, 3-D, finite, not constant, one world.

    ANTs reads truncated files as half-zero images, NaN as 0, and prefers the qform where nibabel prefers the sform;
    everything is therefore read here first.

    Raises
    ------
    InputError
        If the file is missing, unreadable, truncated, not 3-D, not a plain number per voxel, not finite, constant,
        sheared, or if its qform and sform disagree.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a NIfTI file, found nothing. Correct the path or drop this row.")
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Pair):
            raise InputError(f"{path}: expected NIfTI, got {type(image).__name__}. Convert it, e.g. by mri_convert.")
        kind = image.get_data_dtype()
        if kind.names or np.issubdtype(kind, np.complexfloating):
            raise InputError(f"{path}: expected one number per voxel, got {kind}. Convert it to a plain T1w image.")
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise InputError(f"{path}: cannot be read as NIfTI ({error}). Copy or convert it again.") from error
    if data.ndim != 3:
        raise InputError(
            f"{path}: expected a 3-D image, got {data.ndim}-D {data.shape}. Extract one volume, or drop this row."
        )
    if not np.isfinite(data).all():
        raise InputError(f"{path}: {np.sum(~np.isfinite(data))} voxels are NaN or infinite. Convert the scan again.")
    if data.max() - data.min() < 1e-6:
        raise InputError(f"{path}: every voxel is {data.flat[0]:g}. It holds no picture; drop this row.")
    _check_world(image, path)
    return nib.Nifti1Image(data, image.affine)


def _check_world(image: nib.Nifti1Pair, path: Path) -> None:
    """Refuse an affine that is singular or sheared, and a qform that contradicts the sform."""
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.isfinite(image.affine).all() or spacing.min() < 1e-3:
        raise InputError(f"{path}: its affine is singular (voxel sizes {spacing} mm). Repair the header.")
    axes = image.affine[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-2:
        raise InputError(f"{path}: its axes are not at right angles (sheared affine). Resample it to a regular grid.")
    qform, sform = (image.get_qform(coded=True), image.get_sform(coded=True))
    if qform[1] and sform[1]:
        corner = np.array([*(n - 1 for n in image.shape[:3]), 1])
        distance = max(np.linalg.norm((qform[0] - sform[0]) @ point) for point in (corner, corner * [0, 0, 0, 1]))
        if distance > 1:
            raise InputError(f"{path}: qform and sform disagree by {distance:.0f} mm. Set them equal.")
