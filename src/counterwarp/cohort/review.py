"""The quality gate of the whole cohort: every scan's verdict, a reviewer's decisions over it, one table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from counterwarp.core import layout
from counterwarp.core.errors import InputError
from counterwarp.core.files import FileTree
from counterwarp.core.tables import read_table

LOST = "no result: the task did not finish (see pipeline_info/trace.txt)"
DOUBT = ("FAIL", "REVIEW", "PASS")


@dataclass
class Verdict:
    """What preprocessing says of a scan; of the first stage that failed, else of the last."""

    stage: str
    status: str
    reasons: list[str]
    metrics: dict[str, float] = field(default_factory=dict)


def read_verdict(scans: FileTree, scan_id: str) -> Verdict:
    """The verdict from a scan's records; a record that is missing is a FAIL."""
    verdict = Verdict("extract_brain", "FAIL", [LOST])
    for name in (layout.extraction_record(scan_id), layout.quality_record(scan_id)):
        if not (scans / name).exists():
            return Verdict("align_affine", "FAIL", [LOST], verdict.metrics) if verdict.status == "PASS" else verdict
        record = json.loads((scans / name).read_text(encoding="utf-8"))
        metrics = verdict.metrics | record.get("metrics", {})
        verdict = Verdict(record["stage"], record["status"], record["reasons"], metrics)
        if verdict.status == "FAIL":
            break
    return verdict


def read_decisions(path: Path, known: set[str]) -> pd.DataFrame:
    """A reviewer's table (CSV, TSV): scan_id, decision (PASS or FAIL) and, if given, note.

    Raises
    ------
    InputError
        If a column is missing, a scan is unknown or named twice, or a decision is neither PASS nor FAIL.
    """
    table = read_table(path, ("scan_id", "decision"))
    if unknown := sorted(set(table["scan_id"]) - known):
        raise InputError(f"{path}: {', '.join(unknown)}: no such scan in the cohort. Correct the scan_id.")
    if twice := sorted(set(table.loc[table["scan_id"].duplicated(), "scan_id"])):
        raise InputError(f"{path}: {', '.join(twice)} has two decisions. Keep one.")
    for scan_id, decision in zip(table["scan_id"], table["decision"], strict=True):
        if decision not in ("PASS", "FAIL"):
            raise InputError(f"{path}: decision of {scan_id} is '{decision}', expected PASS or FAIL.")
    return table


def apply_decisions(verdicts: dict[str, Verdict], decisions: pd.DataFrame, scans: FileTree) -> None:
    """Put a reviewer's decisions in place of the verdicts; the reasons keep what was said before.

    Raises
    ------
    InputError
        If a scan is to PASS that has no aligned image.
    """
    for row in decisions.to_dict("records"):
        scan_id, decision, note = str(row["scan_id"]), str(row["decision"]), str(row.get("note", ""))
        if decision == "PASS" and not (scans / layout.aligned_t1w(scan_id)).exists():
            raise InputError(f"{scan_id}: decided PASS, but preprocessing left no aligned image. Drop the decision.")
        said = f"a reviewer decided {decision}" + (f": {note}" if note else "")
        verdicts[scan_id].status = decision
        verdicts[scan_id].reasons = [said, *verdicts[scan_id].reasons]


def quality_table(verdicts: dict[str, Verdict], scans: FileTree) -> pd.DataFrame:
    """Every scan with stage, status, reasons, metrics and mosaic; the most doubtful first.

    Within a status the lowest correlation with the template comes first.
    """
    rows = [
        {"scan_id": scan_id, "stage": v.stage, "status": v.status, "reasons": "; ".join(v.reasons), **v.metrics}
        for scan_id, v in verdicts.items()
    ]
    table = pd.DataFrame(rows)
    table["mosaic"] = [layout.mosaic(s) if (scans / layout.mosaic(s)).exists() else "" for s in table["scan_id"]]
    doubt = table["status"].map(DOUBT.index)
    correlation = table.get("template_correlation", pd.Series(0.0, index=table.index)).fillna(-1.0)
    order = pd.DataFrame({"doubt": doubt, "correlation": correlation}).sort_values(["doubt", "correlation"]).index
    return table.loc[order].reset_index(drop=True)
