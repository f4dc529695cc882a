"""Stage MAP_JACOBIANS: the products of every held-out scan of one chunk of a fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.provenance import stage_record
from counterwarp.explain.jacobians import DOSES, Explanation, explain
from counterwarp.networks.classifier import load_classifier
from counterwarp.networks.simulator import load_simulator

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
    cohort: Path, classifier: Path, simulator: Path, fold: int, chunk: int, device: str, output: Path
) -> None:
    """Write log-Jacobian, simulated T1w, warp and velocity per scan and direction, and two tables of the chunk."""
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"cohort": cohort, "classifier": classifier, "simulator": simulator, "fold": fold, "chunk": chunk}
    name = f"fold-{fold}_chunk-{chunk}"
    with stage_record(output / f"jacobians_{name}.json", "map_jacobians", **inputs) as record:
        store = CohortStore(cohort)
        networks = load_simulator(simulator, device), load_classifier(classifier, device)
        margin = json.loads((simulator / "simulator.json").read_text())["margin"]
        brain = torch.from_numpy(store.brain_mask).to(device)
        index = store.index
        rows, doses = [], []
        for position in np.flatnonzero((index["fold"] == fold) & (index["chunk"] == chunk)):
            scan = index.iloc[position]
            image = torch.from_numpy(store.images[position].astype(np.float32))[None, None].to(device)
            for direction in layout.DIRECTIONS:
                result = explain(*networks, image, direction, store.grid.spacing, brain, margin)
                _save(output, scan["scan_id"], direction, result, store, fold, record["version"])
                rows.append(_row(scan, fold, direction, result, margin))
                path = {"dose": DOSES.round(decimals=2).tolist(), "logit": result.dose_logits.tolist()}
                doses.append(pd.DataFrame({"scan_id": scan["scan_id"], "direction": direction, **path}))
        pd.DataFrame(rows).to_csv(output / f"explanations_{name}.csv", index=False)
        pd.concat(doses).round(4).to_csv(output / f"doses_{name}.csv", index=False)


def _save(
    output: Path, scan_id: str, direction: str, result: Explanation, store: CohortStore, fold: int, version: str
) -> None:
    """Write the four images of one scan and direction, each with its sidecar."""
    common = {"Direction": direction, "Fold": fold, "GeneratedBy": [{"Name": "counterwarp", "Version": version}]}
    sidecar = {suffix: {**meaning, **common} for suffix, meaning in MEANINGS.items()}
    brain = store.brain_mask
    images.save(
        output / layout.log_jacobian(scan_id, direction),
        np.where(brain, result.log_jacobian.cpu().numpy(), 0).astype(np.float32),
        store.grid,
        sidecar["logjacobian"],
    )
    images.save(
        output / layout.simulated_t1w(scan_id, direction),
        result.simulated.float().cpu().numpy(),
        store.grid,
        sidecar["T1w"],
    )
    images.save_displacement(
        output / layout.warp(scan_id, direction),
        result.displacement.movedim(0, -1).cpu().numpy(),
        store.grid,
        sidecar["warp"],
    )
    images.save_displacement(
        output / layout.velocity(scan_id, direction),
        result.velocity.movedim(0, -1).cpu().numpy(),
        store.grid.coarser(2),
        sidecar["velocity"],
    )


def _row(scan: pd.Series, fold: int, direction: str, result: Explanation, margin: float) -> dict:
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
        "folding_fraction": result.folding_fraction,
        "dose_to_flip": result.dose_to_flip,
        "mean_displacement_mm": result.mean_displacement,
    }
