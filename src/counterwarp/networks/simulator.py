"""The simulator: an image and a condition (inject or remove) to a stationary velocity field."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.networks.condconv import ConditionalConvolution
from counterwarp.networks.warps import upsample

CONDITIONS = {"inject": 1.0, "remove": -1.0}
POOLS = {2: F.avg_pool2d, 3: F.avg_pool3d}
OUTPUT_SCALE = 2e-3  # first warps are small but not so small that the hinge has no slope (1e-4 stalls)


def space_to_depth(x: Tensor) -> Tensor:
    """Halve the grid without loss: (B, C, *shape) to (B, C 2^D, *shape/2)."""
    dimensions = x.ndim - 2
    for axis in range(2, 2 + dimensions):
        x = torch.cat([x.unflatten(axis, (-1, 2)).select(axis + 1, i) for i in (0, 1)], dim=1)
    return x


class Block(nn.Module):
    """Conditional convolution, group norm, leaky ReLU."""

    def __init__(self, dimensions: int, inputs: int, outputs: int, experts: int):
        super().__init__()
        self.convolution = ConditionalConvolution(dimensions, inputs, outputs, 1, experts)
        self.norm = nn.GroupNorm(8, outputs)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.convolution(x, condition)), 0.2)


class Simulator(nn.Module):
    """U-Net with conditional convolutions and additive skips on the half-resolution grid (after Liu et al. 2021).

    One network serves both directions: the condition (+1 inject, -1 remove) routes every convolution and is a
    feature of the bottleneck.

    Parameters
    ----------
    dimensions : 2 or 3
    width : int
        Channels of the first level; doubled twice on the way down.
    experts : int
        Kernels mixed by every conditional convolution.
    """

    def __init__(self, dimensions: int = 3, width: int = 16, experts: int = 3):
        super().__init__()
        self.dimensions = dimensions
        wide, wider = 2 * width, 4 * width
        self.down1 = Block(dimensions, 2**dimensions, width, experts)
        self.down2 = Block(dimensions, width, wide, experts)
        self.down3 = Block(dimensions, wide, wider, experts)
        self.bottleneck = Block(dimensions, wider + 1, wider, experts)
        self.up2 = Block(dimensions, wider, wide, experts)
        self.up1 = Block(dimensions, wide, width, experts)
        self.output = ConditionalConvolution(dimensions, width, dimensions, 1, experts)
        nn.init.normal_(self.output.weight, std=OUTPUT_SCALE)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions (B,) to velocities (B, D, *shape/2), mm.

        Every side of the grid must be a multiple of 8 voxels; voxels of the output are twice as long.
        """
        c = condition[:, None]
        pool = POOLS[self.dimensions]
        level1 = self.down1(space_to_depth(x), c)
        level2 = self.down2(pool(level1, 2), c)
        level3 = self.down3(pool(level2, 2), c)
        plane = c.reshape(-1, 1, *[1] * self.dimensions).expand(-1, -1, *level3.shape[2:])
        level3 = self.bottleneck(torch.cat([level3, plane], dim=1), c)
        level2 = level2 + upsample(self.up2(level3, c))
        level1 = level1 + upsample(self.up1(level2, c))
        return self.output(level1, c)


class SeparateSimulators(nn.Module):
    """A network for each direction, with the interface of ``Simulator``: what coupling them is worth."""

    def __init__(self, dimensions: int = 3, width: int = 16, experts: int = 3):
        super().__init__()
        self.inject, self.remove = (Simulator(dimensions, width, experts) for _ in CONDITIONS)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions (B,) to velocities (B, D, *shape/2), mm."""
        rows = [torch.nonzero(chosen).flatten() for chosen in (condition > 0, condition <= 0)]
        networks = zip((self.inject, self.remove), rows, strict=True)
        velocities = [network(x[chosen], condition[chosen]) for network, chosen in networks if len(chosen)]
        return torch.cat(velocities)[torch.cat(rows).argsort()]


def build_simulator(
    dimensions: int = 3, width: int = 16, experts: int = 3, coupled: bool = True
) -> Simulator | SeparateSimulators:
    """One network for both directions, or one for each."""
    return (Simulator if coupled else SeparateSimulators)(dimensions, width, experts)


def save_simulator(simulator: nn.Module, folder: Path, **settings: int) -> None:
    """Write weights (safetensors) and the constructor's settings (network.json)."""
    save_file({name: t.contiguous() for name, t in simulator.state_dict().items()}, folder / "simulator.safetensors")
    (folder / "network.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_simulator(folder: str | Path, device: str = "cpu") -> Simulator | SeparateSimulators:
    """Read a trained simulator, frozen, in evaluation mode."""
    settings = json.loads((Path(folder) / "network.json").read_text(encoding="utf-8"))
    simulator = build_simulator(**settings)
    simulator.load_state_dict(load_file(Path(folder) / "simulator.safetensors"))
    return simulator.to(device).eval().requires_grad_(False)
