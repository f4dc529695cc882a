"""Real scans that are no whole head of 2 mm: brains that are stripped already, and a head of 1 mm."""

import json
from pathlib import Path

import pytest

from counterwarp.core import layout
from counterwarp.core.settings import AlignmentSettings, ExtractionSettings
from counterwarp.stages.align_affine import align_affine
from counterwarp.stages.extract_brain import extract_brain

DATA = Path(__file__).parents[3] / "shared" / "data"
SCANS = {
    **{f"stripped/sub-{number}_desc-brain_T1w.nii.gz": True for number in ("01", "51")},
    "single/head_1mm_T1w.nii.gz": False,
}
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the development data folder ../shared/data"),
]


@pytest.mark.parametrize("name", SCANS)
def test_real_scan_passes(name, templates, tmp_path):
    extracted = extract_brain("sub-01", DATA / name, None, SCANS[name], templates, tmp_path, ExtractionSettings())
    native = [tmp_path / name("sub-01") for name in (layout.native_t1w, layout.native_mask, layout.affine)]
    align_affine("sub-01", *native, templates, tmp_path, AlignmentSettings())
    record = json.loads((tmp_path / layout.quality_record("sub-01")).read_text(encoding="utf-8"))
    assert (extracted["status"], record["status"], record["reasons"]) == ("PASS", "PASS", [])
