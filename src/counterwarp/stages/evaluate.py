"""Command evaluate: maps against what was planted or, where nothing is known of that, against the classifier."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from counterwarp.core import images, layout, templates
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid
from counterwarp.core.provenance import stage_record
from counterwarp.explain.evaluation import finite, planted_agreement
from counterwarp.explain.faithfulness import faithfulness
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION, MeanMap, load_on_grid, truth_on_grid
from counterwarp.explain.regions import regions_on_grid
from counterwarp.networks.classifier import load_target_classifier
from counterwarp.report.results import Results

LOG_JACOBIAN, DIFFERENCE, RANDOM = "log_jacobian", "image_difference", "random_order"
RETURN = ["folding_fraction", "margin_reached", "logit_return", "cycle_error", "cycle_mm"]
MEASURES = ["signed_ncc", "absolute_ncc", "masked_ncc", "magnitude_share"]


def evaluate(maps: Path, truth: Path, output: Path, target: str = "") -> dict[str, Any]:
    """Write evaluation_truth.json, evaluation_truth.md and evaluation_truth.csv (a row per participant).

    A control is measured under inject, a case under remove, each with its own truth; see ``planted_agreement`` for
    the measures. Maps of saliency methods, if there are any, are held against the same log-Jacobians.

    Parameters
    ----------
    maps : results of a run
    truth : the folder truth/ of simulate-cohort
    target : of several case groups, the one that is measured; its truth is in the folder target-GROUP

    Returns
    -------
    The record, as written.

    Raises
    ------
    InputError
        If the maps of a scan or its truth are missing, or the tables are of an earlier version.
    """
    output.mkdir(parents=True, exist_ok=True)
    with stage_record(output / "evaluation_truth.json", "evaluate", maps=maps, truth=truth, target=target) as record:
        results = Results([maps], target)
        truth = truth / layout.target_folder(target) if target else truth
        table = _own_direction(results.table("explanations_*.csv"))
        brain, grid = brain_of(results, table["scan_id"].iloc[0])
        means: dict[str, MeanMap] = defaultdict(lambda: MeanMap(grid.shape))
        rows = [
            _measure(scan, _maps_of_scan(results, truth, scan, grid), means, brain) for scan in table.to_dict("records")
        ]
        people = pd.DataFrame(rows).groupby("participant_id", sort=False).mean()
        people.round(6).to_csv(output / "evaluation_truth.csv")
        record["participants"] = len(people)
        record["participant"] = finite(people.drop(columns="is_case").median().to_dict())
        record["group"] = finite(_of_group({name: mean.mean for name, mean in means.items()}, brain))
        record["regions"] = _regions(truth, means, grid)
        (output / "evaluation_truth.md").write_text(markdown(record), encoding="utf-8")
    return record


def evaluate_faithfulness(maps: Path, seed: int, output: Path, target: str = "") -> dict[str, Any]:
    """Write evaluation_faithfulness.json, .md and .csv (a row per scan): see ``explain.faithfulness``.

    Every scan under its own direction and by the classifier that has not seen it; its saliency maps and a random map
    of the ``seed`` beside it.

    Parameters
    ----------
    maps : results of a run, with models/
    target : of several case groups, the one whose maps are measured

    Returns
    -------
    The record, as written; ``faithfulness`` has the medians over scans.

    Raises
    ------
    InputError
        If maps, scans or a fold's classifier are missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = {"maps": maps, "seed": seed, "target": target}
    with stage_record(output / "evaluation_faithfulness.json", "evaluate", **inputs) as record:
        results, random = Results([maps], target), np.random.default_rng(seed)
        table = results.table("explanations_*.csv")
        table = table[table["direction"] == table["is_case"].map(DIRECTION)].reset_index(drop=True)
        brain, grid = brain_of(results, table["scan_id"].iloc[0])
        rows = []
        for _, scans in table.groupby("fold"):
            classifier = load_target_classifier(_classifier(maps, int(scans["fold"].iloc[0])), target)
            for scan in scans.to_dict("records"):
                image = load_on_grid(results.one(layout.aligned_t1w(scan["scan_id"])), grid)
                found = _found(results, scan["scan_id"], scan["direction"], grid)
                found[RANDOM] = random.standard_normal(image.shape)
                row = {name: faithfulness(classifier, image, values, brain) for name, values in found.items()}
                rows.append({"scan_id": scan["scan_id"]} | row)
        scores = pd.DataFrame(rows).set_index("scan_id")
        scores.round(6).to_csv(output / "evaluation_faithfulness.csv")
        record["scans"] = len(scores)
        record["faithfulness"] = finite(scores.median().to_dict())
        (output / "evaluation_faithfulness.md").write_text(faithfulness_markdown(record), encoding="utf-8")
    return record


def _classifier(maps: Path, fold: int) -> Path:
    folder = maps / "models" / f"fold-{fold}" / "classifier"
    if not folder.is_dir():
        raise InputError(f"{folder}: expected the classifier of fold {fold}, found no such folder. Give a whole run.")
    return folder


def _own_direction(explanations: pd.DataFrame) -> pd.DataFrame:
    """The rows of inject of controls and remove of cases, with the share of the logit that returned."""
    needed = {"logit_returned", "cycle_error", "cycle_mm"}
    if missing := sorted(needed - set(explanations)):
        raise InputError(
            f"explanations_*.csv: no column {', '.join(missing)}. Run map-jacobians of this version again."
        )
    table = explanations[explanations["direction"] == explanations["is_case"].map(DIRECTION)]
    there = table["logit_simulated"] - table["logit"]
    returned = (table["logit_simulated"] - table["logit_returned"]) / there
    return table.assign(
        logit_return=returned, scans=table.groupby("participant_id")["scan_id"].transform("nunique")
    ).reset_index(drop=True)


def brain_of(results: Results, scan_id: str) -> tuple[np.ndarray, Grid]:
    """Where maps have values: they are 0 outside of the cohort's brain mask."""
    maps = [images.load(results.one(layout.log_jacobian(scan_id, d))) for d in layout.DIRECTIONS]
    brain = np.any([values != 0 for values, _ in maps], axis=0)
    if not brain.any():
        raise InputError(f"{scan_id}: expected log-Jacobians with values, found 0 everywhere. Nothing was simulated.")
    return brain, maps[0][1]


def _maps_of_scan(
    results: Results, truth: Path, scan: dict[Any, Any], grid: Grid
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What was found and what was planted for one scan, by name, on the network grid."""
    scan_id, direction = scan["scan_id"], scan["direction"]
    found = _found(results, scan_id, direction, grid)
    affine = results.one(layout.affine(scan_id))
    planted = {LOG_JACOBIAN: truth_on_grid(truth / layout.truth_log_jacobian(scan_id, direction), affine, grid)}
    difference = truth / layout.truth_difference(scan_id, direction)
    if difference.is_file():
        simulated = load_on_grid(results.one(layout.simulated_t1w(scan_id, direction)), grid)
        found[DIFFERENCE] = simulated - load_on_grid(results.one(layout.aligned_t1w(scan_id)), grid)
        planted[DIFFERENCE] = truth_on_grid(difference, affine, grid)
    return found, planted


def _found(results: Results, scan_id: str, direction: str, grid: Grid) -> dict[str, np.ndarray]:
    """The log-Jacobian and the saliency maps of a scan, by name."""
    found = {LOG_JACOBIAN: load_on_grid(results.one(layout.log_jacobian(scan_id, direction)), grid)}
    for path in results.all(f"{scan_id}_space-*_saliency.nii.gz"):
        found[path.name.partition("_desc-")[2].partition("_")[0]] = load_on_grid(path, grid)
    return found


def _measure(
    scan: dict[Any, Any], maps: tuple[dict[str, np.ndarray], ...], means: dict[str, MeanMap], brain: np.ndarray
) -> dict[str, Any]:
    """One scan's row of numbers; its maps, from control to case, are added to the means."""
    found, planted = maps
    row = {key: scan[key] for key in ("participant_id", "is_case", *RETURN)}
    sign, weight = ALIGNMENT[scan["direction"]], 1 / scan["scans"]
    for name, values in found.items():
        target = sign * planted[DIFFERENCE if name == DIFFERENCE else LOG_JACOBIAN]
        aligned = sign * values if name in planted else values  # saliency is from control to case already
        row |= {f"{name}_{measure}": value for measure, value in planted_agreement(aligned, target, brain).items()}
        means[name].add(aligned, weight)
    for name, values in planted.items():
        means[f"planted_{name}"].add(sign * values, weight)
    return row


def _of_group(maps: dict[str, np.ndarray], brain: np.ndarray) -> dict[str, dict[str, float]]:
    """Agreement of the mean maps, sign-aligned from control to case."""
    found = {name: values for name, values in maps.items() if not name.startswith("planted_")}
    targets = {name: maps[f"planted_{DIFFERENCE if name == DIFFERENCE else LOG_JACOBIAN}"] for name in found}
    return {name: planted_agreement(values, targets[name], brain) for name, values in found.items()}


def _regions(truth: Path, means: dict[str, MeanMap], grid: Grid) -> dict[str, dict[str, float]]:
    """Volume change of the planted regions from control to case, found and planted, percent."""
    record = json.loads((truth / "truth.json").read_text(encoding="utf-8"))
    regions = regions_on_grid(*templates.atlas(), grid)
    changes = {key: regions.volume_change(means[name].mean) for key, name in
               (("found_percent", LOG_JACOBIAN), ("planted_percent", f"planted_{LOG_JACOBIAN}"))}  # fmt: skip
    volumes, table = regions.names["volume_ml"], {}
    for region in record["region_changes_percent"]:
        rows = regions.names["region"].str.contains(region.replace("_", " "), case=False).to_numpy()
        table[region] = {
            key: 100 * float(np.average(change[rows], weights=volumes[rows])) for key, change in changes.items()
        }
    return table


def markdown(record: dict[str, Any]) -> str:
    """The record as tables for people."""
    group, people = record["group"], record["participant"]
    columns = [f"{of}, {measure.replace('_', ' ')}" for of in ("group", "participant") for measure in MEASURES]
    lines = [
        f"Maps of {record['participants']} held-out participants against what was planted.",
        "",
        f"| map | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for name, values in group.items():
        numbers = [values[m] for m in MEASURES] + [people[f"{name}_{m}"] for m in MEASURES]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(map(_number, numbers)) + " |")
    lines += [
        "",
        "Participants: medians. The size of a saliency map has no meaning.",
        "",
        "| median of | |",
        "|---|---|",
    ]
    lines += [f"| {name.replace('_', ' ')} | {_number(people[name], 3)} |" for name in RETURN]
    lines += ["", "| planted region | found, % | planted, % |", "|---|---|---|"]
    for name, change in record["regions"].items():
        lines.append(f"| {name.replace('_', ' ')} | {change['found_percent']:.1f} | {change['planted_percent']:.1f} |")
    return "\n".join(lines) + "\n"


def faithfulness_markdown(record: dict[str, Any]) -> str:
    """The medians as a table for people."""
    lines = [
        f"Deletion and insertion in {record['scans']} held-out scans, medians.",
        "",
        "| map | faithfulness |",
        "|---|---|",
    ]
    lines += [f"| {name.replace('_', ' ')} | {_number(value)} |" for name, value in record["faithfulness"].items()]
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
