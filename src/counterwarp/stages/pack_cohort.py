"""Stage PACK_COHORT: the quality gate, the folds and the memory-mapped store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from counterwarp.cohort.matching import Matching, check_matching, match_groups
from counterwarp.cohort.review import apply_decisions, quality_table, read_decisions, read_verdict
from counterwarp.cohort.seen import check_models, exclude_seen, scan_hash
from counterwarp.cohort.targets import of_target, one_or_all, target_groups
from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.provenance import stage_record
from counterwarp.report.quality import write_quality_page


def pack_cohort(
    cohort_table: Path, aligned: Path, templates: Path, folds: int, chunk_size: int, seed: int, output: Path,
    decisions: Path | None = None, models: Path | None = None, matching: Matching | None = None,
) -> None:  # fmt: skip
    """Write the cohort folder (see ``cohort.store``) from what preprocessing left under ``aligned``.

    Parameters
    ----------
    decisions : a reviewer's table that overrides verdicts, see ``cohort.review``
    models : networks of an earlier run, which are to explain this cohort: who trained them is left out
    matching : who of the others takes part; None: everybody

    Raises
    ------
    InputError
        If a group has fewer participants than folds after the quality gate, the decisions cannot be used,
        the models are of another grid or number of folds, or the groups cannot be matched.
    """
    output.mkdir(parents=True, exist_ok=True)
    scans = FileTree(aligned)
    inputs = {"folds": folds, "chunk_size": chunk_size, "seed": seed}
    with stage_record(output / "cohort.json", "pack_cohort", matching, **inputs) as record:
        cohort = pd.read_csv(cohort_table, dtype={"participant_id": str, "session_id": str, "group": str})
        if matching:
            check_matching(cohort, matching)
        verdicts = {scan: read_verdict(scans, scan) for scan in cohort["scan_id"]}
        if decisions:
            apply_decisions(verdicts, read_decisions(decisions, set(cohort["scan_id"])), scans)
        if models:
            check_models(models, images.load(templates / "grid_mask.nii.gz")[1], folds)
            exclude_seen(verdicts, cohort, scans, models)
        cohort["t1w_sha256"] = [scan_hash(scans, scan) for scan in cohort["scan_id"]]
        quality = quality_table(verdicts, scans)
        quality.to_csv(output / "quality.csv", index=False)
        write_quality_page(output / "quality.html", quality, scans)
        cohort["qc_status"] = [verdicts[scan].status for scan in cohort["scan_id"]]
        excluded = [
            {"scan_id": scan, "stage": verdict.stage, "reasons": "; ".join(verdict.reasons)}
            for scan, verdict in verdicts.items()
            if verdict.status == "FAIL"
        ]
        index = cohort[cohort["qc_status"] != "FAIL"].reset_index(drop=True)
        if matching:
            record["pairs"], unmatched = match_groups(index, matching)
            excluded += [
                {"scan_id": scan, "stage": "pack_cohort", "reasons": unmatched[participant]}
                for scan, participant in zip(index["scan_id"], index["participant_id"], strict=True)
                if participant in unmatched
            ]
            index = index[~index["participant_id"].isin(unmatched)].reset_index(drop=True)
        pd.DataFrame(excluded, columns=["scan_id", "stage", "reasons"]).to_csv(output / "exclusions.csv", index=False)
        if matching:
            _check_pairs(len(record["pairs"]), matching, folds)
        groups = cohort.groupby("is_case")["group"].first()
        index = assign_folds(index, folds, chunk_size, seed, len(groups))
        _pack(index["scan_id"], scans, output / "images.npy")
        index.drop(columns=["t1w", "mask"]).to_csv(output / "index.csv", index=False)
        export_tasks(index).to_csv(output / "chunks.csv", index=False)
        shutil.copyfile(templates / "grid_mask.nii.gz", output / "brain_mask.nii.gz")
        record |= {"case": one_or_all(groups.tolist()[1:]), "control": groups[0], "folds": folds, "scans": len(index)}


def _check_pairs(pairs: int, matching: Matching, folds: int) -> None:
    """Stop if there are too few pairs, or none, for the folds."""
    if pairs < folds:
        raise InputError(
            f"--match {','.join(matching.columns)}: {pairs} pair(s) of a case and a control, expected at least --folds "
            f"{folds}; exclusions.csv says who has no partner. Give a larger --match_caliper ({matching.caliper:g}), "
            "fewer columns, or fewer --folds."
        )


def assign_folds(index: pd.DataFrame, folds: int, chunk_size: int, seed: int, groups: int = 2) -> pd.DataFrame:
    """Add ``fold`` (a participant is in one fold only, groups balanced) and ``chunk`` (scans of one export task).

    Raises
    ------
    InputError
        If a group has fewer participants than folds.
    """
    members = index.groupby("is_case")["participant_id"].nunique()
    if len(members) < groups or members.min() < folds:
        named = "1 = case" if groups == 2 else "0 = control, then the case groups as in --case"
        raise InputError(
            f"after the quality gate the groups have {members.to_dict()} participants ({named}), expected at least "
            f"{folds} in each. Use fewer --folds, or see exclusions.csv."
        )
    index = index.copy()
    index["fold"] = -1
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(index, index["is_case"], index["participant_id"])):
        index.loc[held_out, "fold"] = fold
    index["chunk"] = index.groupby("fold").cumcount() // chunk_size
    return index


def export_tasks(index: pd.DataFrame) -> pd.DataFrame:
    """Fold and chunk of every export task and, if there are several case groups, its target.

    A chunk without scans of the controls or the target has no task for it.
    """
    targets = target_groups(index)
    columns = ["fold", "chunk"]
    if targets:
        index = pd.concat([of_target(index, target).assign(target=target) for target in targets])
        columns.append("target")
    return index[columns].drop_duplicates().sort_values(columns)


def _pack(scan_ids: pd.Series, scans: FileTree, path: Path) -> None:
    """Write the scans one after the other into a float16 array on disk."""
    store = None
    for position, scan_id in enumerate(scan_ids):
        data, grid = images.load(scans / layout.aligned_t1w(scan_id))
        if store is None:
            store = np.lib.format.open_memmap(path, "w+", np.float16, (len(scan_ids), *grid.shape))
        store[position] = data
    if store is not None:
        store.flush()
