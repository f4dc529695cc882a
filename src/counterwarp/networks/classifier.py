"""The classifier: T1w on the network grid to a logit for each case group (positive = case rather than control)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from counterwarp.networks.backbones import build
from counterwarp.networks.imported import find_program, read_program
from counterwarp.networks.parallel import BatchNorm
from counterwarp.networks.targets import TargetClassifier, of_target


class Classifier(nn.Module):
    """One of ``networks.backbones``; the default has four blocks, after Liu et al. (IPMI 2021), with average pooling.

    Average pooling (their code takes the maximum) keeps the logit a smooth function of small warps, which is
    what the simulator differentiates. The mean training image is subtracted first.

    Parameters
    ----------
    mean_image : Tensor, (1, 1, *shape)
        Mean of the training images, z-scored intensity.
    width : int
        Channels of the first block; the others have 2, 4 and 4 times as many.
    dropout : float
        Share of features dropped before the linear layer while training.
    architecture, pooling : keys of ``networks.backbones.ARCHITECTURES`` and ``POOLS``
    targets : labels of the case groups if there are several, K; the controls are the reference, with logit 0

    Raises
    ------
    InputError
        If the images are too small for the architecture.
    """

    mean_image: Tensor

    def __init__(
        self, mean_image: Tensor, width: int = 16, dropout: float = 0.2,
        architecture: str = "liu2021", pooling: str = "average", targets: Sequence[str] = (),
    ):  # fmt: skip
        super().__init__()
        self.register_buffer("mean_image", mean_image)
        self.targets, shape = tuple(targets), tuple(mean_image.shape[2:])
        self.features, self.head = build(architecture, shape, width, dropout, pooling, max(1, len(targets)))

    def forward(self, x: Tensor) -> Tensor:
        """Map z-scored images (B, 1, *shape) to logits (B,), of several case groups (B, K)."""
        return self.head(self.features(x - self.mean_image)).squeeze(1)


class Ensemble(nn.Module):
    """Classifiers of the same kind whose mean logit counts (deep ensembles: Lakshminarayanan et al., NeurIPS 2017)."""

    def __init__(self, members: Sequence[Classifier]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.targets = members[0].targets

    def forward(self, x: Tensor) -> Tensor:
        """Map z-scored images (B, 1, *shape) to logits (B,), of several case groups (B, K)."""
        return torch.stack([member(x) for member in self.members]).mean(0)


AnyClassifier = Classifier | Ensemble


def save_classifier(classifier: AnyClassifier, folder: Path, **settings: float | str | list[str]) -> None:
    """Write weights (safetensors) and the settings that a network is built from (network.json)."""
    save_file({name: t.contiguous() for name, t in classifier.state_dict().items()}, folder / "classifier.safetensors")
    (folder / "network.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def weights_file(folder: Path) -> Path:
    """The file that makes a classifier: its weights, or the program that was imported."""
    return find_program(folder) or folder / "classifier.safetensors"


def load_classifier(folder: str | Path, device: str = "cpu") -> nn.Module:
    """Read a trained or imported classifier, frozen, in evaluation mode; it cannot be trained on."""
    if program := find_program(Path(folder)):
        return read_program(program, device)
    state = load_file(Path(folder) / "classifier.safetensors")
    settings = json.loads((Path(folder) / "network.json").read_text(encoding="utf-8"))
    means = [tensor for name, tensor in state.items() if name.endswith("mean_image")]
    networks = [Classifier(mean, **settings) for mean in means]
    classifier = Ensemble(networks) if "mean_image" not in state else networks[0]
    classifier.load_state_dict(state)
    return freeze(classifier).to(device)


def load_target_classifier(folder: str | Path, target: str, device: str = "cpu") -> nn.Module:
    """Read a classifier, frozen; of several case groups it is the target's, with logits (B,)."""
    return of_target(load_classifier(folder, device), TargetClassifier, target, device)


def freeze(classifier: AnyClassifier) -> AnyClassifier:
    """Make a classifier one that is trained no more: the same logits with fewer passes through memory.

    A batch norm that follows a convolution goes into its weights, and leaky ReLUs work in place.
    """
    classifier.eval()
    for module in classifier.modules():
        if isinstance(module, nn.LeakyReLU):
            module.inplace = True
        if isinstance(module, nn.Sequential):
            for i, (convolution, norm) in enumerate(pairwise(list(module))):
                if isinstance(convolution, nn.Conv2d | nn.Conv3d) and isinstance(norm, BatchNorm):
                    module[i], module[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return classifier.requires_grad_(False)
