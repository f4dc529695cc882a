"""Conditional convolution (Yang et al., CondConv, NeurIPS 2019): every sample has its own mixture of kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from counterwarp.networks.grouped import grouped_convolution


class ConditionalConvolution(nn.Module):
    """Convolution with kernel W(x, c) = sum_k alpha_k(x, c) W_k; 'same' padding, odd kernel.

    alpha = sigmoid(Linear(mean of x over space ++ c)). The whole batch is one grouped convolution, which equals
    the per-sample definition.

    Parameters
    ----------
    dimensions : 2 or 3
    inputs, outputs : channels
    conditions : length of the condition vector c
    experts : number of kernels K
    """

    def __init__(self, dimensions: int, inputs: int, outputs: int, conditions: int, experts: int = 3, kernel: int = 3):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs, *[kernel] * dimensions))
        self.bias = nn.Parameter(torch.zeros(experts, outputs))
        self.routing = nn.Linear(inputs + conditions, experts)
        for expert in self.weight:
            nn.init.kaiming_normal_(expert, a=0.2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (B, inputs, *shape) under conditions (B, conditions) to (B, outputs, *shape)."""
        alpha = torch.sigmoid(self.routing(torch.cat([x.flatten(2).mean(2), condition], dim=1)))  # (B, K)
        weight = torch.einsum("bk,k...->b...", alpha, self.weight)  # (B, out, in, *kernel)
        return grouped_convolution(x, weight, alpha @ self.bias)
