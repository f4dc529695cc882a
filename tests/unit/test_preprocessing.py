"""Brain extraction and alignment of a head whose anatomy is known; bad scans end in a message, not a crash."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from counterwarp.brain import alignment, extraction
from counterwarp.brain.interfaces import AlignAffine, ExtractBrain
from counterwarp.core import images, layout, templates
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import apply_affine, read_itk_affine
from counterwarp.core.settings import AlignmentSettings, ExtractionSettings
from counterwarp.stages.align_affine import align_affine
from counterwarp.stages.extract_brain import extract_brain

COMMAND = Path(sys.executable).with_name("counterwarp")
AFFINE_ERROR = 2.0  # mm, root mean square over the brain


@pytest.fixture(scope="module")
def aligned(templates, head, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned")
    extract_brain("sub-01", head, None, False, templates, folder, ExtractionSettings())
    align_affine("sub-01", *extracted(folder, "sub-01"), templates, folder, AlignmentSettings())
    return folder


def extracted(folder, scan_id):
    """What ``align_affine`` takes of ``extract_brain``."""
    return [folder / name(scan_id) for name in (layout.native_t1w, layout.native_mask, layout.affine)]


def test_extracted_brain_is_the_simulated_brain(aligned, head, templates):
    """The head was made from the MNI152 brain: its mask, brought back by the alignment, must match."""
    mask, _ = images.load(aligned / layout.aligned_mask("sub-01"))
    expected, _ = images.load(templates / "grid_mask.nii.gz")
    dice = 2 * (mask * expected).sum() / (mask.sum() + expected.sum())
    assert dice > 0.93
    native = nib.load(aligned / layout.native_mask("sub-01"))
    assert np.allclose(native.affine, nib.load(head).affine, atol=1e-4)
    assert native.shape == nib.load(head).shape


def test_aligned_brain_lies_on_the_template(aligned, head):
    record = json.loads((aligned / "sub-01_desc-qc.json").read_text(encoding="utf-8"))
    assert record["status"] == "PASS"
    assert record["metrics"]["template_correlation"] > 0.9
    assert record["metrics"]["voxel_volume_mm3"] == pytest.approx(np.prod(nib.load(head).header.get_zooms()), rel=1e-4)


def test_affine_file_reproduces_the_aligned_image_in_itk(aligned):
    native = sitk.ReadImage(str(aligned / layout.native_mask("sub-01")), sitk.sitkFloat32)
    reference = sitk.ReadImage(str(aligned / layout.aligned_t1w("sub-01")), sitk.sitkFloat32)
    transform = sitk.ReadTransform(str(aligned / layout.affine("sub-01")))
    mask = sitk.GetArrayFromImage(sitk.Resample(native, reference, transform)) > 0.5
    ours = sitk.GetArrayFromImage(reference) != 0
    assert 2 * (mask & ours).sum() / (mask.sum() + ours.sum()) > 0.97  # one smoothed, one not
    assert np.isfinite(read_itk_affine(aligned / layout.affine("sub-01"))).all()


def test_pictures_show_the_scan_on_the_template(aligned, templates):
    """Rows of equal height, to be shown in turn; the simulated head was made from the template and looks like it."""
    rows = np.split(matplotlib.image.imread(aligned / layout.flicker("sub-01"))[:, :, 0], 2)
    assert np.corrcoef(rows[0].ravel(), rows[1].ravel())[0, 1] > 0.95
    mosaic = matplotlib.image.imread(aligned / layout.mosaic("sub-01"))[:, :, :3]
    red, green, blue = np.moveaxis(mosaic, 2, 0)
    upper, lower = np.split(np.arange(len(mosaic)), [len(mosaic) // 2])
    contour, edges = (red > 0.6) & (green < 0.3), (red > 0.6) & (green > 0.6) & (blue < 0.3)
    assert contour[upper].sum() > 500 and not contour[lower].any()
    assert edges[lower].sum() > 500 and not edges[upper].any()


def test_aligned_intensity_is_z_scored_in_the_mask(aligned):
    data, _ = images.load(aligned / layout.aligned_t1w("sub-01"))
    mask, _ = images.load(aligned / layout.aligned_mask("sub-01"))
    assert data[mask > 0].mean() == pytest.approx(0, abs=1e-4)
    assert data[mask > 0].std() == pytest.approx(1, abs=1e-3)
    assert (data[mask == 0] == 0).all()


def test_same_scan_gives_the_same_bits(aligned, head, templates, tmp_path):
    extract_brain("sub-01", head, None, False, templates, tmp_path, ExtractionSettings())
    align_affine("sub-01", *extracted(tmp_path, "sub-01"), templates, tmp_path, AlignmentSettings())
    for name in (layout.native_t1w, layout.native_mask, layout.aligned_t1w, layout.aligned_mask):
        again, once = (images.load(folder / name("sub-01"))[0] for folder in (tmp_path, aligned))
        assert np.array_equal(again, once)
    affine = layout.affine("sub-01")
    assert (tmp_path / affine).read_bytes() == (aligned / affine).read_bytes()


def test_known_change_of_pose_and_size_is_recovered(aligned, templates):
    """Moved by its header alone, the brain is aligned by the known change after the affine of the unmoved one."""
    change = np.eye(4)
    change[:3, :3] = 0.9 * Rotation.from_euler("xyz", (-25, 20, 30), degrees=True).as_matrix()
    change[:3, 3] = 40, -40, 20
    scan, mask = (nib.load(aligned / name("sub-01")) for name in (layout.native_t1w, layout.native_mask))
    moved = [nib.Nifti1Image(np.asarray(image.dataobj), change @ image.affine) for image in (scan, mask)]
    template, on_grid = (nib.load(templates / f"{name}.nii.gz") for name in ("MNI152_T1w", "grid_mask"))
    found = alignment.register_affine(*moved, template)
    points = apply_affine(on_grid.affine, np.argwhere(np.asarray(on_grid.dataobj) > 0))
    expected = apply_affine(change @ read_itk_affine(aligned / layout.affine("sub-01")), points)
    assert np.sqrt(((apply_affine(found, points) - expected) ** 2).sum(1).mean()) < AFFINE_ERROR


START_ERROR = 15.0  # mm: a head's pose says where its brain is only roughly; a wrong frame or order is far off


def test_start_from_the_head_ends_where_many_poses_end(aligned, head, templates):
    scan, mask = (nib.load(aligned / name("sub-01")) for name in (layout.native_t1w, layout.native_mask))
    searched = alignment.register_affine(scan, mask, nib.load(templates / "MNI152_T1w.nii.gz"))
    on_grid = nib.load(templates / "grid_mask.nii.gz")
    points = apply_affine(on_grid.affine, np.argwhere(np.asarray(on_grid.dataobj) > 0))
    started = read_itk_affine(aligned / layout.affine("sub-01"))
    off = apply_affine(searched, points) - apply_affine(started, points)
    assert np.sqrt((off**2).sum(1).mean()) < 0.5 * AFFINE_ERROR
    whole_head, mask_of_head = (nib.load(templates / f"head_{kind}.nii.gz") for kind in ("T1w", "mask"))
    brain = extraction.extract_brain(nib.load(head), whole_head, mask_of_head, ExtractionSettings())
    _, head_in_mni152 = alignment.registration_targets(templates)
    off = apply_affine(searched, points) - apply_affine(brain.affine @ head_in_mni152, points)
    assert np.sqrt((off**2).sum(1).mean()) < START_ERROR


def test_head_template_lies_on_the_brain_template(templates):
    """By the affine of prepare-templates, in ITK: the mask of the head's brain covers the MNI152 brain."""
    head_mask, brain_mask = (
        sitk.ReadImage(str(templates / f"{name}.nii.gz"), sitk.sitkFloat32) for name in ("head_mask", "MNI152_mask")
    )
    transform = sitk.ReadTransform(str(templates / layout.HEAD_IN_MNI152))
    found = sitk.GetArrayFromImage(sitk.Resample(head_mask, brain_mask, transform)) > 0.5
    expected = sitk.GetArrayFromImage(brain_mask) > 0.5
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.93


def test_templates_of_an_earlier_version_are_named(templates, tmp_path):
    (tmp_path / "MNI152_T1w.nii.gz").symlink_to(templates / "MNI152_T1w.nii.gz")
    with pytest.raises(InputError, match=r"from-head_to-MNI152.*prepare-templates.*Run it again"):
        alignment.registration_targets(tmp_path)


def given_mask(head, tmp_path, change, templates):
    """The record of an extraction with a mask made from the scan's shape by ``change``."""
    scan = nib.load(head)
    mask = change(np.ones(scan.shape, np.uint8))
    nib.save(nib.Nifti1Image(mask, scan.affine), tmp_path / "mask.nii.gz")
    return extract_brain("sub-04", head, tmp_path / "mask.nii.gz", False, templates, tmp_path, ExtractionSettings())


def box(mask):
    mask[:5], mask[-5:] = 0, 0
    return mask


def test_given_mask_is_used_as_it_is(head, templates, tmp_path):
    record = given_mask(head, tmp_path, box, templates)
    given, used = (nib.load(tmp_path / name) for name in ("mask.nii.gz", layout.native_mask("sub-04")))
    assert record["status"] == "PASS" and np.array_equal(given.dataobj, used.dataobj)
    volume = np.asarray(given.dataobj).sum() * np.prod(given.header.get_zooms()) / 1000
    assert record["metrics"] == {"brain_volume_ml": pytest.approx(volume)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda mask: box(mask) * 0.4,
            "the mask is empty (no voxel above 0.5). Correct it, or drop it from the row.",
        ),
        (lambda mask: box(mask)[1:], "the mask is not on its scan's grid ({other} and {shape}). Resample it."),
    ],
)
def test_given_mask_that_cannot_be_used(head, templates, tmp_path, change, message):
    shape = nib.load(head).shape
    record = given_mask(head, tmp_path, change, templates)
    assert record["status"] == "FAIL"
    assert record["reasons"] == [message.format(shape=shape, other=(shape[0] - 1, *shape[1:]))]


def test_whole_head_called_stripped_is_refused(head, templates, tmp_path):
    record = extract_brain("sub-05", head, None, True, templates, tmp_path, ExtractionSettings())
    share = (np.asarray(nib.load(head).dataobj) > 0).mean()
    assert record["status"] == "FAIL"
    assert record["reasons"] == [
        f"expected a skull-stripped scan with 0 outside the brain, but {share:.0%} of its voxels are above 0. "
        "Give its mask, or run with --skull-stripped no."
    ]


def test_truncated_scan_is_set_aside_not_fatal(templates, head, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(head.read_bytes()[:50_000])
    extract_brain("sub-02", broken, None, False, templates, tmp_path / "out", ExtractionSettings())
    record = json.loads((tmp_path / "out" / "sub-02_desc-extraction.json").read_text(encoding="utf-8"))
    assert record["status"] == "FAIL"
    assert "broken.nii.gz: cannot be read" in record["reasons"][0]
    assert not list((tmp_path / "out").glob("*.nii.gz"))


def few_voxels(value):
    """A picture of a head's extent in which 64 voxels have a value and all others are 1."""
    data = np.ones((60, 70, 60), np.float32)
    data[28:32, 33:37, 28:32] = value
    return nib.Nifti1Image(data, np.diag([3.0, 3, 3, 1]))


def test_picture_without_a_head_is_an_error_of_the_command(templates, tmp_path):
    """Alone the command fails with the reason; --on-bad-scan skip only writes it down."""
    nib.save(few_voxels(9), tmp_path / "dot.nii.gz")
    command = [
        str(COMMAND),
        "extract-brain",
        str(tmp_path / "dot.nii.gz"),
        str(tmp_path),
        "--templates",
        str(templates),
    ]
    told = "dot: found no head: hardly any voxel is brighter than the rest. Look at the scan, or drop it."
    stopped = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert (stopped.returncode, stopped.stderr) == (1, f"counterwarp: {told}\n")
    skipped = subprocess.run([*command, "--on-bad-scan", "skip"], capture_output=True, encoding="utf-8")
    assert (skipped.returncode, skipped.stdout) == (0, told.replace(":", ": FAIL", 1) + "\n")
    record = json.loads((tmp_path / layout.extraction_record("dot")).read_text(encoding="utf-8"))
    assert f"dot: {record['reasons'][0]}" == told


def test_atlas_has_the_planted_regions():
    _, table = templates.atlas()
    assert {"Left_Hippocampus", "Right_Lateral_Ventricle"} <= set(table["name"])


def test_interfaces_give_what_the_stages_give_and_leave_no_files(aligned, head, templates, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))  # for ANTs' C++, and below for Python
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    brain = ExtractBrain(t1w=str(head), templates=str(templates)).run().outputs
    inputs = {"t1w": brain.out_t1w, "mask": brain.out_mask, "affine": brain.out_affine}
    result = AlignAffine(**inputs, templates=str(templates)).run().outputs
    for found, name in ((brain.out_mask, layout.native_mask), (result.out_t1w, layout.aligned_t1w)):
        assert np.array_equal(images.load(found)[0], images.load(aligned / name("sub-01"))[0])
    assert result.status == "PASS"
    assert not list((tmp_path / "temp").iterdir())


def no_brain(kind):
    """Noise, or a bright sphere, of a head's extent."""
    points = np.indices((60, 70, 60)) - np.array([30, 35, 30])[:, None, None, None]
    if kind == "noise":
        data = np.random.default_rng(0).random((60, 70, 60))
    else:
        data = 100.0 * ((points**2).sum(0) < 22**2)
    return nib.Nifti1Image(data.astype(np.float32), np.diag([3.0, 3, 3, 1]))


@pytest.mark.parametrize("kind", ["noise", "sphere", "upside down"])
def test_what_is_no_upright_head_fails(kind, head, templates, tmp_path):
    if kind == "upside down":
        image = nib.as_closest_canonical(nib.load(head))
        image = nib.Nifti1Image(np.asarray(image.dataobj)[:, :, ::-1], image.affine)
    else:
        image = no_brain(kind)
    nib.save(image, tmp_path / "no_head.nii.gz")
    record = extract_brain(
        "sub-03", tmp_path / "no_head.nii.gz", None, False, templates, tmp_path, ExtractionSettings()
    )
    if record["status"] != "FAIL":
        align_affine("sub-03", *extracted(tmp_path, "sub-03"), templates, tmp_path, AlignmentSettings())
        record = json.loads((tmp_path / layout.quality_record("sub-03")).read_text(encoding="utf-8"))
    assert record["status"] in ("REVIEW", "FAIL") and record["reasons"]
