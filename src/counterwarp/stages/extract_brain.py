"""Stage EXTRACT_BRAIN: bias correction and brain mask of one scan."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from counterwarp.brain.extraction import extract_brain as extract
from counterwarp.brain.extraction import mask_of_stripped
from counterwarp.brain.head_template import build_head_template
from counterwarp.core import images, layout, scans
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ExtractionSettings


def extract_brain(
    scan_id: str, t1w: Path, mask: Path | None, skull_stripped: bool, templates: Path | None, output: Path,
    settings: ExtractionSettings,
) -> dict[str, Any]:  # fmt: skip
    """Write the bias-corrected T1w and the mask on the scan's grid; of a bad scan only a FAIL record.

    Parameters
    ----------
    templates : output of prepare-templates; None builds the head template for this scan alone (25 CPU seconds)

    Returns
    -------
    The record, as written.

    Raises
    ------
    InputError
        If the templates are missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    record_file = output / layout.extraction_record(scan_id)
    with stage_record(record_file, "extract_brain", settings, t1w=t1w, mask=mask) as record:
        record |= {"scan_id": scan_id, "status": "PASS", "reasons": [], "metrics": {}}
        head, head_mask = _head_template(templates)
        try:
            scan = scans.load_t1w(t1w)
            record["t1w_sha256"] = hashlib.sha256(np.asarray(scan.dataobj, np.float32).tobytes()).hexdigest()
            given = scans.load_t1w(mask) if mask else mask_of_stripped(scan) if skull_stripped else None
            result = extract(scan, head, head_mask, settings, given)
        except (InputError, RuntimeError) as error:  # RuntimeError: ITK and ANTs
            record |= {"status": "FAIL", "reasons": [str(error)]}
            return record
        record["metrics"] = result.metrics
        nib.save(result.t1w, output / layout.native_t1w(scan_id))
        nib.save(result.mask, output / layout.native_mask(scan_id))
    return record


def _head_template(folder: Path | None) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Head and its brain mask, prepared or built now."""
    if folder is None:
        built = build_head_template()
        return built["head"], built["head_mask"]
    head, mask = (images.read(folder / f"head_{kind}.nii.gz", "prepare-templates") for kind in ("T1w", "mask"))
    return head, mask
