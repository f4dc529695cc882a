"""Architectures of the classifier, each as (features, head): a feature map, and what makes the logits of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from counterwarp.core.errors import InputError
from counterwarp.networks.parallel import BatchNorm, Dropout
from counterwarp.networks.pooling import AveragePool

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
POOLS: dict[str, dict[int, Callable[[], nn.Module]]] = {
    "average": {2: AveragePool, 3: AveragePool},
    "maximum": {2: partial(nn.MaxPool2d, 2), 3: partial(nn.MaxPool3d, 2)},
}
Parts = tuple[nn.Module, nn.Module]


def four_blocks(shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int) -> Parts:
    """Four convolution blocks and a linear layer (Liu et al., IPMI 2021)."""
    dimensions, inputs = len(shape), 1
    layers: list[nn.Module] = []
    for outputs in (width, 2 * width, 4 * width, 4 * width):
        layers += [
            CONVOLUTIONS[dimensions](inputs, outputs, 3, padding=1, bias=False),
            BatchNorm(outputs),
            nn.LeakyReLU(0.2),
            POOLS[pooling][dimensions](),
        ]
        inputs = outputs
    cells = int(torch.tensor([n // 16 for n in shape]).prod())
    return nn.Sequential(*layers), nn.Sequential(nn.Flatten(), Dropout(dropout), nn.Linear(inputs * cells, logits))


def densenet121(shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int) -> Parts:
    """Huang et al., CVPR 2017, by MONAI; ``width``: channels of its first convolution."""
    from monai.networks.nets import DenseNet121

    network: Any = DenseNet121(len(shape), 1, logits, init_features=width)
    network.class_layers.out = nn.Sequential(Dropout(dropout), network.class_layers.out)
    return network.features, network.class_layers


def resnet18(shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int) -> Parts:
    """He et al., CVPR 2016, by MONAI; ``width``: channels of its first stage."""
    from monai.networks.nets.resnet import ResNet, ResNetBlock

    planes = [width * 2**stage for stage in range(4)]
    network: Any = ResNet(
        ResNetBlock, [2, 2, 2, 2], planes, len(shape), 1, num_classes=logits, conv1_t_stride=2, bias_downsample=False
    )
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    features = nn.Sequential(network.conv1, network.bn1, network.act, network.maxpool, *stages)
    return features, nn.Sequential(network.avgpool, nn.Flatten(), Dropout(dropout), network.fc)


def seresnet50(shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int) -> Parts:
    """Hu et al., CVPR 2018, by MONAI; its width is fixed."""
    from monai.networks.nets import SEResNet50

    network: Any = SEResNet50(spatial_dims=len(shape), in_channels=1, num_classes=logits)
    features = nn.Sequential(network.layer0, network.layer1, network.layer2, network.layer3, network.layer4)
    return features, nn.Sequential(network.adaptive_avg_pool, nn.Flatten(), Dropout(dropout), network.last_linear)


def linear(shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int) -> Parts:
    """Logistic regression on the voxels, all weights 0 at first; it has no channels and pools nothing."""
    layer = nn.Linear(math.prod(shape), logits)
    nn.init.zeros_(layer.weight)
    return nn.Identity(), nn.Sequential(nn.Flatten(), Dropout(dropout), layer)


ARCHITECTURES: dict[str, Callable[[tuple[int, ...], int, float, str, int], Parts]] = {
    "liu2021": four_blocks, "densenet121": densenet121, "resnet18": resnet18, "seresnet50": seresnet50,
    "linear": linear,
}  # fmt: skip


def build(
    architecture: str, shape: tuple[int, ...], width: int, dropout: float, pooling: str, logits: int = 1
) -> Parts:
    """Features and head of an architecture for images (1, *shape).

    Raises
    ------
    InputError
        If the images are too small for it.
    """
    features, head = (
        _cooperative(part) for part in ARCHITECTURES[architecture](shape, width, dropout, pooling, logits)
    )
    try:
        with torch.no_grad():
            head.eval()(features.eval()(torch.zeros(1, 1, *shape)))
    except RuntimeError as error:
        raise InputError(
            f"--classifier.architecture {architecture}: a grid of {'x'.join(map(str, shape))} voxels is too small for "
            "it. Take a smaller --resolution, or liu2021."
        ) from error
    return features.train(), head.train()


def _cooperative(module: nn.Module) -> nn.Module:
    """With the batch norm of several processes, and with activations that keep their input, as guided ones must."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm) and not isinstance(child, BatchNorm):
            norm = BatchNorm(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm)
        elif isinstance(child, nn.ReLU):
            child.inplace = False
        _cooperative(child)
    return module
