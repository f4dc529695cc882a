"""Saliency of classifiers whose gradient is known."""

import torch
from torch import nn

from counterwarp.explain import saliency

SHAPE = (4, 5, 6)


class Linear(nn.Module):
    """logit = <w, x>: the gradient is w whatever the image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x):
        return (x[:, 0] * self.weight).sum(dim=(1, 2, 3))


def test_gradient_keeps_its_sign_and_each_scan_its_own_map():
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    images = torch.randn((3, 1, *SHAPE), generator=torch.Generator().manual_seed(1))
    maps = saliency.attribute("gradient", Linear(weight), images)
    assert maps.shape == images.shape
    torch.testing.assert_close(maps, weight.expand(3, 1, *SHAPE))
    assert (maps < 0).any()
