"""Stage EXTRACT_BRAIN: all of one scan that ANTs does: bias correction, brain mask and the affine to MNI152."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from counterwarp.brain.alignment import affine_to_mni152, registration_targets
from counterwarp.brain.extraction import extract_brain as extract
from counterwarp.brain.extraction import mask_of_stripped
from counterwarp.core import images, layout, scans
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import write_itk_affine
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ExtractionSettings

MADE_BY = "prepare-templates"


def extract_brain(
    scan_id: str, t1w: Path, mask: Path | None, skull_stripped: bool, templates: Path | None, output: Path,
    settings: ExtractionSettings,
) -> dict[str, Any]:  # fmt: skip
    """Write the bias-corrected T1w and the mask on the scan's grid, and the affine; of a bad scan only a FAIL record.

    Parameters
    ----------
    templates : output of prepare-templates; None prepares them for this scan alone

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
    with (
        stage_record(record_file, "extract_brain", settings, t1w=t1w, mask=mask) as record,
        tempfile.TemporaryDirectory() as temporary,
    ):
        record |= {"scan_id": scan_id, "status": "PASS", "reasons": [], "metrics": {}}
        folder = templates or _prepared(Path(temporary))
        head, head_mask = (images.read(folder / f"head_{kind}.nii.gz", MADE_BY) for kind in ("T1w", "mask"))
        targets = registration_targets(folder)
        try:
            scan = scans.load_t1w(t1w)
            record["t1w_sha256"] = hashlib.sha256(np.asarray(scan.dataobj, np.float32).tobytes()).hexdigest()
            given = scans.load_t1w(mask) if mask else mask_of_stripped(scan) if skull_stripped else None
            result = extract(scan, head, head_mask, settings, given)
            affine = affine_to_mni152(result, *targets)
        except (InputError, RuntimeError) as error:  # RuntimeError: ITK and ANTs
            record |= {"status": "FAIL", "reasons": [str(error)]}
            return record
        record["metrics"] = result.metrics
        nib.save(result.t1w, output / layout.native_t1w(scan_id))
        nib.save(result.mask, output / layout.native_mask(scan_id))
        write_itk_affine(output / layout.affine(scan_id), affine)
    return record


def _prepared(folder: Path) -> Path:
    """The embedded templates; the network grid does not matter here."""
    from counterwarp.stages.prepare_templates import prepare_templates  # loads nilearn, seconds of every task

    prepare_templates(4.0, None, folder)
    return folder
