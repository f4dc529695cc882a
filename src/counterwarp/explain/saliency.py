"""Saliency baselines: what each voxel's intensity, not its volume, does to the logit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from captum.attr import Saliency
from torch import Tensor, nn

SIDECAR = {
    "Units": "logits per unit of z-scored intensity",
    "Sign": "positive: brighter raises the logit; says nothing about volume",
}

# Name in file names -> how Captum's method is made for a classifier. A method is a function of images (B, 1, X, Y, Z).
METHODS: dict[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "gradient": lambda classifier: partial(Saliency(classifier).attribute, abs=False),
}


def attribute(method: str, classifier: nn.Module, images: Tensor) -> Tensor:
    """Attribution of the logit to each voxel's intensity, signed.

    Parameters
    ----------
    method : str
        A key of ``METHODS``. ``gradient``: Simonyan et al. (2013), the derivative of the logit.
    classifier : Module
        Maps (B, 1, X, Y, Z) to logits (B,); in evaluation mode.
    images : Tensor, (B, 1, X, Y, Z)
        z-scored intensity, on the network grid.

    Returns
    -------
    Tensor, (B, 1, X, Y, Z), logits per unit of z-scored intensity.
    """
    return METHODS[method](classifier)(images.requires_grad_()).detach()
