"""Reading a user's scan strictly: NIfTI, FreeSurfer's .mgz or a folder of DICOM files.

ANTs reads truncated files as half-zero images, NaN as 0, and prefers the qform where nibabel prefers the sform;
everything is therefore read here first.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from counterwarp.core.errors import ScanError
from counterwarp.core.geometry import from_itk

VOXEL_SIZE = (0.1, 8.0)  # mm: smaller or larger means a header in other units, not a head
FIELD_OF_VIEW = (60.0, 800.0)  # mm per axis
UNEVEN = 0.1  # of the distance between DICOM slices: a larger deviation is a missing slice
POSITION, ORIENTATION = "0020|0032", "0020|0037"  # DICOM tags, LPS+ mm
READERS = (nib.Nifti1Pair, nib.freesurfer.MGHImage)


def load_t1w(path: str | Path) -> nib.Nifti1Image:
    """Read a T1w scan or a mask: float32, 3-D, finite, not constant, one world, the size of a head.

    Raises
    ------
    ScanError
        If it is missing, unreadable, truncated, not 3-D, not one number per voxel, not finite, constant or sheared,
        if its qform and sform disagree, or its voxels or its extent are not those of a head.
    """
    path = Path(path)
    if not path.exists():
        raise ScanError(path, "file not found", "Correct the path or drop the row")
    image = _read_dicom(path) if path.is_dir() else _read_file(path)
    data = np.asarray(image.dataobj)
    if data.ndim != 3:
        raise ScanError(path, f"expected a 3-D image, got {data.ndim}-D {data.shape}", "Extract one volume")
    if bad := np.sum(~np.isfinite(data)):
        raise ScanError(path, f"{bad} voxels are NaN or infinite", "Convert the scan again")
    if data.max() - data.min() < 1e-6:
        raise ScanError(path, f"every voxel is {data.flat[0]:g}", "It holds no picture; drop the row")
    _check_size(image, path)
    return nib.Nifti1Image(data, image.affine)


def content_hash(scan: nib.Nifti1Image) -> str:
    """SHA-256 of a scan's voxels, stored in whatever order: the same picture under another name has the same."""
    upright = np.ascontiguousarray(nib.as_closest_canonical(scan).dataobj, dtype=np.float32)
    return hashlib.sha256(str(upright.shape).encode() + upright.tobytes()).hexdigest()


def _read_file(path: Path) -> nib.Nifti1Image:
    """NIfTI or .mgz as float32; a fourth axis of one volume is dropped."""
    try:
        image = nib.load(path)
        if not isinstance(image, READERS):
            found = type(image).__name__
            raise ScanError(path, f"expected NIfTI or .mgz, got {found}", "Convert it to NIfTI, e.g. by mri_convert")
        kind = image.get_data_dtype()
        if kind.names or np.issubdtype(kind, np.complexfloating):
            what = "RGB" if kind.names else f"complex ({kind})"
            raise ScanError(path, f"expected one number per voxel, got {what}", "Convert it to a plain T1w")
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError) as error:
        raise ScanError(path, f"cannot be read ({error})", "Copy or convert it again") from error
    _check_world(image, path)
    return nib.Nifti1Image(data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data, image.affine)


def _read_dicom(folder: Path) -> nib.Nifti1Image:
    """The one DICOM series of a folder (GDCM)."""
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise ScanError(folder, f"expected a folder of one DICOM series, found {len(series)}", "Give one series each")
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    _check_slices(files, folder)
    try:
        image = sitk.ReadImage(files)
    except RuntimeError as error:
        raise ScanError(folder, f"cannot be read as DICOM ({error})", "Copy or export it again") from error
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise ScanError(folder, "expected one number per voxel, got RGB", "Convert it to a plain T1w")
    return from_itk(sitk.Cast(image, sitk.sitkFloat32))


def _check_slices(files: tuple[str, ...], folder: Path) -> None:
    """Refuse a series with a gap: ITK stacks the slices as if they were evenly spaced."""
    places = []
    for file in files:
        reader = sitk.ImageFileReader()
        reader.SetFileName(file)
        reader.ReadImageInformation()
        if reader.HasMetaDataKey(POSITION) and reader.HasMetaDataKey(ORIENTATION):
            row, column = np.array(reader.GetMetaData(ORIENTATION).split("\\"), float).reshape(2, 3)
            places.append(np.cross(row, column) @ np.array(reader.GetMetaData(POSITION).split("\\"), float))
    steps = np.abs(np.diff(places))
    if len(steps) > 1 and np.ptp(steps) > UNEVEN * np.median(steps):
        raise ScanError(
            folder, f"its slices lie {steps.min():.2f} to {steps.max():.2f} mm apart", "Export the complete series"
        )


def _check_world(image: nib.Nifti1Pair | nib.freesurfer.MGHImage, path: Path) -> None:
    """Refuse an affine that is singular or sheared, and a qform that contradicts the sform."""
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    if not np.isfinite(image.affine).all() or spacing.min() < 1e-3:
        raise ScanError(path, f"its affine is singular (voxels of {_by(spacing)} mm)", "Repair the header")
    axes = image.affine[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-2:
        raise ScanError(path, "its axes are not at right angles (sheared affine)", "Resample it to a regular grid")
    if not isinstance(image, nib.Nifti1Pair):
        return
    qform, sform = (image.get_qform(coded=True), image.get_sform(coded=True))
    if qform[1] and sform[1]:
        corner = np.array([*(n - 1 for n in image.shape[:3]), 1])
        distance = max(np.linalg.norm((qform[0] - sform[0]) @ point) for point in (corner, corner * [0, 0, 0, 1]))
        if distance > 1:
            raise ScanError(path, f"qform and sform disagree by {distance:.0f} mm", "Set them equal")


def _check_size(image: nib.Nifti1Image, path: Path) -> None:
    """Refuse voxels or a field of view that no head has."""
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    extent = spacing * image.shape
    for what, values, (least, most) in (("voxels", spacing, VOXEL_SIZE), ("a field of view", extent, FIELD_OF_VIEW)):
        if values.min() < least or values.max() > most:
            raise ScanError(
                path, f"expected {what} of {least:g} to {most:g} mm, got {_by(values)}", "Repair the header"
            )


def _by(lengths: np.ndarray) -> str:
    """Lengths along the three axes as in words: 1 x 1 x 3."""
    return " x ".join(f"{length:.3g}" for length in lengths)
