"""One labelled head, turned, moved, resized, darkened and cut in known ways: are its brain and its affine found again?

    python benchmarks/misposed_heads.py T1W LABELS --output /tmp/misposed
    ... --only degrees      only the turned heads

The true brain is made as in ``brain_extraction.py`` and carried along. The affine of every variant must be the known
change after the affine of the unchanged head: the root mean square distance over the brain is printed in mm. A run
that was broken off continues: heads whose record is in the output folder are not extracted again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click
import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt
from nilearn.image import resample_img
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

from brain_extraction import overlap, read_mask, run, true_brain
from counterwarp.core import layout
from counterwarp.core.geometry import apply_affine, read_itk_affine

ROTATION, SHIFT, SCALES = 30.0, 40.0, (0.85, 1.15)  # degrees, mm, times the length
DARKEST = 0.6  # bias field: from 1 to this share of the intensity
NOISE = 0.03  # of the brightest tissue


@dataclass(frozen=True)
class Head:
    """A T1w, its true brain, and the change (4, 4) from the unchanged head's points to this one's, RAS+ mm."""

    t1w: nib.Nifti1Image
    brain: nib.Nifti1Image
    change: np.ndarray


Change = Callable[[Head], Head]


def moved(rotation: tuple[float, float, float], shift: tuple[float, float, float], scale: float) -> Change:
    """Turn (degrees about x, y, z through the brain's centre), resize and shift (mm), by the header alone."""

    def apply(head: Head) -> Head:
        voxels = np.argwhere(np.asarray(head.brain.dataobj) > 0)
        centre = apply_affine(head.brain.affine, voxels).mean(0)
        change = np.eye(4)
        change[:3, :3] = scale * Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
        change[:3, 3] = centre + shift - change[:3, :3] @ centre
        images = (nib.Nifti1Image(np.asarray(i.dataobj), change @ i.affine) for i in (head.t1w, head.brain))
        return upright_grid(Head(*images, change @ head.change))

    return apply


def upright_grid(head: Head) -> Head:
    """Resample to axes along the world's, as if the scanner had not known of the turn."""
    spacing = np.linalg.norm(head.t1w.affine[:3, :3], axis=0)
    return resampled(head, np.full(3, spacing.min()))


def resampled(head: Head, voxel: np.ndarray) -> Head:
    """On an axis-aligned grid of a given voxel (mm) around all of the head."""
    t1w = resample_img(head.t1w, np.diag(voxel), interpolation="continuous", force_resample=True)
    on_grid = {"target_affine": t1w.affine, "target_shape": t1w.shape, "force_resample": True}
    data = np.maximum(np.asarray(t1w.dataobj, np.float32), 0)
    return replace(
        head, t1w=nib.Nifti1Image(data, t1w.affine), brain=resample_img(head.brain, interpolation="nearest", **on_grid)
    )


def thick_slices(head: Head) -> Head:
    """1 x 1 x 3 mm."""
    return resampled(head, np.array([1.0, 1.0, 3.0]))


def with_intensity(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    """Change the T1w's intensities alone."""

    def apply(head: Head) -> Head:
        data = change(np.asarray(head.t1w.dataobj, np.float32), np.random.default_rng(0))
        return replace(head, t1w=nib.Nifti1Image(np.maximum(data, 0).astype(np.float32), head.t1w.affine))

    return apply


def biased(data: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """A smooth field over the longest axis and across it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in data.shape), indexing="ij")
    return data * (1 - (1 - DARKEST) * (0.5 + 0.25 * axes[0] + 0.25 * axes[1] * axes[2]))


def noisy(data: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rician noise."""
    sigma = NOISE * np.percentile(data, 99)
    return np.hypot(data + sigma * random.standard_normal(data.shape), sigma * random.standard_normal(data.shape))


def without_neck(head: Head) -> Head:
    """Cut just below the brain."""
    inside = np.asarray(nib.as_closest_canonical(head.brain).dataobj) > 0
    bottom = max(int(np.flatnonzero(inside.any((0, 1)))[0]) - 2, 0)
    t1w, brain = (nib.as_closest_canonical(i).slicer[:, :, bottom:] for i in (head.t1w, head.brain))
    return replace(head, t1w=t1w, brain=brain)


def large_field_of_view(head: Head) -> Head:
    """Air to 300 mm along every axis."""

    def padded(image: nib.Nifti1Image) -> nib.Nifti1Image:
        voxel = np.linalg.norm(image.affine[:3, :3], axis=0)
        more = np.maximum(np.ceil(300 / voxel).astype(int) - image.shape, 0)
        before = more // 2
        data = np.pad(np.asarray(image.dataobj), list(zip(before, more - before, strict=True)))
        affine = image.affine.copy()
        affine[:3, 3] -= affine[:3, :3] @ before
        return nib.Nifti1Image(data, affine)

    return replace(head, t1w=padded(head.t1w), brain=padded(head.brain))


def reoriented(codes: str) -> Change:
    """The same voxels stored along other axes."""

    def apply(head: Head) -> Head:
        def turned(image: nib.Nifti1Image) -> nib.Nifti1Image:
            start = nib.io_orientation(image.affine)
            return image.as_reoriented(nib.orientations.ornt_transform(start, axcodes2ornt(codes)))

        return replace(head, t1w=turned(head.t1w), brain=turned(head.brain))

    return apply


def random_pose(seed: int) -> tuple[str, Change]:
    """Everything of ``moved`` at once, evenly drawn from the ranges of the single changes; its numbers are its name."""
    random = np.random.default_rng(seed)
    rotation, shift = (random.uniform(-most, most, 3).round(1) for most in (ROTATION, SHIFT))
    scale = round(random.uniform(*SCALES), 2)
    name = f"{' '.join(f'{r:+.0f}' for r in rotation)} degrees, {' '.join(f'{s:+.0f}' for s in shift)} mm, x {scale}"
    return name, moved(tuple(rotation), tuple(shift), scale)


def changes(orientations: int, poses: int) -> dict[str, Change]:
    """Name -> what is done to the head; some random poses; some of the 48 orientations, at even distances."""
    still, there = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    named: dict[str, Change] = {"unchanged": lambda head: head}
    for axis, name in enumerate(("pitch", "roll", "yaw")):
        for degrees in (-ROTATION, ROTATION):
            named[f"{name} {degrees:+.0f} degrees"] = moved(tuple(np.eye(3)[axis] * degrees), there, 1.0)
    named["shift 40 mm each way"] = moved(still, (SHIFT, -SHIFT, SHIFT), 1.0)
    for scale in SCALES:
        named[f"scale {scale}"] = moved(still, there, scale)
    named |= {
        "bias 40 %": with_intensity(biased), "noise 3 %": with_intensity(noisy), "1 x 1 x 3 mm": thick_slices,
        "no neck": without_neck, "300 mm field of view": large_field_of_view,
    }  # fmt: skip
    named |= dict(random_pose(seed) for seed in range(poses))
    signs = ["".join(pair) for pair in itertools.product("LR", "AP", "IS")]
    codes = ["".join(order) for letters in signs for order in itertools.permutations(letters)]
    for number in np.linspace(0, len(codes) - 1, orientations).round().astype(int):
        named[codes[number]] = reoriented(codes[number])
    return named


@dataclass(frozen=True)
class Found:
    """Overlap, verdict and affine (MNI152 to scan points, RAS+ mm) of a head, and what had been done to it."""

    dice: float
    status: str
    affine: np.ndarray
    change: np.ndarray


def measure(name: str, head: Head, templates: Path, folder: Path) -> Found:
    """Extract and align one head."""
    scan = "sub-" + "".join(c for c in name.replace("+", "plus").replace("-", "minus") if c.isalnum())
    folder.mkdir(parents=True, exist_ok=True)
    native, mask, record = (folder / f(scan) for f in (layout.native_t1w, layout.native_mask, layout.quality_record))
    if not record.exists():
        nib.save(head.t1w, folder / f"{scan}_T1w.nii.gz")
        common = ("--scan-id", scan, "--templates", str(templates))
        run("extract-brain", str(folder / f"{scan}_T1w.nii.gz"), str(folder), *common)
        brain = "--t1w", str(native), "--mask", str(mask), "--affine", str(folder / layout.affine(scan))
        run("align-affine", *brain, "--output", str(folder), *common)
    dice = overlap(read_mask(mask), np.asarray(head.brain.dataobj) > 0)
    status = json.loads(record.read_text(encoding="utf-8"))["status"]
    return Found(dice, status, read_itk_affine(folder / layout.affine(scan)), head.change)


@click.command()
@click.argument("t1w", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--poses", type=int, default=8, show_default=True, help="How many random poses.")
@click.option("--orientations", type=int, default=6, show_default=True, help="How many of the 48 orientations.")
@click.option("--only", default="", help="Only the changes whose name has this text in it.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Heads at a time.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def misposed_heads(t1w: Path, labels: Path, poses: int, orientations: int, only: str, jobs: int, output: Path) -> None:
    """Print Dice, affine error and verdict of every change, and write them to OUTPUT/misposed_heads.json."""
    templates = output / "templates"
    if not (templates / "templates.json").exists():
        run("prepare-templates", "--resolution", "4", "--output", str(templates))
    scan = nib.Nifti1Image.from_filename(str(t1w))
    brain = nib.Nifti1Image(true_brain(labels).astype(np.uint8), scan.affine)
    original = Head(nib.Nifti1Image(np.asarray(scan.dataobj, np.float32), scan.affine), brain, np.eye(4))
    template = nib.Nifti1Image.from_filename(str(templates / "MNI152_mask.nii.gz"))
    points = apply_affine(template.affine, np.argwhere(np.asarray(template.dataobj) > 0)[::50])
    asked = {name: change for name, change in changes(orientations, poses).items() if only in name}

    def measured(name: str, change: Change) -> Found:
        return measure(name, change(original), templates, output / "heads")

    reference = measured("unchanged", asked.pop("unchanged", lambda head: head))
    with ThreadPoolExecutor(jobs) as pool:
        found = {"unchanged": reference} | dict(zip(asked, pool.map(measured, asked, asked.values()), strict=True))
    rows = {name: row(one, reference, points) for name, one in found.items()}
    (output / "misposed_heads.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print_summary(rows)


def row(found: Found, reference: Found, points: np.ndarray) -> dict[str, float | str]:
    """A line of the table; the error is the root mean square over MNI152 ``points`` (N, 3) of the brain, RAS+ mm."""
    distance = apply_affine(found.change @ reference.affine, points) - apply_affine(found.affine, points)
    error = float(np.sqrt((distance**2).sum(1).mean()))
    return {"dice": found.dice, "affine_error_mm": error, "status": found.status}


def print_summary(rows: dict[str, dict]) -> None:
    """Table of the changes, and the worst of it."""
    table, console = Table("change", "Dice", "affine error, mm RMS", "verdict"), Console()
    for name, row in rows.items():
        table.add_row(name, f"{row['dice']:.3f}", f"{row['affine_error_mm']:.2f}", row["status"])
    console.print(table)
    worst = min(row["dice"] for row in rows.values()), max(row["affine_error_mm"] for row in rows.values())
    console.print(f"{len(rows)} heads: Dice at least {worst[0]:.3f}, affine error at most {worst[1]:.2f} mm")


if __name__ == "__main__":
    misposed_heads()
