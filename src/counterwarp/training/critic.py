"""What the classes look like on average, held against what the simulator makes of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterwarp.networks.parallel import mean_over_processes

MEMORY = 0.9  # decay per step of the moving average


class GroupMeanCritic(nn.Module):
    """A linear critic: does the average control, injected, look like the average case, and the other way round?

    The difference between the simulated mean and the mean of the group it is to become is the critic (the witness of
    a maximum mean discrepancy with a linear kernel; Gretton et al., JMLR 2012). The simulated mean is followed by a
    moving average of what the warps change, which varies less between scans than the scans do.

    Parameters
    ----------
    means : Tensor, (1 + K, 1, *shape)
        Mean image of the training controls and of the training cases of each group.
    """

    means: Tensor
    change: Tensor

    def __init__(self, means: Tensor):
        super().__init__()
        pairs = [means[[0, group]] for group in range(1, len(means))]
        self.register_buffer("means", torch.cat(pairs))  # of a target: controls, cases
        self.register_buffer("change", torch.zeros_like(self.means))  # of controls by inject, of cases by remove

    def forward(self, images: Tensor, simulated: Tensor, group: Tensor) -> Tensor:
        """Loss of scans (B, 1, *shape) of which each was moved towards the other group of its target.

        ``group`` (B,): 0 for controls and 1 for cases, plus 2 for every case group before the scan's target.
        Its gradient is that of the squared difference of the means, as a share of the mean images' variance.
        """
        changes, losses = simulated - images, []
        for number in range(len(self.means)):
            chosen = (group == number).to(images.dtype)
            share = mean_over_processes(chosen.mean())
            if share == 0:
                continue
            weights = (chosen / (share * len(chosen))).reshape(-1, *[1] * (images.ndim - 1))
            mean_change = (weights * changes).sum(0)
            with torch.no_grad():
                self.change[number].lerp_(mean_over_processes(mean_change).to(self.change.dtype), 1 - MEMORY)
            residual = self.means[number] + self.change[number] - self.means[number ^ 1]
            losses.append(2 * (residual * mean_change).mean())
        return torch.stack(losses).mean() / self.means.var()

    @torch.no_grad()
    def distance(self) -> Tensor:
        """Squared difference of the means that is left, as a share of the groups' own."""
        goal = self.means.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        return (self.means + self.change - goal).square().mean() / (self.means - goal).square().mean()
