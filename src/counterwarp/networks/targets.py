"""Networks of several case groups, seen as networks of one: of the same for all scans, or of each scan's own target."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn, tensor
from torch.nn import functional as F

from counterwarp.core.errors import InputError


class TargetClassifier(nn.Module):
    """A classifier's logits (B, K) of K case groups as those of one target per scan, (B,).

    Parameters
    ----------
    classifier : Module
        Maps images (B, 1, *shape) to logits (B, K).
    weights : Tensor, (T, K)
        One-hot targets, times a unit if the logits are to have one. Scans n, n + T, n + 2 T, ... have the n-th.
    """

    weights: Tensor

    def __init__(self, classifier: nn.Module, weights: Tensor):
        super().__init__()
        self.classifier = classifier
        self.register_buffer("weights", weights)

    @property
    def features(self) -> Any:
        """The classifier's own, for methods that look inside."""
        return self.classifier.features

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1, *shape) to logits (B,) of each one's target."""
        return (self.classifier(x) * _of_scans(self.weights, len(x))).sum(1)


class TargetSimulator(nn.Module):
    """A simulator of K case groups as one that takes conditions (B,): +1 inject, -1 remove the pattern of a target.

    ``weights`` (T, K): one-hot targets, for the scans as in ``TargetClassifier``.
    """

    weights: Tensor

    def __init__(self, simulator: nn.Module, weights: Tensor):
        super().__init__()
        self.simulator = simulator
        self.register_buffer("weights", weights)

    @property
    def field(self) -> Any:
        """What the simulator puts out, see ``networks.fields``."""
        return self.simulator.field

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions (B,) to the simulator's fields."""
        return self.simulator(x, condition[:, None] * _of_scans(self.weights, len(x)))


def _of_scans(weights: Tensor, scans: int) -> Tensor:
    return weights.repeat(scans // len(weights), 1)


def of_target(network: Any, view: type[nn.Module], target: str, device: str) -> Any:
    """A network that has ``targets`` as the ``view`` of one of them; a network of one case group as it is.

    Raises
    ------
    InputError
        If the network does not know the target.
    """
    known = getattr(network, "targets", ())
    if not known:
        return network
    if target not in known:
        raise InputError(
            f"--target '{target}': the networks know the case groups {', '.join(known)}. Name one of them (--target)."
        )
    return view(network, F.one_hot(tensor([known.index(target)]), len(known)).float().to(device))
