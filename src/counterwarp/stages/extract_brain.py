"""Stage EXTRACT_BRAIN: bias correction and brain mask of one scan."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from counterwarp.brain.extraction import extract_brain as extract
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ExtractionSettings


def extract_brain(
    scan_id: str, t1w: Path, mask: Path | None, skull_stripped: bool, templates: Path, output: Path,
    settings: ExtractionSettings,
) -> None:  # fmt: skip
    """Write the bias-corrected T1w and the mask on the scan's grid; of a bad scan only a FAIL record."""
    output.mkdir(parents=True, exist_ok=True)
    record_file = output / layout.scan_file(scan_id, "extraction.json").replace("_extraction", "_desc-extraction")
    with stage_record(record_file, "extract_brain", settings, t1w=t1w, mask=mask) as record:
        record |= {"scan_id": scan_id, "status": "PASS", "reasons": [], "metrics": {}}
        try:
            scan = images.load_t1w(t1w)
            given = _given_mask(scan, mask, skull_stripped)
            head, head_mask = (
                nib.Nifti1Image.from_filename(str(templates / f"head_{k}.nii.gz")) for k in ("T1w", "mask")
            )
            result = extract(scan, head, head_mask, settings, given)
        except (InputError, RuntimeError) as error:  # RuntimeError: ITK and ANTs
            record |= {"status": "FAIL", "reasons": [str(error)]}
            return
        record["metrics"] = result.metrics
        nib.save(result.t1w, output / layout.native_t1w(scan_id))
        nib.save(result.mask, output / layout.native_mask(scan_id))


def _given_mask(scan: nib.Nifti1Image, mask: Path | None, skull_stripped: bool) -> nib.Nifti1Image | None:
    """The user's mask, or what is not 0 in a skull-stripped scan, or none."""
    if mask:
        image = images.load_t1w(mask)
        if image.shape != scan.shape or not np.allclose(image.affine, scan.affine, atol=1e-3):
            raise InputError(
                f"{mask}: the mask is not on its scan's grid ({image.shape} and {scan.shape}). Resample it."
            )
        return image
    if skull_stripped:
        return nib.Nifti1Image((np.asarray(scan.dataobj) > 0).astype(np.float32), scan.affine)
    return None
