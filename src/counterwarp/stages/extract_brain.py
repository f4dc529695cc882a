"""Stage EXTRACT_BRAIN: bias correction and brain mask of one scan."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib

from counterwarp.brain.extraction import extract_brain as extract
from counterwarp.brain.extraction import mask_of_stripped
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ExtractionSettings


def extract_brain(
    scan_id: str, t1w: Path, mask: Path | None, skull_stripped: bool, templates: Path, output: Path,
    settings: ExtractionSettings,
) -> None:  # fmt: skip
    """Write the bias-corrected T1w and the mask on the scan's grid; of a bad scan only a FAIL record.

    Raises
    ------
    InputError
        If the templates are missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    head, head_mask = (images.read(templates / f"head_{k}.nii.gz", "prepare-templates") for k in ("T1w", "mask"))
    record_file = output / layout.scan_file(scan_id, "extraction.json").replace("_extraction", "_desc-extraction")
    with stage_record(record_file, "extract_brain", settings, t1w=t1w, mask=mask) as record:
        record |= {"scan_id": scan_id, "status": "PASS", "reasons": [], "metrics": {}}
        try:
            scan = images.load_t1w(t1w)
            given = images.load_t1w(mask) if mask else mask_of_stripped(scan) if skull_stripped else None
            result = extract(scan, head, head_mask, settings, given)
        except (InputError, RuntimeError) as error:  # RuntimeError: ITK and ANTs
            record |= {"status": "FAIL", "reasons": [str(error)]}
            return
        record["metrics"] = result.metrics
        nib.save(result.t1w, output / layout.native_t1w(scan_id))
        nib.save(result.mask, output / layout.native_mask(scan_id))
