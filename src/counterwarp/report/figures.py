"""Charts of the report as SVG that takes the page's text colour, so that one figure serves light and dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from counterwarp.explain.group_maps import ALIGNMENT

INK = "#1a1d21"  # near-black in the PNG files; replaced by the page's text colour in the SVG
CASE, CONTROL = "#e0812e", "#3b8fd9"  # told apart by readers with any colour vision, on white and on black
THUMBNAIL = (440, 280)  # pixels; keeps a mosaic near 15 kB, and 500 of them in one page
JPEG_QUALITY = 70
STYLE: Any = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 10,
}


def draw(name: str, folder: Path, size: tuple[float, float], paint: Callable[[Figure], None]) -> str:
    """Paint a figure; write ``folder/name.png`` and return it as SVG for the page (see ``vector``)."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size)
        paint(figure)
        figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white")
    return vector(name, size, paint)


def vector(name: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> str:
    """Paint a figure as SVG in the page's text colour.

    Parameters
    ----------
    name : str
        Salt of the SVG's ids, which makes them unique on the page and equal in every run.
    size : (width, height), inches
    paint : function
        Draws on the figure it is given.
    """
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def paint_regions(figure: Figure, regions: pd.DataFrame) -> None:
    """Change per region with its interval, the largest on top; rings mark the planted change where it is known."""
    axes = figure.subplots()
    rows = range(len(regions), 0, -1)
    change = regions["change_percent"]
    colours = [CASE if value > 0 else CONTROL for value in change]
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.hlines(rows, regions["low_percent"], regions["high_percent"], color=colours, linewidth=2)
    axes.scatter(change, rows, color=colours, s=30, zorder=3, label="found")
    for known in ("planted", "measured"):
        if f"{known}_percent" in regions:
            axes.scatter(regions[f"{known}_percent"], rows, facecolor="none", edgecolor=INK, s=45, label=known)
            axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    axes.set_yticks(list(rows), regions["region"])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="volume change from control to case, %")
    figure.tight_layout()


def paint_logits(figure: Figure, paths: pd.DataFrame, labels: dict[int, str]) -> None:
    """Logit of every held-out scan over the dose, remove to the left of 0 and inject to the right; median on top."""
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (is_case, colour) in zip(panels, ((0, CONTROL), (1, CASE)), strict=True):
        rows = paths[paths["is_case"] == is_case]
        signed = rows.assign(dose=rows["dose"] * rows["direction"].map(ALIGNMENT))
        curves = signed.pivot_table(index="dose", columns="scan_id", values="logit")
        panel.plot(curves.index, curves, color=colour, alpha=min(0.8, max(0.05, 20 / curves.shape[1])), linewidth=1)
        panel.plot(curves.index, curves.median(axis=1), color=INK, linewidth=2.2)
        panel.axhline(0, color=INK, linewidth=0.8, linestyle=":")
        panel.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        panel.set(title=f"{labels[is_case]} (n = {curves.shape[1]})", xlabel="dose: remove below 0, inject above")
    panels[0].set_ylabel("logit (above 0: called case)")
    figure.tight_layout()


def thumbnail(path: Path, size: tuple[int, int] = THUMBNAIL) -> str:
    """An image file as a JPEG data URI of at most ``size`` pixels."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail(size)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
