"""Regions of a finished run beside the volumes that a segmentation measured in the same people.

    python benchmarks/measured_regions.py RESULTS LABELS [--morphometry]

LABELS: see segmentations.py. A region's measured change is the difference of the groups' mean log share of the whole
brain. Ours is read in everybody's own region (inject of controls and minus remove of cases, people count the same), and
beside it in the regions of the run's atlas (group/regions.csv; names are matched by their letters: Left AnG angular
gyrus = AngularGyrus_L). People whose segmentation has lost a hemisphere are left out of the measured change and of ours
in their own regions, and named. RESULTS/group/measured_regions.csv is written, which the report shows beside ours.

With --morphometry the same regions are read from the classic map too: SyN of every scan, which knows all labels (ten
minutes). Printed too: how well the classifiers tell held-out scans apart, how many of them the simulators move by the
margin, and the reliability of the measured changes: how they rank those of as many other people.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from counterwarp.core import layout, templates
from counterwarp.core.geometry import Grid
from counterwarp.explain.group_maps import ALIGNMENT, DIRECTION, load_on_grid
from counterwarp.explain.regions import regions_on_grid
from counterwarp.report.results import Results
from counterwarp.stages.evaluate import brain_of
from morphometry import group_difference
from segmentations import OwnMap, Segmentations, agreement, key, read_segmentations


def classic_map(results: Results, index: pd.DataFrame, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """log-Jacobian of the cases minus the controls by morphometry of a run's aligned scans, (X, Y, Z)."""
    scans = (load_on_grid(results.one(layout.aligned_t1w(scan)), grid) for scan in index["scan_id"])
    return group_difference(scans, index["is_case"].to_numpy() == 1, brain, grid)


def own_maps(results: Results, index: pd.DataFrame, grid: Grid, classic: np.ndarray | None = None) -> Iterator[OwnMap]:
    """Inject of every control and remove of every case, or of everybody the classic map."""
    for scan in index.itertuples():
        direction, affine = DIRECTION[scan.is_case], results.one(layout.affine(scan.scan_id))
        if classic is None:
            values = load_on_grid(results.one(layout.log_jacobian(scan.scan_id, direction)), grid)
            yield OwnMap(scan.participant_id, affine, ALIGNMENT[direction], values)
        else:
            yield OwnMap(scan.participant_id, affine, 1.0, classic)


def in_atlas(group: Path, segmentations: Segmentations, measured: pd.Series) -> pd.DataFrame:
    """regions.csv with the measured change of every region of the same name, percent."""
    by_key = {key(segmentations.names[label]): value for label, value in measured.items()}
    table = pd.read_csv(group / "regions.csv")
    table["measured_percent"] = [100 * np.expm1(by_key.get(key(name), np.nan)) for name in table["region"]]
    return table


def show(own: pd.DataFrame, atlas: pd.DataFrame, names: pd.Series) -> None:
    """Every region in percent, the largest measured change first."""
    matched = atlas.assign(key=atlas["region"].map(key)).set_index("key")
    table = Table("region", "measured, %", "ours, %", "SyN, %", "ours in the atlas, %", "p between folds")
    for label, row in own.sort_values("measured", key=abs, ascending=False).iterrows():
        values = [f"{100 * np.expm1(row[name]):+.1f}" if name in row else "-" for name in ("measured", "ours", "syn")]
        there = matched.loc[key(names[label])] if key(names[label]) in matched.index else None
        others = ("-", "-") if there is None else (f"{there.change_percent:+.1f}", f"{there.p_fwe:.3f}")
        table.add_row(names[label], *values, *others)
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--morphometry", action="store_true")
    options = parser.parse_args()
    results, group = Results([options.results]), options.results / "group"
    index = results.table("index.csv")
    brain, grid = brain_of(results, index["scan_id"].iloc[0])
    is_case = index.drop_duplicates("participant_id").set_index("participant_id")["is_case"]
    segmentations = read_segmentations(options.labels, list(is_case.index))
    measured = segmentations.difference(is_case)
    atlas = in_atlas(group, segmentations, measured).dropna(subset="measured_percent")
    atlas[["region", "measured_percent"]].round(3).to_csv(group / "measured_regions.csv", index=False)
    classic = classic_map(results, index, brain, grid) if options.morphometry else None
    columns = {"measured": measured, "ours": segmentations.mean_change(own_maps(results, index, grid), grid)}
    if classic is not None:
        columns["syn"] = segmentations.mean_change(own_maps(results, index, grid, classic), grid)
    own = pd.DataFrame(columns).dropna()
    show(own, atlas, segmentations.names)
    compared = {"ours": agreement(own["ours"], own["measured"])}
    compared["ours_in_the_atlas"] = agreement(atlas["change_percent"], atlas["measured_percent"])
    if classic is not None:
        regions = regions_on_grid(*templates.atlas(), grid)
        syn = atlas["region"].map(pd.Series(regions.volume_change(classic), index=regions.names["region"]))
        compared["morphometry"] = agreement(own["syn"], own["measured"])
        compared["morphometry_in_the_atlas"] = agreement(syn, atlas["measured_percent"])
    found = atlas[atlas["p_fwe"] < 0.05]
    right = np.sign(found["change_percent"]) == np.sign(found["measured_percent"])
    evaluation = json.loads((options.results / "evaluation.json").read_text(encoding="utf-8"))
    summary = {
        "auc": evaluation["classifier"]["auc"], "auc_ci": evaluation["classifier"]["auc_ci"],
        **{name: evaluation["simulator"][name] for name in ("margin_reached", "lengthened", "folding_fraction")},
        "people_without_usable_segmentation": segmentations.failed, "reliability": segmentations.reliability(is_case),
        "regions": len(own), "regions_in_the_atlas": len(atlas), **compared,
        "significant": len(found), "significant_of_the_measured_sign": int(right.sum()),
    }  # fmt: skip
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
