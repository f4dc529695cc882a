"""Layers whose result depends on the whole batch, for a batch that is spread over several processes.

They compute what one process would compute with all of the scans. In one process they are PyTorch's own layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def mean_over_processes(x: Tensor) -> Tensor:
    """Mean of a tensor over the processes; gradients flow back to all of them."""
    return all_reduce(x.clone()) / processes() if processes() > 1 else x


def batch_variance(x: Tensor) -> Tensor:
    """Variance over all elements of all processes' tensors, which have one shape; unbiased, as ``Tensor.var``."""
    if processes() == 1:
        return x.var()
    elements = x.numel() * processes()
    mean = mean_over_processes(x.mean())
    return mean_over_processes((x - mean).square().mean()) * elements / (elements - 1)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm of (B, C, *shape), in 1-D to 3-D, with the mean and variance of all processes' scans.

    PyTorch's ``SyncBatchNorm`` does the same on GPUs only.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of spatial axes will do."""

    def forward(self, x: Tensor) -> Tensor:
        if processes() == 1 or not self.training:
            return super().forward(x)
        axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
        values = x.float()
        mean = mean_over_processes(values.mean(axes))
        centred = values - mean.reshape(shape)
        variance = mean_over_processes(centred.square().mean(axes))
        self._follow(mean.detach(), variance.detach(), x.numel() // x.shape[1] * processes())
        y = centred * (self.weight * (variance + self.eps).rsqrt()).reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, elements: int) -> None:
        """Move the running statistics, which evaluation uses, towards a batch's."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * elements / (elements - 1), self.momentum)


class Dropout(nn.Dropout):
    """Dropout whose choice for a scan is the same in whichever process the scan is; needs equal seeds there."""

    def forward(self, x: Tensor) -> Tensor:
        if processes() == 1 or not self.training:
            return super().forward(x)
        kept = F.dropout(x.new_ones(processes() * len(x), *x.shape[1:]), self.p)
        return x * kept.chunk(processes())[distributed.get_rank()]
