"""Defaults of everything scientific, in one place. No torch, no ANTs: importing this is instant.

Each field's ``metadata["help"]`` is its line in ``--help`` and in nextflow_schema.json. The name of a group is the
prefix of its parameters in Nextflow: ``--classifier.epochs 60`` becomes ``counterwarp train-classifier --epochs 60``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Any


def option(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A settings field with its help line (unit included) and, if not every value will do, its values."""
    return dataclasses.field(default=default, metadata={"help": help} | ({"choices": choices} if choices else {}))


def with_preset(settings_class: type, given: dict[str, Any]) -> Any:
    """Settings whose values that are not given are those of the preset that is, or else the defaults."""
    preset = next((f for f in fields(settings_class) if f.name == "preset"), None)
    values = preset.metadata["values"].get(given.get("preset", preset.default), {}) if preset else {}
    return settings_class(**(values | given))


@dataclass(frozen=True)
class SimulationSettings:
    """A simulated cohort with a planted regional volume change."""

    effect: float = option(1.0, "Strength of the planted change; 0 makes the null cohort.")
    shrink: str = option("Hippocampus,Amygdala", "Regions that lose volume in cases (atlas names without side).")
    grow: str = option("Lateral_Ventricle", "Regions that gain volume in cases (atlas names without side).")
    shrink_log: float = option(-0.9, "Log volume change aimed at in the shrinking regions at effect 1.")
    grow_log: float = option(0.9, "Log volume change aimed at in the growing regions at effect 1.")
    dose_sd: float = option(0.25, "Spread of the cases' doses around 1 (controls: 0.6 of it around 0).")
    variation: float = option(2.0, "Standard deviation of the random anatomy's velocity, mm.")
    rotation: float = option(8.0, "Standard deviation of the head's rotation per axis, degrees.")
    noise: float = option(0.02, "Noise, as a share of the brightest tissue.")
    bias: float = option(0.15, "Standard deviation of the log bias field.")


@dataclass(frozen=True)
class ExtractionSettings:
    """Brain extraction of one scan."""

    neck: float = option(190.0, "Height kept below the top of the head, mm.")
    registration_resolution: float = option(4.0, "Voxel of the registration to the head template, mm.")
    opening: float = option(2.0, "Radius of the erosion that cuts bridges to skull and dura, mm.")


@dataclass(frozen=True)
class AlignmentSettings:
    """Affine alignment of one brain to MNI152 and its quality gate."""

    review_correlation: float = option(0.4, "Below this interior correlation with MNI152 a scan is marked REVIEW.")
    fail_correlation: float = option(0.25, "Below this interior correlation with MNI152 a scan FAILS.")
    review_dice: float = option(0.88, "Below this overlap of brain masks with MNI152 a scan is marked REVIEW.")
    fail_dice: float = option(0.75, "Below this overlap of brain masks with MNI152 a scan FAILS.")
    smallest_brain: float = option(800.0, "Smallest plausible brain, ml.")
    largest_brain: float = option(2600.0, "Largest plausible brain, ml.")
    largest_scale: float = option(1.45, "Largest plausible stretch of an axis to MNI152 (and 1/x the smallest).")
    largest_edge_share: float = option(0.02, "Above this share of the brain on the network grid's border: REVIEW.")


@dataclass(frozen=True)
class TrainingSettings:
    """What every trained network has: its own values of the first three, and how the engine runs."""

    batch_size: int
    learning_rate: float
    weight_decay: float
    precision: str = option(
        "auto", "Arithmetic of the network; auto: bf16 on a GPU, fp32 on a CPU.", ("auto", "fp32", "bf16", "fp16")
    )
    accumulation: int = option(1, "Parts in which a step's scans are computed one after the other, to save memory.")
    clip: float = option(1.0, "Largest norm of the gradient; longer ones are shortened (0: never).")
    ema_decay: float = option(
        0.0, "Decay per step of an exponential moving average of the weights, which is then the result (0: none)."
    )


@dataclass(frozen=True)
class ClassifierSettings(TrainingSettings):
    """The case/control classifier of one fold."""

    architecture: str = option(
        "liu2021", "Four convolution blocks (Liu et al. 2021), one of MONAI's networks, or a logistic regression.",
        ("liu2021", "densenet121", "resnet18", "seresnet50", "linear"),
    )  # fmt: skip
    pooling: str = option("average", "Pooling of liu2021; the paper's code takes the maximum.", ("average", "maximum"))
    width: int = option(16, "Channels of the first convolution block (seresnet50: always 64; linear: none).")
    dropout: float = option(0.2, "Share of features dropped before the linear layer.")
    epochs: int = option(60, "Passes over the training scans.")
    batch_size: int = option(8, "Scans per step.")
    learning_rate: float = option(2e-3, "Peak of the one-cycle learning rate.")
    weight_decay: float = option(1e-2, "AdamW weight decay.")
    label_smoothing: float = option(0.0, "Share of each label moved towards 0.5.")
    ensemble: int = option(
        1,
        "Networks whose mean logit is the classifier's, by cross-validation within the training participants: each "
        "leaves out another part of them (1: one network).",
    )
    validation_share: float = option(
        0.2, "Share of the training participants kept for the logit gap (of an ensemble all take their turn)."
    )
    patience: int = option(
        0, "Epochs without a lower validation loss that end training; the best weights win (0: off)."
    )
    average_from: float = option(
        0.7, "Share of the steps after which weights are averaged, all alike (1: never; unused with ema_decay)."
    )
    mirror: float = option(0.5, "Augmentation: share of the scans whose left and right are swapped.")
    shift: float = option(1.0, "Augmentation: translation per axis, standard deviation, mm.")
    warp: float = option(1.0, "Augmentation: smooth random velocity at 24 mm control points, standard deviation, mm.")
    noise: float = option(0.1, "Augmentation: white noise, standard deviation, z-scored intensity.")


# Of the published method. Batch, learning rate and steps are its own; the weights' scale is not known in mm.
IPMI2021: dict[str, Any] = {
    "field": "displacement", "only_correct": True, "steps": 1500, "batch_size": 40, "learning_rate": 2e-4,
    "smoothness": 1.0, "magnitude": 0.0, "critic": 0.0, "shift": 1.0, "warp": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class SimulatorSettings(TrainingSettings):
    """The coupled inject/remove simulator of one fold."""

    preset: str = dataclasses.field(
        default="counterwarp",
        metadata={
            "help": "What options have that are not given: their defaults or, as Liu et al. (2021), "
            + ", ".join(f"{name} {str(value).lower()}" for name, value in IPMI2021.items()) + ".",
            "choices": ("counterwarp", "ipmi2021"),
            "values": {"ipmi2021": IPMI2021},
        },
    )  # fmt: skip
    field: str = option(
        "velocity",
        "Output of the network: the velocity of a diffeomorphism (half resolution), or a displacement, which may fold.",
        ("velocity", "displacement"),
    )
    width: int = option(16, "Channels of the U-Net's first level.")
    experts: int = option(3, "Kernels mixed by every conditional convolution.")
    coupled: bool = option(True, "One network for inject and remove; false: a network for each.")
    only_correct: bool = option(
        False, "Train with those scans alone that the classifier gets right, as the paper's code does."
    )
    steps: int = option(300, "Optimiser steps.")
    batch_size: int = option(4, "Scans per step; each is warped in both directions.")
    learning_rate: float = option(1e-3, "Peak of the one-cycle learning rate.")
    weight_decay: float = option(0.0, "AdamW weight decay.")
    margin: float = option(1.2, "Logit change trained for, as a multiple of the margin (the validation logit gap).")
    smoothness: float = option(20.0, "Weight of the mean squared gradient of the field (dimensionless).")
    magnitude: float = option(0.2, "Weight of the mean squared field, per mm^2.")
    cycle: float = option(1.0, "Weight of the cycle loss (share of the image variance).")
    critic: float = option(
        50.0, "Weight of the difference between simulated and true group means (share of the image variance); 0: none."
    )
    shift: float = option(0.5, "Augmentation: translation per axis, standard deviation, mm.")
    warp: float = option(0.5, "Augmentation: smooth random velocity at 24 mm control points, standard deviation, mm.")
    noise: float = option(0.0, "Augmentation: white noise, standard deviation, z-scored intensity.")


@dataclass(frozen=True)
class JacobianSettings:
    """Export of warps and log-Jacobians."""

    largest_scale: float = option(
        2.0,
        "A velocity that does not move the logit by the margin is multiplied by what does, at most by this; 1: left as "
        "the simulator gives it.",
    )
    doses: int = option(20, "Steps from dose 0 to 1 at which the logit is measured; 1: only before and after, faster.")
    cycle: bool = option(
        True, "Warp every simulated scan back by the opposite direction and measure what is left; false: faster."
    )


@dataclass(frozen=True)
class SaliencySettings:
    """Saliency baselines."""

    methods: str = option(
        "gradient,smoothgrad,integratedGradients,guidedGradcam",
        "Methods, by commas; also occlusion, which takes half a minute per scan on a CPU (4 mm).",
    )
    batch_size: int = option(4, "Scans differentiated at once.")
    samples: int = option(10, "SmoothGrad: noisy copies of a scan.")
    noise: float = option(0.3, "SmoothGrad: noise, standard deviation, z-scored intensity.")
    steps: int = option(16, "Integrated Gradients: steps from the brain's mean intensity to the scan.")
    window: float = option(20.0, "Occlusion: edge of the occluded cube, mm.")
    stride: float = option(12.0, "Occlusion: distance between cubes, mm.")

    @property
    def names(self) -> list[str]:
        """Names of the methods."""
        return [name.strip() for name in self.methods.split(",") if name.strip()]


@dataclass(frozen=True)
class ComparisonSettings:
    """Group statistics."""

    covariates: str = option("", "Nuisance columns of the cohort, by commas, e.g. age,sex; or brain_volume_ml.")
    tested: str = option(
        "mean",
        "A further question: a column. Numbers: slope; words: all differences (F) and every pair. mean: none.",
    )
    permutations: int = option(500, "Permutations or sign flips for family-wise error control.")
    tfce: bool = option(
        True, "Threshold-free cluster enhancement of the sign-aligned contrast and of the groups' difference."
    )
    smoothing: float = option(0.0, "Gaussian smoothing of every map before the statistics, FWHM in mm.")
    atlas: str = option("neuromorphometrics", "Atlas by name, or a label image in MNI152 space with a .tsv beside it.")

    @property
    def nuisance(self) -> list[str]:
        """Names of the covariates."""
        return [name.strip() for name in self.covariates.split(",") if name.strip()]


SETTINGS: dict[str, type] = {
    "simulation": SimulationSettings,
    "extraction": ExtractionSettings,
    "alignment": AlignmentSettings,
    "classifier": ClassifierSettings,
    "simulator": SimulatorSettings,
    "jacobians": JacobianSettings,
    "saliency": SaliencySettings,
    "comparison": ComparisonSettings,
}
