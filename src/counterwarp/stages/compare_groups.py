"""Stage COMPARE_GROUPS: mean maps over participants and their agreement with the planted truth."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid
from counterwarp.core.provenance import stage_record
from counterwarp.explain import saliency
from counterwarp.explain.evaluation import compare_maps, finite, magnitude_share, signed_ncc
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION, MeanMap, load_on_grid, truth_on_grid

LOG_UNITS = "natural log of the volume ratio"
TISSUE_SIGN = "negative: this tissue loses volume in the counterfactual; positive: it gains"

# Name -> (suffix, unit, sign, what is averaged).
MAPS = {
    "injectControl": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "inject over controls"),
    "removeCase": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "remove over cases"),
    "aligned": (
        "logjacobian",
        LOG_UNITS,
        "negative: smaller in cases; positive: larger in cases",
        "inject of controls and minus remove of cases over everyone",
    ),
    "truthInjectControl": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "planted inject over controls"),
    "truthRemoveCase": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "planted remove over cases"),
    "truth": (
        "logjacobian",
        LOG_UNITS,
        "negative: smaller in cases; positive: larger in cases",
        "planted inject of controls and minus planted remove of cases over everyone",
    ),
} | {
    method: ("saliency", saliency.SIDECAR["Units"], saliency.SIDECAR["Sign"], f"{method} saliency over everyone")
    for method in saliency.METHODS
}


@dataclass(frozen=True)
class Sources:
    """Folders of the maps of single scans."""

    maps: Path
    transforms: Path
    truth: Path | None


def compare_groups(cohort: Path, maps: Path, transforms: Path, truth: Path | None, output: Path) -> None:
    """Write the group maps and ``comparison.json``.

    A control counts with its inject map, a case with its remove map; a participant with several scans counts once.

    Raises
    ------
    InputError
        If a map, an affine or a truth of a scan is missing, or a map lies on another grid.
    """
    inputs = {"cohort": cohort, "maps": maps, "transforms": transforms, "truth": truth}
    with stage_record(output / "comparison.json", "compare_groups", **inputs) as record:
        store = CohortStore(cohort)
        means, scans = _accumulate(store, Sources(maps, transforms, truth))
        mean_maps = {name: mean.mean for name, mean in means.items()}
        for name, values in mean_maps.items():
            _save(output, name, np.where(store.brain_mask, values, 0), store, record["version"])
        record["participants"] = _count(store)
        record["scans"] = finite(scans)
        record |= finite(_compare(mean_maps, store.brain_mask))
        if truth is not None:
            record["truth"] |= finite(_summarise(scans)) | {"planted": _planted(truth)}


def _accumulate(store: CohortStore, sources: Sources) -> tuple[dict[str, MeanMap], list[dict[str, Any]]]:
    """Read every scan's maps once: running means by name, and each scan's agreement with its own truth."""
    means: dict[str, MeanMap] = defaultdict(lambda: MeanMap(store.grid.shape))
    index = store.index
    scans_of = index.groupby("participant_id")["scan_id"].transform("count")
    rows = []
    for scan_id, is_case, scans in zip(index["scan_id"], index["is_case"], scans_of, strict=True):
        maps = _scan_maps(scan_id, is_case, store.grid, sources)
        for name, values in maps.items():
            means[name].add(values, 1 / scans)
        row = {"scan_id": scan_id, "direction": DIRECTION[is_case]}
        if "truth" in maps:
            row["signed_ncc"] = signed_ncc(maps["aligned"], maps["truth"], store.brain_mask)
            row |= {
                f"{method}_signed_ncc": signed_ncc(maps[method], maps["truth"], store.brain_mask)
                for method in saliency.METHODS
            }
        rows.append(row)
    return means, rows


def _scan_maps(scan_id: str, is_case: int, grid: Grid, sources: Sources) -> dict[str, np.ndarray]:
    """One scan's part of each group map, by the group map's name."""
    direction, group = DIRECTION[is_case], "Case" if is_case else "Control"
    sign = ALIGNMENT[direction]
    explanation = load_on_grid(sources.maps / layout.log_jacobian(scan_id, direction), grid)
    maps = {f"{direction}{group}": explanation, "aligned": sign * explanation}
    for method in saliency.METHODS:
        maps[method] = load_on_grid(sources.maps / layout.saliency(scan_id, method), grid)
    if sources.truth is not None:
        planted = truth_on_grid(
            sources.truth / layout.truth_log_jacobian(scan_id, direction),
            sources.transforms / layout.affine(scan_id),
            grid,
        )
        maps |= {f"truth{direction.title()}{group}": planted, "truth": sign * planted}
    return maps


def _compare(maps: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, Any]:
    """Agreement of the mean maps with each other and, if it is known, with the truth."""
    found: dict[str, Any] = {
        "consistency": {"inject_with_minus_remove_ncc": signed_ncc(maps["injectControl"], -maps["removeCase"], brain)},
        "saliency": {
            method: {"with_log_jacobian": compare_maps(maps[method], maps["aligned"], brain)}
            for method in saliency.METHODS
        },
    }
    if "truth" not in maps:
        return found
    for method in saliency.METHODS:
        agreement = compare_maps(maps[method], maps["truth"], brain)
        found["saliency"][method] |= {f"group_{key}": value for key, value in agreement.items()}
    found["truth"] = {
        **{f"group_{key}": value for key, value in compare_maps(maps["aligned"], maps["truth"], brain).items()},
        "inject_signed_ncc": signed_ncc(maps["injectControl"], maps["truthInjectControl"], brain),
        "remove_signed_ncc": signed_ncc(maps["removeCase"], maps["truthRemoveCase"], brain),
        "magnitude_share": magnitude_share(maps["aligned"], maps["truth"], brain),
    }
    return found


def _summarise(scans: list[dict[str, Any]]) -> dict[str, Any]:
    """Median over scans of the agreement with each one's own truth (constant truths have none)."""
    keys = [key for key in scans[0] if key.endswith("signed_ncc")]
    values = {key: np.array([scan[key] for scan in scans]) for key in keys}
    return {f"participant_{key}": float(np.nanmedian(v)) if np.isfinite(v).any() else None for key, v in values.items()}


def _planted(truth: Path) -> dict[str, Any]:
    """What the simulated cohort says of its own effect."""
    path = truth / "truth.json"
    if not path.is_file():
        raise InputError(f"{path}: expected the record of a simulated cohort, found no such file.")
    return json.loads(path.read_text())


def _count(store: CohortStore) -> dict[str, int]:
    """Participants per group that the means rest on."""
    people = store.index.drop_duplicates("participant_id")["is_case"]
    return {"case": int((people == 1).sum()), "control": int((people == 0).sum())}


def _save(output: Path, name: str, values: np.ndarray, store: CohortStore, version: str) -> None:
    """Write one mean map with its sidecar."""
    suffix, units, sign, description = MAPS[name]
    sidecar = {
        "Description": f"mean {description}",
        "Units": units,
        "Sign": sign,
        "Participants": _count(store),
        "GeneratedBy": [{"Name": "counterwarp", "Version": version}],
    }
    images.save(output / layout.group_map(name, suffix), values.astype(np.float32), store.grid, sidecar)
