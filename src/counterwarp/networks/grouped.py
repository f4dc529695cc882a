"""A convolution whose every sample has a kernel of its own, in the shapes for which a CPU has fast code."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}
BLOCK = 16  # channels that oneDNN takes at once; with others it is several times slower
WIDE = 16  # inputs from which on the faster gradient is faster
CHUNK = 2048  # voxels whose features stay in a core's cache while all taps of the kernel read them


def grouped_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve every sample with its own kernel, as one grouped convolution; 'same' padding.

    Parameters
    ----------
    x : Tensor, (B, inputs, *shape)
    weight : Tensor, (B, outputs, inputs, *kernel), odd and cubic
    bias : Tensor, (B, outputs)

    Returns
    -------
    Tensor, (B, outputs, *shape).
    """
    if x.device.type != "cpu":
        return _convolve(x, weight, bias)
    capability, inputs, outputs = torch.backends.cpu.get_cpu_capability(), x.shape[1], weight.shape[1]
    weight, bias = _with_channels(weight, 1), _with_channels(bias, 1)
    if capability == "AVX512" and inputs > 1:
        x, weight = _with_channels(x, 1), _with_channels(weight, 2)
    # where oneDNN has no kernel of its own for the weights' gradient (AVX2) it is slow (benchmarks/simulator_step.py)
    slow = capability == "AVX2" and inputs >= WIDE
    if slow and weight.requires_grad and not torch.is_autocast_enabled("cpu"):
        return _Convolution.apply(x, weight, bias)[:, :outputs]
    return _convolve(x, weight, bias)[:, :outputs]


def _with_channels(x: Tensor, axis: int) -> Tensor:
    """Add zeros along an axis up to a multiple of ``BLOCK``."""
    missing = -x.shape[axis] % BLOCK
    return F.pad(x, (0, 0) * (x.ndim - 1 - axis) + (0, missing)) if missing else x


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    convolve, padding = CONVOLUTIONS[x.ndim - 2], weight.shape[-1] // 2
    flat_bias = None if bias is None else bias.flatten()
    y = convolve(x.flatten(0, 1)[None], weight.flatten(0, 1), flat_bias, padding=padding, groups=len(x))
    return y.unflatten(1, (len(x), -1))[0]


class _Convolution(torch.autograd.Function):
    """``_convolve`` with ``weight_gradient``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gradient, of_x = gradients[0], None
        if ctx.needs_input_grad[0]:  # the convolution with the kernels turned round
            turned = weight.flip(tuple(range(3, weight.ndim))).transpose(1, 2).contiguous()
            of_x = _convolve(gradient, turned, None)
        return of_x, weight_gradient(x, gradient, weight.shape[-1]), gradient.flatten(2).sum(2)


def weight_gradient(x: Tensor, gradient: Tensor, kernel: int) -> Tensor:
    """Gradient of a sum with respect to the kernels of ``grouped_convolution``, a matrix product for each tap.

    In a padded array that is read as one line, a tap of the kernel is a shift: no patch is copied.

    Parameters
    ----------
    x : Tensor, (B, inputs, *shape)
    gradient : Tensor, (B, outputs, *shape), of the sum with respect to the convolution's output
    kernel : edge of the kernel

    Returns
    -------
    Tensor, (B, outputs, inputs, *kernel).
    """
    dimensions, edge = x.ndim - 2, kernel - 1
    padded = F.pad(x, (edge // 2,) * 2 * dimensions)
    strides = [stride // padded.stride(-1) for stride in padded.stride()[2:]]
    shifts = [
        sum(i * s for i, s in zip(tap, strides, strict=True)) for tap in product(range(kernel), repeat=dimensions)
    ]
    line, gradients = padded.flatten(2), F.pad(gradient, (0, edge) * dimensions).flatten(2)
    total = x.new_zeros(len(shifts), len(x), gradient.shape[1], x.shape[1])
    for start in range(0, line.shape[2] - shifts[-1], CHUNK):
        stop = min(start + CHUNK, line.shape[2] - shifts[-1])
        here = gradients[:, :, start:stop]
        for tap, shift in zip(total, shifts, strict=True):
            tap.baddbmm_(here, line[:, :, start + shift : stop + shift].transpose(1, 2))
    return total.movedim(0, -1).unflatten(-1, (kernel,) * dimensions)
