"""quality.html: every scan of the cohort for a reviewer's eye, the most doubtful first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from counterwarp.core import layout
from counterwarp.core.files import FileTree
from counterwarp.report import page
from counterwarp.report.figures import thumbnail
from counterwarp.report.tables import rows

PICTURE = (640, 260)  # pixels: two pictures of a scan together take some 40 kB
NOT_METRICS = ("scan_id", "stage", "status", "reasons", "mosaic")


def write_quality_page(path: Path, quality: pd.DataFrame, scans: FileTree) -> None:
    """Write the self-contained page.

    Parameters
    ----------
    quality : a row per scan in the order of the page, see ``cohort.review.quality_table``
    scans : where the pictures lie; a scan that was not aligned has none
    """
    cards = [
        {
            **{name: row[name] for name in ("scan_id", "stage", "status", "reasons")},
            "metrics": {name: value for name, value in row.items() if name not in NOT_METRICS and value != ""},
            "mosaic": _picture(scans, layout.mosaic(row["scan_id"])),
            "flicker": _picture(scans, layout.flicker(row["scan_id"])),
        }
        for row in rows(quality)
    ]
    counts = quality["status"].value_counts().to_dict()
    shared = {"stylesheet": page.embedded("report.css"), "script": page.embedded("quality.js")}
    path.write_text(page.render("quality.html", cards=cards, counts=counts, **shared), encoding="utf-8")


def _picture(scans: FileTree, name: str) -> str:
    file = scans / name
    return thumbnail(file, PICTURE) if file.exists() else ""
