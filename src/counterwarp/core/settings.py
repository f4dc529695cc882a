"""Defaults of everything scientific, in one place. No torch, no ANTs: importing this is instant.

Each field's ``metadata["help"]`` is its line in ``--help`` and in nextflow_schema.json. The name of a group is the
prefix of its parameters in Nextflow: ``--classifier.epochs 60`` becomes ``counterwarp train-classifier --epochs 60``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def option(default: Any, help: str) -> Any:
    """A settings field with its help line (unit included)."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class ExtractionSettings:
    """Brain extraction of one scan."""


@dataclass(frozen=True)
class AlignmentSettings:
    """Affine alignment of one brain to MNI152 and its quality gate."""


@dataclass(frozen=True)
class ClassifierSettings:
    """The case/control classifier of one fold."""


@dataclass(frozen=True)
class SimulatorSettings:
    """The coupled inject/remove simulator of one fold."""


@dataclass(frozen=True)
class SaliencySettings:
    """Saliency baselines."""


SETTINGS: dict[str, type] = {
    "extraction": ExtractionSettings,
    "alignment": AlignmentSettings,
    "classifier": ClassifierSettings,
    "simulator": SimulatorSettings,
    "saliency": SaliencySettings,
}
