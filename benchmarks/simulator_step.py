"""One simulator step against the naive formulation, side by side in one run.

    python benchmarks/simulator_step.py [--side 64] [--batch 4] [--repeats 5] [--threads 2]

naive    the published U-Net at full resolution, a convolution per sample, PyTorch's pooling, each direction's logit
         loss and cycle loss in backward passes of their own; the allocator as it is by default
tuned    the same with the allocator settings of nextflow.config, as those that follow
grouped  the same networks and losses, the classifier frozen as this package does it; the batch is one grouped
         convolution, both directions are one batch, the joint loss has one backward pass
default  this package's simulator (velocity on the half-resolution grid) and its losses

Each variant runs in a process of its own; variants take turns, so that a busy machine is busy for all of them.
Printed: median seconds a step, peak memory, ratios to naive.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from common import ALLOCATOR
from counterwarp.core.settings import SimulatorSettings
from counterwarp.networks import simulator
from counterwarp.networks.classifier import Classifier, freeze
from counterwarp.networks.condconv import ConditionalConvolution
from counterwarp.networks.pooling import AveragePool
from counterwarp.networks.simulator import PublishedSimulator, Simulator
from counterwarp.networks.warps import displacement_gradient, resample
from counterwarp.training.simulator import simulator_losses

SPACING = (2.0, 2.0, 2.0)
MARGIN = 5.0
WARM_UP = 2
VARIANTS = ("naive", "tuned", "grouped", "default")
NAIVE = ("naive", "tuned")


class PerSampleConvolution(ConditionalConvolution):
    """The definition: mix the kernels of one sample, convolve it, go on to the next."""

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        outputs = []
        for sample, c in zip(x, condition, strict=True):
            alpha = torch.sigmoid(self.routing(torch.cat([sample.flatten(1).mean(1), c])))
            weight = sum(a * w for a, w in zip(alpha, self.weight, strict=True))
            bias = sum(a * b for a, b in zip(alpha, self.bias, strict=True))
            outputs.append(F.conv3d(sample[None], weight, bias, padding=1))
        return torch.cat(outputs)


def use_published_pooling(classifier: nn.Module) -> None:
    """Replace ``networks.pooling`` by PyTorch's, in the classifier and in every simulator of this process."""
    simulator.average_pool = nn.AvgPool3d(2)
    for layers in [m for m in classifier.modules() if isinstance(m, nn.Sequential)]:
        for i, layer in enumerate(layers):
            if isinstance(layer, AveragePool):
                layers[i] = nn.AvgPool3d(2)


def naive_step(network: nn.Module, classifier: nn.Module, images: torch.Tensor) -> None:
    """One backward pass per direction and loss."""
    for sign in (1.0, -1.0):
        condition = torch.full((len(images),), sign)
        field = network(images, condition)
        simulated = resample(images, field, SPACING)
        moved = sign * (classifier(simulated) - classifier(images))
        (F.relu(MARGIN - moved).mean() / MARGIN + _smoothness(field)).backward()
        simulated = resample(images, network(images, condition), SPACING)
        returned = resample(simulated, network(simulated, -condition), SPACING)
        F.mse_loss(returned, images).backward()


def grouped_step(network: nn.Module, classifier: nn.Module, images: torch.Tensor) -> None:
    """Both directions in one batch, one backward pass."""
    condition = torch.tensor([1.0, -1.0]).repeat_interleave(len(images))
    with torch.no_grad():
        logits = classifier(images).repeat(2)
    images = images.repeat(2, 1, 1, 1, 1)
    field = network(images, condition)
    simulated = resample(images, field, SPACING)
    moved = condition * (classifier(simulated) - logits)
    returned = resample(simulated, network(simulated, -condition), SPACING)
    loss = F.relu(MARGIN - moved).mean() / MARGIN + _smoothness(field) + F.mse_loss(returned, images)
    loss.backward()


def _smoothness(field: torch.Tensor) -> torch.Tensor:
    return displacement_gradient(field, SPACING).square().sum((1, 2)).mean()


def measure(variant: str, side: int, batch: int, repeats: int, threads: int) -> dict[str, float]:
    """Median seconds of a step and peak memory of the process, GiB; while the heap grows no step is counted."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    images, brain = torch.randn(batch, 1, side, side, side), torch.ones(side, side, side, dtype=torch.bool)
    classifier = Classifier(torch.zeros(1, 1, side, side, side), 16, 0.0).eval().requires_grad_(False)
    if variant in NAIVE:
        use_published_pooling(classifier)
    else:
        freeze(classifier)
    published = PublishedSimulator(convolution=PerSampleConvolution if variant in NAIVE else ConditionalConvolution)
    network = Simulator() if variant == "default" else published
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    seconds = []
    for _ in range(repeats + WARM_UP):
        begin = time.perf_counter()
        optimizer.zero_grad()
        if variant == "default":
            losses = simulator_losses(network, classifier, images, SPACING, brain, MARGIN, SimulatorSettings())
            losses["total"].backward()
        else:
            (naive_step if variant in NAIVE else grouped_step)(network, classifier, images)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": statistics.median(seconds[WARM_UP:]), "memory_GiB": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("side", 64), ("batch", 4), ("repeats", 5), ("threads", 2), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.side, options.batch, options.repeats, options.threads)))
        return
    rounds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.rounds):
        for variant in VARIANTS:
            command = [sys.executable, *sys.argv, "--variant", variant]
            environment = os.environ | ({} if variant == "naive" else ALLOCATOR)
            output = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
            rounds[variant].append(json.loads(output.stdout))
    result = {v: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for v, rows in rounds.items()}
    table = Table("variant", "seconds a step", "peak GiB", "times faster than naive")
    for variant, row in result.items():
        row["speedup"] = result["naive"]["seconds"] / row["seconds"]
        table.add_row(variant, f"{row['seconds']:.2f}", f"{row['memory_GiB']:.2f}", f"{row['speedup']:.1f}")
    Console(stderr=True).print(table)
    print(json.dumps(vars(options) | {"result": result}, indent=2))


if __name__ == "__main__":
    main()
