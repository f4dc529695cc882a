"""Saliency baselines by Captum: what each voxel's intensity, not its volume, does to the logit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import GuidedGradCam, IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from torch import Tensor, nn

from counterwarp.core.errors import InputError
from counterwarp.core.settings import SaliencySettings
from counterwarp.networks.warps import INTERPOLATION

AT_ONCE = 8  # occluded copies of a scan that are classified in one batch
GRAY = 0.0  # the reference that intensity is compared with: the mean of the brain, and the background


@dataclass(frozen=True)
class Method:
    """One way to attribute the logit to voxels.

    Attributes
    ----------
    title, reference : what people call it, and who described it
    units, sign : of its maps
    attribute : function of (classifier, images (B, 1, X, Y, Z), settings, spacing in mm) with maps of the images' shape
    needs_layers : does it look inside the classifier, at its ``features``?
    """

    title: str
    reference: str
    units: str
    sign: str
    attribute: Callable[[nn.Module, Tensor, SaliencySettings, Sequence[float]], Tensor]
    needs_layers: bool = False

    @property
    def sidecar(self) -> dict[str, str]:
        """Meaning of a map."""
        return {"Method": self.title, "Units": self.units, "Sign": f"{self.sign}; says nothing about volume"}


def _gradient(classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]) -> Tensor:
    return Saliency(classifier).attribute(images, abs=False)


def _smoothgrad(classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]) -> Tensor:
    """The mean gradient of noisy copies; the noise is the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NoiseTunnel(Saliency(classifier)).attribute(
            images, nt_type="smoothgrad", nt_samples=settings.samples, nt_samples_batch_size=1, stdevs=settings.noise,
            abs=False,
        )  # fmt: skip


def _integrated(classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]) -> Tensor:
    return IntegratedGradients(classifier).attribute(
        images, baselines=GRAY, n_steps=settings.steps, internal_batch_size=len(images)
    )


def _guided_gradcam(
    classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]
) -> Tensor:
    """Grad-CAM of the last features times guided backpropagation; only plain ReLUs can be guided, others are not."""
    mode = INTERPOLATION[images.ndim - 2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting backward hooks")
        methods = [GuidedGradCam(network, network.features) for network in _with_layers(classifier)]
        return torch.stack([method.attribute(images, interpolate_mode=mode) for method in methods]).mean(0)


def _with_layers(classifier: nn.Module) -> list[Any]:
    """The networks inside which features can be seen: the classifier, or the members of an ensemble."""
    return [network for network in getattr(classifier, "members", [classifier]) if hasattr(network, "features")]


def _occlusion(classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]) -> Tensor:
    window, stride = ([max(1, round(mm / s)) for s in spacing] for mm in (settings.window, settings.stride))
    return Occlusion(classifier).attribute(
        images, (1, *window), strides=(1, *stride), baselines=GRAY, perturbations_per_eval=AT_ONCE
    )


PER_INTENSITY = "logits per unit of z-scored intensity"
# Name in file names and in --saliency.methods -> the method.
METHODS = {
    "gradient": Method(
        "gradient", "Simonyan et al., arXiv:1312.6034, 2013",
        PER_INTENSITY, "positive: brighter raises the logit", _gradient,
    ),
    "smoothgrad": Method(
        "SmoothGrad", "Smilkov et al., arXiv:1706.03825, 2017",
        PER_INTENSITY, "positive: brighter raises the logit", _smoothgrad,
    ),
    "integratedGradients": Method(
        "Integrated Gradients", "Sundararajan et al., ICML 2017",
        "logits", "positive: this intensity, other than the brain's mean, raises the logit", _integrated,
    ),
    "guidedGradcam": Method(
        "Guided Grad-CAM", "Selvaraju et al., ICCV 2017",
        "arbitrary", "positive: brighter raises the logit; 0 where the features speak against the case group",
        _guided_gradcam, needs_layers=True,
    ),
    "occlusion": Method(
        "occlusion", "Zeiler and Fergus, ECCV 2014",
        "logits", "positive: the logit falls when this surrounding is set to the brain's mean", _occlusion,
    ),
}  # fmt: skip


def chosen(settings: SaliencySettings, classifier: nn.Module) -> list[str]:
    """Names of the methods to be used: those of the settings, less those that need layers which are hidden.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    if unknown := sorted(set(settings.names) - METHODS.keys()):
        raise InputError(f"--saliency.methods: no method {', '.join(unknown)}. There are {', '.join(METHODS)}.")
    layers = _with_layers(classifier)
    return [name for name in settings.names if layers or not METHODS[name].needs_layers]


def attribute(
    method: str, classifier: nn.Module, images: Tensor, settings: SaliencySettings, spacing: Sequence[float]
) -> Tensor:
    """Attribution of the logit to each voxel's intensity, signed.

    Parameters
    ----------
    method : str
        A key of ``METHODS``.
    classifier : Module
        Maps (B, 1, X, Y, Z) to logits (B,); in evaluation mode.
    images : Tensor, (B, 1, X, Y, Z)
        z-scored intensity, on the network grid.
    spacing : mm per voxel

    Returns
    -------
    Tensor, (B, 1, X, Y, Z), in the method's units.
    """
    return METHODS[method].attribute(classifier, images.clone().requires_grad_(), settings, spacing).detach()
