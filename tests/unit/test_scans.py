"""Every kind of file a user may give: bad ones are refused in words, good ones read alike in any format."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.orientations import axcodes2ornt, ornt_transform

from counterwarp.core.errors import ScanError
from counterwarp.core.geometry import from_itk, to_itk
from counterwarp.core.scans import content_hash, load_t1w

SHAPE, VOXEL = (10, 12, 14), 7.0  # mm; the extent of a head in few voxels
AFFINE = np.diag([VOXEL, VOXEL, VOXEL, 1])


def scan(shape=SHAPE, fill=None, affine=AFFINE, kind=np.float32):
    data = np.random.default_rng(0).random(shape) if fill is None else np.full(shape, fill)
    return nib.Nifti1Image(data.astype(kind), affine)


def conflicting():
    image = scan()
    moved = AFFINE.copy()
    moved[0, 3] = 30
    image.set_qform(AFFINE, 1)
    image.set_sform(moved, 1)
    return image


def rgb():
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return nib.Nifti1Image(np.zeros(SHAPE, kind), AFFINE)


def one_nan():
    data = np.asarray(scan().dataobj).copy()
    data[0, 0, 0] = np.nan
    data[1, 0, 0] = np.inf
    return nib.Nifti1Image(data, AFFINE)


SHEAR = AFFINE @ np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
BAD = {
    "expected a 3-D image, got 4-D (10, 12, 14, 2). Extract one volume.": scan((*SHAPE, 2)),
    "expected one number per voxel, got RGB. Convert it to a plain T1w.": rgb(),
    "expected one number per voxel, got complex (complex64). Convert it to a plain T1w.": scan(kind=np.complex64),
    "every voxel is 3. It holds no picture; drop the row.": scan(fill=3),
    "2 voxels are NaN or infinite. Convert the scan again.": one_nan(),
    "its axes are not at right angles (sheared affine). Resample it to a regular grid.": scan(affine=SHEAR),
    "qform and sform disagree by 30 mm. Set them equal.": conflicting(),
    "expected voxels of 0.1 to 8 mm, got 7 x 7 x 12. Repair the header.": scan(affine=np.diag([7.0, 7, 12, 1])),
    "expected a field of view of 60 to 800 mm, got 10 x 12 x 14. Repair the header.": scan(affine=np.eye(4)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_scan_is_refused_with_its_name_and_reason(message, tmp_path):
    path = tmp_path / "bad.nii.gz"
    nib.save(BAD[message], path)
    with pytest.raises(ScanError) as error:
        load_t1w(path)
    assert str(error.value) == f"{path}: {message}"


def test_singular_affine_is_refused(tmp_path):
    """nibabel writes none: the header is changed in the file."""
    path = tmp_path / "flat.nii"
    nib.save(scan(), path)
    header = scan().header
    header["sform_code"], header["srow_z"] = 1, 0
    path.write_bytes(header.binaryblock + path.read_bytes()[len(header.binaryblock) :])
    with pytest.raises(ScanError) as error:
        load_t1w(path)
    assert str(error.value) == f"{path}: its affine is singular (voxels of 7 x 7 x 0 mm). Repair the header."


CODES = ["".join(c) for letters in itertools.product("LR", "AP", "IS") for c in itertools.permutations(letters)]


@pytest.mark.parametrize("codes", CODES)
def test_any_of_the_48_orientations_is_the_same_head(codes, tmp_path):
    image = scan()
    turn = ornt_transform(nib.io_orientation(AFFINE), axcodes2ornt(codes))
    nib.save(image.as_reoriented(turn), tmp_path / "turned.nii.gz")
    found = load_t1w(tmp_path / "turned.nii.gz")
    assert "".join(nib.aff2axcodes(found.affine)) == codes
    upright = nib.as_closest_canonical(found)
    assert np.allclose(upright.affine, AFFINE) and np.array_equal(upright.dataobj, image.dataobj)
    itk = from_itk(to_itk(found))  # what the registration sees
    assert np.allclose(nib.as_closest_canonical(itk).affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.nii.gz", b"no image", "cannot be read (File {path} is not a gzip file). Copy or convert it again."),
        ("empty.nii", b"", "cannot be read (Empty file: '{path}'). Copy or convert it again."),
        ("gone.nii.gz", None, "file not found. Correct the path or drop the row."),
    ],
)
def test_what_is_no_image_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError) as error:
        load_t1w(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: {message.format(path=tmp_path / name)}"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cut.nii", "Expected 6720 bytes, got 3184 bytes from {path}\n - could the file be damaged?"),
        ("cut.nii.gz", "Compressed file ended before the end-of-stream marker was reached"),
    ],
)
def test_truncated_scan_is_refused(name, why, tmp_path):
    nib.save(scan(), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ScanError) as error:
        load_t1w(tmp_path / name)
    why = why.format(path=tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: cannot be read ({why}). Copy or convert it again."


def test_single_volume_of_a_series_is_a_scan(tmp_path):
    nib.save(scan((*SHAPE, 1)), tmp_path / "one.nii.gz")
    assert load_t1w(tmp_path / "one.nii.gz").shape == SHAPE


def test_mgz_reads_like_nifti(tmp_path):
    nib.save(scan(), tmp_path / "a.nii.gz")
    nib.save(nib.MGHImage(np.asarray(scan().dataobj), AFFINE), tmp_path / "a.mgz")
    nifti, mgz = (load_t1w(tmp_path / name) for name in ("a.nii.gz", "a.mgz"))
    assert np.allclose(nifti.affine, mgz.affine, atol=1e-4)
    assert content_hash(nifti) == content_hash(mgz)


def write_dicom(folder, image, skip=()):
    """One file per slice, as a scanner exports a series."""
    folder.mkdir()
    volume = sitk.Cast(to_itk(image) * 1000, sitk.sitkInt16)
    direction = volume.GetDirection()
    for k in range(volume.GetSize()[2]):
        if k in skip:
            continue
        slice_ = volume[:, :, k : k + 1]
        tags = {
            "0008|0060": "MR",
            "0020|000e": "1.2.3.4",
            "0020|000d": "1.2.3",
            "0020|0013": str(k),
            "0020|0032": "\\".join(f"{p:.6f}" for p in volume.TransformIndexToPhysicalPoint((0, 0, k))),
            "0020|0037": "\\".join(str(direction[i]) for i in (0, 3, 6, 1, 4, 7)),
            "0018|0050": str(VOXEL),
        }
        for tag, value in tags.items():
            slice_.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{k:03d}.dcm"))
        writer.Execute(slice_)
    return folder


def test_dicom_folder_reads_like_nifti(tmp_path):
    found = load_t1w(write_dicom(tmp_path / "dicom", scan()))
    assert np.allclose(nib.as_closest_canonical(found).affine, AFFINE, atol=1e-3)
    data = np.asarray(nib.as_closest_canonical(found).dataobj)
    assert np.allclose(data, np.asarray(scan().dataobj) * 1000, atol=1)


def test_dicom_series_with_a_gap_or_none_is_refused(tmp_path):
    with pytest.raises(ScanError, match=r"gap: its slices lie 7.00 to 14.00 mm apart. Export the complete series."):
        load_t1w(write_dicom(tmp_path / "gap", scan(), skip=(5,)))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ScanError, match="expected a folder of one DICOM series, found 0"):
        load_t1w(tmp_path / "nothing")
