"""The simulator: an image and a condition (inject or remove) to a velocity or displacement field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from counterwarp.networks.condconv import ConditionalConvolution
from counterwarp.networks.fields import DISPLACEMENT, VELOCITY
from counterwarp.networks.pooling import average_pool
from counterwarp.networks.targets import TargetSimulator, of_target
from counterwarp.networks.warps import upsample

CONDITIONS = {"inject": 1.0, "remove": -1.0}
OUTPUT_SCALE = 2e-3  # first warps are small but not so small that the hinge has no slope (1e-4 stalls)


def space_to_depth(x: Tensor) -> Tensor:
    """Halve the grid without loss: (B, C, *shape) to (B, C 2^D, *shape/2)."""
    dimensions = x.ndim - 2
    for axis in range(2, 2 + dimensions):
        x = torch.cat([x.unflatten(axis, (-1, 2)).select(axis + 1, i) for i in (0, 1)], dim=1)
    return x


def rows_of(condition: Tensor) -> Tensor:
    """Conditions of one case group (B,) as (B, 1); those of several (B, K) as they are."""
    return condition.reshape(len(condition), -1)


def planes_of(rows: Tensor, x: Tensor) -> Tensor:
    """Conditions (B, K) as images on the grid of features x, (B, K, *shape)."""
    return rows.reshape(*rows.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])


class Block(nn.Module):
    """Conditional convolution, group norm, leaky ReLU."""

    def __init__(self, dimensions: int, inputs: int, outputs: int, conditions: int, experts: int):
        super().__init__()
        self.convolution = ConditionalConvolution(dimensions, inputs, outputs, conditions, experts)
        self.norm = nn.GroupNorm(8, outputs)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.convolution(x, condition)), 0.2)


class Simulator(nn.Module):
    """U-Net with conditional convolutions and additive skips on the half-resolution grid (after Liu et al. 2021).

    One network serves both directions: the condition (+1 inject, -1 remove) routes every convolution and is a
    feature of the bottleneck. It serves several case groups too: the condition then has a number for each, of which
    the target's alone is not 0.

    Parameters
    ----------
    dimensions : 2 or 3
    width : int
        Channels of the first level; doubled twice on the way down.
    experts : int
        Kernels mixed by every conditional convolution.
    conditions : int
        Numbers that a condition has: one for every case group.
    """

    field = VELOCITY
    targets: tuple[str, ...] = ()

    def __init__(self, dimensions: int = 3, width: int = 16, experts: int = 3, conditions: int = 1):
        super().__init__()
        wide, wider = 2 * width, 4 * width
        self.down1 = Block(dimensions, 2**dimensions, width, conditions, experts)
        self.down2 = Block(dimensions, width, wide, conditions, experts)
        self.down3 = Block(dimensions, wide, wider, conditions, experts)
        self.bottleneck = Block(dimensions, wider + conditions, wider, conditions, experts)
        self.up2 = Block(dimensions, wider, wide, conditions, experts)
        self.up1 = Block(dimensions, wide, width, conditions, experts)
        self.output = ConditionalConvolution(dimensions, width, dimensions, conditions, experts)
        nn.init.normal_(self.output.weight, std=OUTPUT_SCALE)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions, (B,) or (B, K), to velocities (B, D, *shape/2), mm.

        Every side of the grid must be a multiple of 8 voxels; voxels of the output are twice as long.
        """
        c = rows_of(condition)
        level1 = self.down1(space_to_depth(x), c)
        level2 = self.down2(average_pool(level1), c)
        level3 = self.down3(average_pool(level2), c)
        level3 = self.bottleneck(torch.cat([level3, planes_of(c, level3)], dim=1), c)
        level2 = level2 + upsample(self.up2(level3, c))
        level1 = level1 + upsample(self.up1(level2, c))
        return self.output(level1, c)


class PublishedSimulator(nn.Module):
    """The published U-Net: width, 2, 4, 1 and 1 times as many channels (16-32-64-16-16), at full resolution.

    Conditional convolutions, additive skips, the condition as a feature of the bottleneck; gives a displacement.
    The bottleneck is convolutional, so that any grid will do; theirs is a vector of 512.
    """

    field = DISPLACEMENT
    targets: tuple[str, ...] = ()

    def __init__(
        self, dimensions: int = 3, width: int = 16, experts: int = 3, conditions: int = 1,
        convolution: type[ConditionalConvolution] = ConditionalConvolution,
    ):  # fmt: skip
        super().__init__()
        wide, wider = 2 * width, 4 * width

        def layers(*channels: tuple[int, int]) -> nn.ModuleList:
            return nn.ModuleList(convolution(dimensions, *pair, conditions, experts) for pair in channels)

        self.down = layers((1, width), (width, wide), (wide, wider))
        self.bottleneck = convolution(dimensions, wider + conditions, width, conditions, experts)
        self.up = layers((width, wider), (wider, wide), (wide, width))
        self.output = convolution(dimensions, width, dimensions, conditions, experts)
        nn.init.normal_(self.output.weight, std=OUTPUT_SCALE)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape), sides multiples of 8, and conditions to displacements (B, D, *shape), mm."""
        c, skips = rows_of(condition), []
        for block in self.down:
            skips.append(F.leaky_relu(block(x, c), 0.2))
            x = average_pool(skips[-1])
        x = F.leaky_relu(self.bottleneck(torch.cat([x, planes_of(c, x)], dim=1), c), 0.2)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.leaky_relu(block(upsample(x), c), 0.2)
            x = x + skip
        return self.output(x, c)


NETWORKS = {VELOCITY: Simulator, DISPLACEMENT: PublishedSimulator}


class SeparateSimulators(nn.Module):
    """A network for each direction, with the interface of one for both: what coupling them is worth."""

    targets: tuple[str, ...] = ()

    def __init__(
        self, dimensions: int = 3, width: int = 16, experts: int = 3, conditions: int = 1, field: str = VELOCITY
    ):
        super().__init__()
        self.field = field
        self.inject, self.remove = (NETWORKS[field](dimensions, width, experts, conditions) for _ in CONDITIONS)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions, (B,) or (B, K), to fields, (B, D, ...), mm."""
        direction = rows_of(condition).sum(1)  # of several case groups, all but the target have 0
        rows = [torch.nonzero(chosen).flatten() for chosen in (direction > 0, direction <= 0)]
        networks = zip((self.inject, self.remove), rows, strict=True)
        fields = [network(x[chosen], condition[chosen]) for network, chosen in networks if len(chosen)]
        return torch.cat(fields)[torch.cat(rows).argsort()]


AnySimulator = Simulator | PublishedSimulator | SeparateSimulators


def build_simulator(
    dimensions: int = 3, width: int = 16, experts: int = 3, coupled: bool = True, field: str = VELOCITY,
    targets: Sequence[str] = (),
) -> AnySimulator:  # fmt: skip
    """One network for both directions, or one for each.

    ``field``: what it puts out; ``targets``: labels of the case groups, if there are several.
    """
    size = dimensions, width, experts, max(1, len(targets))
    simulator: AnySimulator = NETWORKS[field](*size) if coupled else SeparateSimulators(*size, field)
    simulator.targets = tuple(targets)
    return simulator


def save_simulator(simulator: nn.Module, folder: Path, **settings: int | str | list[str]) -> None:
    """Write weights (safetensors) and the constructor's settings (network.json)."""
    save_file({name: t.contiguous() for name, t in simulator.state_dict().items()}, folder / "simulator.safetensors")
    (folder / "network.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_simulator(folder: str | Path, device: str = "cpu") -> AnySimulator:
    """Read a trained simulator, frozen, in evaluation mode."""
    settings = json.loads((Path(folder) / "network.json").read_text(encoding="utf-8"))
    simulator = build_simulator(**settings)
    simulator.load_state_dict(load_file(Path(folder) / "simulator.safetensors"))
    return simulator.to(device).eval().requires_grad_(False)


def load_target_simulator(folder: str | Path, target: str, device: str = "cpu") -> Any:
    """Read a simulator, frozen; of several case groups it is the target's, which takes conditions (B,)."""
    return of_target(load_simulator(folder, device), TargetSimulator, target, device)


def read_margin(folder: str | Path, target: str) -> float:
    """The margin that a simulator was trained for, logits; of several case groups, the target's."""
    margin = json.loads((Path(folder) / "simulator.json").read_text(encoding="utf-8"))["margin"]
    return margin[target] if isinstance(margin, dict) else margin
