"""Classifiers that were trained elsewhere, as programs that need none of their authors' code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from counterwarp.core.errors import InputError

EXPORTED, SCRIPTED = ".pt2", ".ts"
FORMATS = {".pt2": EXPORTED, ".ts": SCRIPTED, ".pt": SCRIPTED, ".pth": SCRIPTED}
SAME_LOGIT = 1e-3  # of a scan alone and among others: rounding, as a share of the logits' size
HOW_TO = (
    "Export a network in evaluation mode, for batches of any size: torch.export.export(model.eval(), (images,), "
    "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))."
)


class ImportedClassifier(nn.Module):
    """A program with the interface of ``networks.classifier.Classifier``: images (B, 1, X, Y, Z) to logits (B,).

    A program with two outputs per scan (control, case) has the difference of the two as its logit.
    """

    def __init__(self, program: nn.Module):
        super().__init__()
        self.program = program
        for parameter in program.parameters():  # requires_grad_ of a whole script is not supported
            parameter.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map z-scored images (B, 1, *shape) to logits (B,)."""
        output = self.program(x)
        if output.ndim == 2 and output.shape[1] == 2:
            return output[:, 1] - output[:, 0]
        return output.reshape(len(x))

    def train(self, mode: bool = True) -> ImportedClassifier:
        """Nothing changes: the mode was fixed when the program was exported."""
        return self


def find_program(folder: Path) -> Path | None:
    """The program in a classifier's folder, if it has one."""
    return next((path for end in (EXPORTED, SCRIPTED) if (path := folder / f"classifier{end}").is_file()), None)


def read_program(path: Path, device: str = "cpu") -> ImportedClassifier:
    """Read a torch.export program (.pt2) or TorchScript (.ts, .pt, .pth), frozen.

    Raises
    ------
    InputError
        If the file is neither.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: expected a classifier as {', '.join(FORMATS)}, got '{path.suffix}'. {HOW_TO}")
    try:
        if FORMATS[path.suffix] == EXPORTED:
            program = move_to_device_pass(torch.export.load(path), device).module()
        else:
            program = torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        kind = "a program of torch.export" if FORMATS[path.suffix] == EXPORTED else "TorchScript"
        raise InputError(
            f"{path}: expected {kind}, and it cannot be read as such ({_first(error)}). {HOW_TO}"
        ) from error
    return ImportedClassifier(program)


def check_classifier(name: object, classifier: nn.Module, images: Tensor) -> None:
    """Can this classifier be explained? Its shapes, its logits and their gradients.

    Parameters
    ----------
    name : what to call it in messages
    images : Tensor, (B, 1, X, Y, Z), at least two different scans

    Raises
    ------
    InputError
        If it does not take the images in any number, does not give one finite logit for each, lets the scans of a
        batch (or chance) change each other's logits, or has no finite gradient other than 0.
    """
    shape = tuple(images.shape)
    inputs = images.clone().requires_grad_()
    try:
        logits, alone = classifier(inputs), classifier(images[:1])
    except (RuntimeError, AssertionError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"{name}: expected to take images {shape} (scans, 1, grid) and give a logit for each, also for one scan "
            f"alone; it fails: {_first(error)}. {HOW_TO} Another grid: --resolution or --shape."
        ) from error
    if not (torch.isfinite(logits).all() and torch.isfinite(alone).all()):
        raise InputError(f"{name}: expected finite logits, got {logits.tolist()} for {len(images)} scans.")
    values, single = logits.tolist(), float(alone.detach())
    if abs(values[0] - single) > SAME_LOGIT * max(1.0, *map(abs, values)):
        raise InputError(
            f"{name}: gives the same scan a logit of {values[0]:.4g} among others and of {single:.4g} "
            f"alone, expected one number: it was exported in training mode (batch norm, dropout). {HOW_TO}"
        )
    gradient = torch.autograd.grad(logits.sum(), inputs)[0] if logits.requires_grad else torch.zeros_like(images)
    if not torch.isfinite(gradient).all() or not gradient.flatten(1).any(dim=1).all():
        raise InputError(
            f"{name}: expected a finite gradient of the logit, not 0 everywhere; a simulator is trained through it. "
            "Export a network that is differentiable (no argmax, no detach, no rounding)."
        )


def _first(error: Exception) -> str:
    """The last line of an error that says something."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
