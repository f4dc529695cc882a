"""Stage COMPARE_GROUPS: group maps with inference, regions, and their agreement with the planted truth."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import smooth_img

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout, templates
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.geometry import Grid, read_itk_affine
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import ComparisonSettings
from counterwarp.explain import agreement, region_tables, saliency
from counterwarp.explain.evaluation import finite
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION, MeanMap, load_on_grid, truth_on_grid
from counterwarp.explain.inference import Design, infer, make_design, residual_smoothness
from counterwarp.explain.regions import Regions, regions_on_grid

LOG_UNITS = "natural log of the volume ratio"
TISSUE_SIGN = "negative: this tissue loses volume in the counterfactual; positive: it gains"
CASE_SIGN = "negative: smaller in cases; positive: larger in cases"
BRAIN_VOLUME = "brain_volume_ml"  # a covariate that is not in the samplesheet but in the scans' records

# Name -> (suffix, unit, sign, what is averaged).
MAPS = {
    "injectControl": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "inject over controls"),
    "removeCase": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "remove over cases"),
    "aligned": ("logjacobian", LOG_UNITS, CASE_SIGN, "inject of controls and minus remove of cases over everyone"),
    "truthInjectControl": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "planted inject over controls"),
    "truthRemoveCase": ("logjacobian", LOG_UNITS, TISSUE_SIGN, "planted remove over cases"),
    "truth": (
        "logjacobian", LOG_UNITS, CASE_SIGN,
        "planted inject of controls and minus planted remove of cases over everyone",
    ),
} | {
    name: ("saliency", method.sidecar["Units"], method.sidecar["Sign"], f"{method.title} saliency over everyone")
    for name, method in saliency.METHODS.items()
}  # fmt: skip
GROUP_DIFFERENCE = "groupDifference"
ENHANCED = ("aligned", GROUP_DIFFERENCE)  # contrasts with TFCE, which takes nearly all of the statistics' time
AVERAGED = {name: entry[3] for name, entry in MAPS.items()} | {GROUP_DIFFERENCE: "half of inject minus remove"}
STATISTICS = {
    "t": "t statistic",
    "effect": "Cohen's d of the mean, or partial correlation with the tested covariate",
    "effectLow": "lower end of the effect's 95 % interval",
    "effectHigh": "upper end of the effect's 95 % interval",
    "log10pFWE": "-log10 of the family-wise corrected p (largest |t|); above 1.3 is p < 0.05",
    "log10pTFCE": "-log10 of the family-wise corrected p (largest TFCE score); above 1.3 is p < 0.05",
    "qFDR": "false discovery rate at which the voxel is found (Benjamini-Hochberg)",
}


@dataclass(frozen=True)
class Sources:
    """The maps of single scans."""

    maps: FileTree
    transforms: FileTree
    truth: Path | None
    saliency: list[str]  # methods of which there are maps


@dataclass
class Gathered:
    """What one pass over the scans leaves: memory grows with participants x brain voxels, for the inference."""

    means: dict[str, MeanMap]
    aligned: np.ndarray  # (participants, brain voxels) float32, log-Jacobian of the own direction, sign-aligned
    both: np.ndarray  # the same, the mean of both directions: half of inject minus remove
    scans: list[dict[str, Any]] = field(default_factory=list)
    regions: list[pd.DataFrame] = field(default_factory=list)


def compare_groups(
    cohort: Path,
    maps: Path,
    transforms: Path,
    truth: Path | None,
    seed: int,
    output: Path,
    settings: ComparisonSettings,
) -> None:
    """Write the group maps, their statistics, the region tables and ``comparison.json``.

    A control counts with its inject map, a case with its remove map; a participant with several scans counts once.

    Raises
    ------
    InputError
        If a map, an affine or a truth of a scan is missing, a map lies on another grid, or a covariate is unusable.
    """
    inputs = {"cohort": cohort, "maps": maps, "transforms": transforms, "truth": truth, "seed": seed}
    with stage_record(output / "comparison.json", "compare_groups", settings, **inputs) as record:
        store = CohortStore(cohort)
        sources = Sources(FileTree(maps), FileTree(transforms), truth, _saliency_methods(FileTree(maps), store))
        people = _people(store, settings, sources.transforms)
        regions = regions_on_grid(*templates.atlas(settings.atlas), store.grid)
        gathered = _gather(store, sources, people, regions, settings)
        mean_maps = {name: mean.mean for name, mean in gathered.means.items()}
        for name, values in mean_maps.items():
            _save(output, name, np.where(store.brain_mask, values, 0), store, record["version"])
        record["participants"] = _count(people)
        record["scans"] = finite(gathered.scans)
        record |= finite(agreement.agreement(mean_maps, store.brain_mask))
        if truth is not None:
            record["truth"] |= finite(agreement.summarise(gathered.scans)) | {"planted": _planted(truth)}
        record["typicality"] = dict(zip(people["participant_id"], agreement.typicality(gathered.aligned), strict=True))
        record["inference"] = finite(_infer(output, store, people, gathered, settings, seed))
        planted = regions.volume_change(mean_maps["truth"]) if "truth" in mean_maps else None
        region_tables.write(
            output, pd.concat(gathered.regions, ignore_index=True), people, regions, settings, seed, planted
        )


def _people(store: CohortStore, settings: ComparisonSettings, transforms: FileTree) -> pd.DataFrame:
    """One row per participant, with the brain's volume if it is a covariate."""
    index = store.index
    if BRAIN_VOLUME in (settings.tested, *settings.nuisance):
        records = [
            json.loads((transforms / f"{scan}_desc-qc.json").read_text(encoding="utf-8")) for scan in index["scan_id"]
        ]
        index = index.assign(**{BRAIN_VOLUME: [record["metrics"][BRAIN_VOLUME] for record in records]})
    return index.drop_duplicates("participant_id").reset_index(drop=True)


def _saliency_methods(maps: FileTree, store: CohortStore) -> list[str]:
    """Methods of which at least one scan has a map; then every scan must have one."""
    scans = store.index["scan_id"]
    return [m for m in saliency.METHODS if any((maps / layout.saliency(scan, m)).is_file() for scan in scans)]


def _gather(
    store: CohortStore, sources: Sources, people: pd.DataFrame, regions: Regions, settings: ComparisonSettings
) -> Gathered:
    """Read every scan's maps once."""
    brain, index = store.brain_mask, store.index
    size = (len(people), int(brain.sum()))
    gathered = Gathered(
        defaultdict(lambda: MeanMap(store.grid.shape)), np.zeros(size, np.float32), np.zeros(size, np.float32)
    )
    scans_of = index.groupby("participant_id")["scan_id"].transform("count")
    person_of = pd.Series(people.index, index=people["participant_id"])
    for scan_id, participant, is_case, scans in zip(
        index["scan_id"], index["participant_id"], index["is_case"], scans_of, strict=True
    ):
        directions = {
            d: load_on_grid(sources.maps / layout.log_jacobian(scan_id, d), store.grid) for d in layout.DIRECTIONS
        }
        maps = _scan_maps(scan_id, is_case, directions[DIRECTION[is_case]], store.grid, sources)
        for name, values in maps.items():
            gathered.means[name].add(values, 1 / scans)
        both = (directions["inject"] - directions["remove"]) / 2
        for rows, values in ((gathered.aligned, maps["aligned"]), (gathered.both, both)):
            smooth = _smooth(values, store.grid, settings.smoothing)
            rows[person_of[participant]] += np.nan_to_num(smooth[brain]) / scans
        gathered.scans.append({"scan_id": scan_id, "direction": DIRECTION[is_case], **agreement.of_scan(maps, brain)})
        to_native = abs(np.linalg.det(read_itk_affine(sources.transforms / layout.affine(scan_id))[:3, :3]))
        table = region_tables.of_scan(directions, is_case, regions, to_native)
        gathered.regions.append(table.assign(scan_id=scan_id, participant_id=participant, is_case=is_case))
    return gathered


def _smooth(values: np.ndarray, grid: Grid, fwhm: float) -> np.ndarray:
    return smooth_img(nib.Nifti1Image(values, grid.affine), fwhm).get_fdata() if fwhm else values


def _scan_maps(
    scan_id: str, is_case: int, explanation: np.ndarray, grid: Grid, sources: Sources
) -> dict[str, np.ndarray]:
    """One scan's part of each group map, by the group map's name."""
    direction, group = DIRECTION[is_case], "Case" if is_case else "Control"
    sign = ALIGNMENT[direction]
    maps = {f"{direction}{group}": explanation, "aligned": sign * explanation}
    for method in sources.saliency:
        maps[method] = load_on_grid(sources.maps / layout.saliency(scan_id, method), grid)
    if sources.truth is not None:
        planted = truth_on_grid(
            sources.truth / layout.truth_log_jacobian(scan_id, direction),
            sources.transforms / layout.affine(scan_id),
            grid,
        )
        maps |= {f"truth{direction.title()}{group}": planted, "truth": sign * planted}
    return maps


def _contrasts(people: pd.DataFrame, gathered: Gathered, tested: str) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """Name -> (rows of people, their values, tested variable)."""
    is_case = people["is_case"].to_numpy()
    controls, cases, everyone = np.flatnonzero(is_case == 0), np.flatnonzero(is_case == 1), np.arange(len(people))
    return {
        "injectControl": (controls, gathered.aligned[controls], tested),
        "removeCase": (cases, -gathered.aligned[cases], tested),
        "aligned": (everyone, gathered.aligned, tested),
        GROUP_DIFFERENCE: (everyone, gathered.both, "is_case"),
    }


def _infer(
    output: Path, store: CohortStore, people: pd.DataFrame, gathered: Gathered, settings: ComparisonSettings, seed: int
) -> dict[str, Any]:
    """Statistics of every contrast: their images, their designs as tables, and a summary."""
    summary = {}
    for name, (rows, voxels, tested) in _contrasts(people, gathered, settings.tested).items():
        design = make_design(people, rows, tested, settings.nuisance)
        enhance = store.brain_mask if settings.tfce and name in ENHANCED else None
        statistics = infer(voxels, design, settings.permutations, seed, enhance)
        for statistic, values in statistics.items():
            volume = np.zeros(store.grid.shape, np.float32)
            volume[store.brain_mask] = values
            images.save(
                output / layout.group_statistic(name, statistic), volume, store.grid,
                {"Description": STATISTICS[statistic], "Map": AVERAGED[name], "Tested": tested},
            )  # fmt: skip
        design.table.to_csv(output / f"design_{name}.csv", index=False)
        summary[name] = _summary(statistics, design) | {
            "fwhm_mm": residual_smoothness(voxels, design, store.brain_mask, store.grid.spacing)
        }
    return summary


def _summary(statistics: dict[str, np.ndarray], design: Design) -> dict[str, Any]:
    """Share of the brain that is significant under each correction, and the smallest p that was possible."""
    return {
        "participants": len(design.rows),
        "folds": len(np.unique(design.folds)),
        "degrees_of_freedom": design.degrees_of_freedom,
        "smallest_p": design.smallest_p,
        "significant_share": {
            name: float(((values < 0.05) if name == "qFDR" else (values > -np.log10(0.05))).mean())
            for name, values in statistics.items()
            if name in ("log10pFWE", "log10pTFCE", "qFDR")
        },
    }


def _planted(truth: Path) -> dict[str, Any]:
    """What the simulated cohort says of its own effect."""
    path = truth / "truth.json"
    if not path.is_file():
        raise InputError(f"{path}: expected the record of a simulated cohort, found no such file.")
    return json.loads(path.read_text(encoding="utf-8"))


def _count(people: pd.DataFrame) -> dict[str, int]:
    """Participants per group that the means rest on."""
    return {"case": int((people["is_case"] == 1).sum()), "control": int((people["is_case"] == 0).sum())}


def _save(output: Path, name: str, values: np.ndarray, store: CohortStore, version: str) -> None:
    """Write one mean map with its sidecar."""
    suffix, units, sign, description = MAPS[name]
    sidecar = {
        "Description": f"mean {description}",
        "Units": units,
        "Sign": sign,
        "Participants": _count(store.index.drop_duplicates("participant_id")),
        "GeneratedBy": [{"Name": "counterwarp", "Version": version}],
    }
    images.save(output / layout.group_map(name, suffix), values.astype(np.float32), store.grid, sidecar)
