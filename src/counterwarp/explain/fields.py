"""The field of a scan and direction, read from what map-jacobians writes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from counterwarp.core import images
from counterwarp.core.errors import InputError
from counterwarp.core.geometry import Grid
from counterwarp.networks.fields import DISPLACEMENT, VELOCITY

VELOCITY_FILE, WARP_FILE = "_velocity.nii.gz", "_warp.nii.gz"


def read_field(path: Path) -> tuple[Tensor, str, Grid]:
    """The field (1, D, ...), mm, RAS+, its kind (see ``networks.fields``) and the network grid.

    Raises
    ------
    InputError
        If the file is a warp that has a velocity beside it.
    """
    values, grid = images.load_displacement(path)
    field = torch.from_numpy(values).movedim(-1, 0)[None]
    if path.name.endswith(VELOCITY_FILE):
        return field, VELOCITY, grid.finer(2)
    velocity = path.with_name(path.name.replace(WARP_FILE, VELOCITY_FILE))
    if velocity.exists():
        raise InputError(f"{path}: this warp is the exponential of {velocity.name}. Give that file instead.")
    return field, DISPLACEMENT, grid
