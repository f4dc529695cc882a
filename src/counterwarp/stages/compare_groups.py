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
from counterwarp.explain import agreement, contrasts, flips, region_tables, saliency
from counterwarp.explain.contrasts import Contrast
from counterwarp.explain.designs import MEAN, Design
from counterwarp.explain.evaluation import finite
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION, MeanMap, load_on_grid, truth_on_grid
from counterwarp.explain.inference import infer, residual_smoothness
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
STATISTICS = {
    "t": "t statistic (of the mean between folds: corrected resampled t)",
    "moderatedT": "t with the variance between folds raised by that within folds; the family-wise p rest on it",
    "F": "F statistic of all levels of the tested covariate together",
    "effect": "Cohen's d of the mean, partial correlation with the tested covariate, or share of variance (of F)",
    "effectLow": "lower end of the effect's 95 % interval",
    "effectHigh": "upper end of the effect's 95 % interval",
    "log10pFWE": "-log10 of the family-wise corrected p (largest size); above 1.3 is p < 0.05",
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
    doses: pd.Series  # to flip, by scan_id and direction


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
    target: str = "",
) -> None:
    """Write the group maps, their statistics, the region tables and ``comparison.json``.

    A control counts with its inject map, a case with its remove map; a participant with several scans counts once.
    Of several case groups, the ``target`` is compared with the controls; its truth is in the folder target-GROUP.

    Raises
    ------
    InputError
        If a map, an affine or a truth of a scan is missing, a map lies on another grid, or a covariate is unusable.
    """
    inputs: dict[str, Any] = {"cohort": cohort, "maps": maps, "transforms": transforms, "truth": truth, "seed": seed}
    inputs["target"] = target
    with stage_record(output / "comparison.json", "compare_groups", settings, **inputs) as record:
        store = CohortStore(cohort, target)
        truth = truth / layout.target_folder(target) if truth and store.targets else truth
        products = FileTree(maps)
        methods, doses = _saliency_methods(products, store), flips.doses_to_flip(products)
        sources = Sources(products, FileTree(transforms), truth, methods, doses)
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
        asked = contrasts.standard(people, gathered.aligned, gathered.both, settings.nuisance)
        if settings.tested != MEAN:
            of_covariate = (people, gathered.aligned, gathered.both, settings.tested, settings.nuisance)
            further, record["not_asked"] = contrasts.of_covariate(*of_covariate)
            asked += further
        record["inference"] = finite(_infer(output, store, asked, settings, seed))
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
        flipped = _at_flip(scan_id, directions, sources, store.grid)
        table = region_tables.of_scan(directions, flipped, is_case, regions, to_native)
        gathered.regions.append(table.assign(scan_id=scan_id, participant_id=participant, is_case=is_case))
    return gathered


def _at_flip(
    scan_id: str, full: dict[str, np.ndarray], sources: Sources, grid: Grid
) -> dict[str, tuple[float, np.ndarray]]:
    """Dose to flip and the map at that dose, by direction; directions that the full dose does not flip are left out."""
    doses = {d: float(sources.doses.get((scan_id, d), np.nan)) for d in full}
    return {
        d: (dose, flips.at_dose(sources.maps, scan_id, d, dose, full[d], grid))
        for d, dose in doses.items()
        if np.isfinite(dose)
    }


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


def _infer(
    output: Path, store: CohortStore, asked: list[Contrast], settings: ComparisonSettings, seed: int
) -> dict[str, Any]:
    """Statistics of every contrast: their images, their designs and contrasts as tables, and a summary."""
    summary, weights = {}, []
    for contrast in asked:
        design = contrast.design
        enhance = store.brain_mask if settings.tfce and contrast.enhanced else None
        statistics = infer(contrast.values, design, settings.permutations, seed, enhance, contrast.comparisons)
        for statistic, values in statistics.items():
            volume = np.zeros(store.grid.shape, np.float32)
            volume[store.brain_mask] = values
            images.save(
                output / layout.group_statistic(contrast.name, statistic), volume, store.grid,
                {"Description": STATISTICS[statistic], "Map": contrast.maps, "Question": contrast.question,
                 "Tested": contrast.tested},
            )  # fmt: skip
        design.table.to_csv(output / f"design_{contrast.name}.csv", index=False)
        weights.append(design.contrast.assign(contrast=contrast.name, statistic=design.statistic))
        summary[contrast.name] = _summary(statistics, design, contrast) | {
            "fwhm_mm": residual_smoothness(contrast.values, design, store.brain_mask, store.grid.spacing)
        }
    columns = ["contrast", "statistic", "row", "column", "weight"]
    pd.concat(weights)[columns].to_csv(output / "contrasts.csv", index=False)
    return summary


def _summary(statistics: dict[str, np.ndarray], design: Design, contrast: Contrast) -> dict[str, Any]:
    """Share of the brain that is significant under each correction, and the smallest p that was possible."""
    return {
        "question": contrast.question,
        "maps": contrast.maps,
        "tested": contrast.tested,
        "statistic": design.statistic,
        "comparisons": contrast.comparisons,
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
