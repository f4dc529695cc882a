"""Volumes for the interactive viewer (NiiVue), embedded in the page: anatomy, the path over dose, percent maps."""

from __future__ import annotations

import base64
import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from counterwarp.core.geometry import Grid
from counterwarp.explain.fields import read_field
from counterwarp.networks.fields import warp
from counterwarp.networks.warps import resample

DOSES = tuple(float(t) for t in np.linspace(-1, 1, 7))  # negative: remove, positive: inject
BRIGHT = 99.5  # percentile of the brain that is shown white
LIMIT_PERCENTILE = 99.5  # of |percent|: colours saturate there
LARGEST = 127  # percent: what a signed byte holds


def script() -> str:
    """NiiVue's code, gzipped, as base64; the page unpacks it."""
    packed = files("counterwarp.report").joinpath("assets", "niivue.umd.js.gz").read_bytes()
    return base64.b64encode(packed).decode()


def volume(data: np.ndarray, grid: Grid) -> str:
    """An array (X, Y, Z[, frames]) of bytes as gzipped NIfTI in base64."""
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(image.to_bytes(), mtime=0)).decode()


def anatomy(data: np.ndarray) -> np.ndarray:
    """Intensities as bytes: 0 outside the brain, 1 to 255 inside; frames share the scale of the first."""
    inside = data[..., 0][data[..., 0] != 0] if data.ndim == 4 else data[data != 0]
    low, high = float(inside.min()), float(np.percentile(inside, BRIGHT))
    scaled = 1 + 254 * np.clip((data - low) / (high - low), 0, 1)
    return np.where(data == 0, 0, np.round(scaled)).astype(np.uint8)


def percent(log_jacobian: np.ndarray) -> np.ndarray:
    """log volume change as percent in signed bytes."""
    return np.clip(np.round(100 * np.expm1(np.nan_to_num(log_jacobian))), -LARGEST, LARGEST).astype(np.int8)


def overlay(name: str, log_jacobian: np.ndarray, grid: Grid, side: int) -> dict[str, Any]:
    """A map for the viewer; ``side`` is +1 if it belongs to inject, -1 to remove, 0 to neither."""
    values = percent(log_jacobian)
    size = np.abs(values[values != 0].astype(float))
    limit = max(2.0, float(np.percentile(size, LIMIT_PERCENTILE))) if size.size else 2.0
    return {"name": name, "data": volume(values, grid), "limit": limit, "side": side}


def dose_frames(scan: np.ndarray, grid: Grid, inject: Path, remove: Path) -> np.ndarray:
    """The scan under every dose of ``DOSES``, (X, Y, Z, doses).

    Parameters
    ----------
    scan : (X, Y, Z), z-scored intensity, 0 outside the brain
    inject, remove : velocity files of map-jacobians or, where there are none, warps
    """
    image = torch.from_numpy(scan)[None, None]
    frames = []
    for dose in DOSES:
        field, kind, _ = read_field(inject if dose > 0 else remove)
        displacement = warp(field, kind, grid.spacing, abs(dose))
        frames.append(resample(image, displacement, grid.spacing)[0, 0].numpy() if dose else scan)
    return np.stack(frames, axis=-1)
