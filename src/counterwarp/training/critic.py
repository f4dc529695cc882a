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
    means : Tensor, (2, 1, *shape)
        Mean image of the training controls and of the training cases.
    """

    means: Tensor
    change: Tensor

    def __init__(self, means: Tensor):
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("change", torch.zeros_like(means))  # of controls by inject, of cases by remove

    def forward(self, images: Tensor, simulated: Tensor, is_case: Tensor) -> Tensor:
        """Loss of scans (B, 1, *shape) of which each was moved towards the other group.

        Its gradient is that of the squared difference of the means, as a share of the mean images' variance.
        """
        changes, losses = simulated - images, []
        for group in (0, 1):
            chosen = (is_case == group).to(images.dtype)
            share = mean_over_processes(chosen.mean())
            if share == 0:
                continue
            weights = (chosen / (share * len(chosen))).reshape(-1, *[1] * (images.ndim - 1))
            mean_change = (weights * changes).sum(0)
            with torch.no_grad():
                self.change[group].lerp_(mean_over_processes(mean_change).to(self.change.dtype), 1 - MEMORY)
            residual = self.means[group] + self.change[group] - self.means[1 - group]
            losses.append(2 * (residual * mean_change).mean())
        return torch.stack(losses).mean() / self.means.var()

    @torch.no_grad()
    def distance(self) -> Tensor:
        """Squared difference of the means that is left, as a share of the groups' own."""
        left = self.means + self.change - self.means.flip(0)
        return left.square().mean() / (self.means[0] - self.means[1]).square().mean()
