"""Options shared by the commands, and options generated from the settings dataclasses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import click
from click.core import ParameterSource

from counterwarp.core.settings import with_preset

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)
existing_folder = click.Path(exists=True, file_okay=False, path_type=Path)
output_folder = click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the outputs."
)
seed = click.option("--seed", type=int, required=True, help="Seed of every random choice.")
device = click.option("--device", type=click.Choice(["cpu", "cuda"]), required=True, help="Where to compute.")
devices = click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs (or CPU processes) that share the training; on every node, if srun started it on several.",
)
fold = click.option("--fold", type=int, required=True, help="Index of the held-out fold, from 0.")
cohort = click.option("--cohort", type=existing_folder, required=True, help="Packed cohort (see pack-cohort).")

classifier = click.option(
    "--classifier", type=existing_folder, required=True, help="Output of train-classifier for the same fold."
)

target = click.option("--target", default="", help="Case group to explain, if there are several.")

match = click.option("--match", default="", help="Match cases and controls one to one by these covariates, by commas.")
match_caliper = click.option(
    "--match-caliper",
    type=float,
    default=0.5,
    show_default=True,
    help="Largest difference of a matched pair in a column of numbers, standard deviations.",
)

checkpoints = click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder where a training that is stopped leaves off, and goes on from if it is started again.",
)

scan_id = click.option("--scan-id", required=True, help="BIDS entities of the scan, e.g. sub-01_ses-1.")
templates = click.option("--templates", type=existing_folder, required=True, help="Output of prepare-templates.")


def triple(name: str, text: str) -> tuple[int, int, int]:
    """Three whole numbers written with commas, e.g. 64,64,64; click's own error otherwise."""
    numbers = text.replace(",", " ").split()
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
        raise click.BadParameter(f"expected three whole numbers, e.g. 64,64,64, got '{text}'", param_hint=name)
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def settings_options(settings_class: type) -> Callable:
    """Give a command one option per field of a settings dataclass; it receives the instance as ``settings``."""

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def with_settings(**arguments: Any) -> Any:
            values = {f.name: arguments.pop(f.name) for f in fields(settings_class)}
            source = click.get_current_context().get_parameter_source
            given = {name: value for name, value in values.items() if source(name) is not ParameterSource.DEFAULT}
            return command(settings=with_preset(settings_class, given), **arguments)

        hints = get_type_hints(settings_class)
        wrapped: Callable = with_settings
        for f in reversed(fields(settings_class)):
            flag = "--" + f.name.replace("_", "-")
            kind = click.Choice(f.metadata["choices"]) if "choices" in f.metadata else hints[f.name]
            wrapped = click.option(
                flag, f.name, type=kind, default=f.default, show_default=True, help=f.metadata["help"]
            )(wrapped)
        return wrapped

    return decorate
