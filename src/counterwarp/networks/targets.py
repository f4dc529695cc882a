"""Networks of several case groups, seen as networks of one: of the same for all scans, or of each scan's own target."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn, tensor
from torch.nn import functional as F

from counterwarp.core.errors import InputError


class _View(nn.Module):
    """A network of K case groups and the target of each scan.

    Parameters
    ----------
    network : Module
    weights : Tensor, (T, K)
        One-hot targets, times a unit if logits are to have one. Scans n, n + T, n + 2 T, ... have the n-th.
    """

    weights: Tensor

    def __init__(self, network: nn.Module, weights: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("weights", weights)

    def of_scans(self, scans: int) -> Tensor:
        """The weights of each of a number of scans, (B, K)."""
        return self.weights.repeat(scans // len(self.weights), 1)


class TargetClassifier(_View):
    """A classifier's logits (B, K) of K case groups as those of one target per scan, (B,)."""

    @property
    def features(self) -> Any:
        """The classifier's own, for methods that look inside."""
        return self.network.features

    @property
    def members(self) -> list[nn.Module]:
        """Those of an ensemble, for the same."""
        members: Any = self.network.members
        return [TargetClassifier(member, self.weights) for member in members]

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 1, *shape) to logits (B,) of each one's target."""
        return (self.network(x) * self.of_scans(len(x))).sum(1)


class TargetSimulator(_View):
    """A simulator of K case groups as one that takes conditions (B,): +1 inject, -1 remove the pattern of a target."""

    @property
    def field(self) -> Any:
        """What the simulator puts out, see ``networks.fields``."""
        return self.network.field

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map images (B, 1, *shape) and conditions (B,) to the simulator's fields."""
        return self.network(x, condition[:, None] * self.of_scans(len(x)))


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
