"""Stage MAP_JACOBIANS: the products of every held-out scan of one chunk of a fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.files import BackgroundWriter
from counterwarp.core.geometry import Grid
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import JacobianSettings
from counterwarp.explain.jacobians import Explanation, explain
from counterwarp.networks.classifier import load_target_classifier
from counterwarp.networks.fields import VELOCITY
from counterwarp.networks.simulator import load_target_simulator, read_margin

MEANINGS: dict[str, dict[str, Any]] = {
    "logjacobian": {
        "Units": "natural log of the volume ratio",
        "Sign": "negative: this tissue loses volume in the counterfactual; positive: it gains",
    },
    "T1w": {"Units": "z-scored intensity", "SkullStripped": True},
    "warp": {
        "Units": "mm",
        "Frame": "LPS+ (ITK)",
        "Description": "simulated(p) = aligned T1w(p + u(p)); apply to the aligned T1w with antsApplyTransforms",
    },
    "velocity": {
        "Units": "mm",
        "Frame": "LPS+ (ITK)",
        "Description": "stationary velocity field v; the warp at dose t in [0, 1] is exp(t v)",
    },
}


def map_jacobians(
    cohort: Path, classifier: Path, simulator: Path, fold: int, chunk: int, device: str, output: Path,
    settings: JacobianSettings, target: str = "",
) -> None:  # fmt: skip
    """Write log-Jacobian, simulated T1w, warp and velocity per scan and direction, and two tables of the chunk.

    A simulator of displacements has no velocity: the warp is all there is of it, and the log-Jacobian is that of the
    inverse found by iteration, which means nothing where the warp folds (``folding_fraction``).
    Of several case groups, the ``target`` is explained: in the scans of the controls and its own.
    The networks are read once, and a scan's files are written while the next scan is computed.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"cohort": cohort, "classifier": classifier, "simulator": simulator, "fold": fold, "chunk": chunk}
    inputs["target"] = target
    name = f"fold-{fold}_chunk-{chunk}"
    with stage_record(output / f"jacobians_{name}.json", "map_jacobians", settings, **inputs) as record:
        store = CohortStore(cohort, target)
        simulate, classify, spacing = (
            load_target_simulator(simulator, target, device),
            load_target_classifier(classifier, target, device),
            store.grid.spacing,
        )
        margin = read_margin(simulator, target)
        brain = torch.from_numpy(store.brain_mask).to(device)
        index = store.index
        rows, paths = [], []
        with BackgroundWriter() as write:
            for position in index.index[(index["fold"] == fold) & (index["chunk"] == chunk)]:
                scan = index.loc[position]
                image = torch.from_numpy(store.images[position].astype(np.float32))[None, None].to(device)
                results = explain(
                    classify, simulate, image, spacing, brain, margin, settings.doses, simulate.field,
                    cycle=settings.cycle, largest_scale=settings.largest_scale,
                )  # fmt: skip
                for direction, result in results.items():
                    common = {"Direction": direction, "Fold": fold}
                    common |= {"GeneratedBy": [{"Name": "counterwarp", "Version": record["version"]}]}
                    _save(write, output, scan["scan_id"], direction, result, brain, store.grid, common)
                    if simulate.field == VELOCITY:
                        path = output / layout.velocity(scan["scan_id"], direction)
                        velocity, grid = _in_file_order(result.field), store.grid.coarser(2)
                        write(images.save_displacement, path, velocity, grid, MEANINGS["velocity"] | common)
                    rows.append(_row(scan, fold, direction, result, margin))
                    dose = np.linspace(0, 1, settings.doses + 1).round(2)
                    logits = {"dose": dose, "logit": result.dose_logits.tolist()}
                    paths.append(pd.DataFrame({"scan_id": scan["scan_id"], "direction": direction, **logits}))
        pd.DataFrame(rows).to_csv(output / f"explanations_{name}.csv", index=False)
        pd.concat(paths).round(4).to_csv(output / f"doses_{name}.csv", index=False)


def _save(
    write: BackgroundWriter, output: Path, scan_id: str, direction: str, result: Explanation, brain: Tensor,
    grid: Grid, common: dict[str, Any],
) -> None:  # fmt: skip
    """Write the images of one scan and direction on the network grid, each with its sidecar."""
    sidecar = {suffix: {**meaning, **common} for suffix, meaning in MEANINGS.items()}
    jacobian, simulated, displacement = (
        _in_file_order(image) for image in (result.log_jacobian.where(brain, 0), result.simulated, result.displacement)
    )
    write(images.save, output / layout.log_jacobian(scan_id, direction), jacobian, grid, sidecar["logjacobian"])
    write(images.save, output / layout.simulated_t1w(scan_id, direction), simulated, grid, sidecar["T1w"])
    write(images.save_displacement, output / layout.warp(scan_id, direction), displacement, grid, sidecar["warp"])


def _in_file_order(image: Tensor) -> np.ndarray:
    """An image (X, Y, Z) as it is, a field (D, X, Y, Z) as (X, Y, Z, D); float32, x fastest in memory as in NIfTI."""
    return image.float().transpose(-1, -3).contiguous().cpu().numpy().T


def _row(scan: pd.Series, fold: int, direction: str, result: Explanation, margin: float) -> dict[str, Any]:
    """One line of the chunk's table; logits, mm."""
    return {
        "scan_id": scan["scan_id"],
        "participant_id": scan["participant_id"],
        "fold": fold,
        "is_case": int(scan["is_case"]),
        "direction": direction,
        "logit": result.logit,
        "logit_simulated": result.logit_simulated,
        "margin": margin,
        "margin_reached": int(result.margin_reached),
        "velocity_scale": result.scale,
        "folding_fraction": result.folding_fraction,
        "dose_to_flip": result.dose_to_flip,
        "mean_displacement_mm": result.mean_displacement,
        "logit_returned": result.back and result.back.logit,
        "cycle_error": result.back and result.back.image_error,
        "cycle_mm": result.back and result.back.field_error,
    }
