"""The ``counterwarp`` command."""

from __future__ import annotations

import importlib
import logging
import sys

import click
from rich.console import Console
from rich.logging import RichHandler

from counterwarp import __version__
from counterwarp.core.errors import InputError

COMMANDS = (
    "simulate-cohort",
    "check-cohort",
    "prepare-templates",
    "extract-brain",
    "align-affine",
    "pack-cohort",
    "train-classifier",
    "import-classifier",
    "train-simulator",
    "map-jacobians",
    "map-saliency",
    "compare-groups",
    "write-report",
    "warp-scan",
    "evaluate",
    "compare-results",
    "write-schema",
    "code-hash",
)


class LazyGroup(click.Group):
    """Imports a command's module only when that command is asked for, so that ``--help`` is instant."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"counterwarp.cli.{name.replace('-', '_')}")
        return getattr(module, name.replace("-", "_"))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="counterwarp")
def counterwarp() -> None:
    """Explain a brain MRI classifier by the warps that change its mind."""
    show_log()


def show_log() -> None:
    """The package's messages on standard error: in colour on a terminal, else as plain lines with their time."""
    console = Console(stderr=True)
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("counterwarp")
    log.setLevel(logging.INFO)
    log.handlers = [RichHandler(console=console, show_path=False) if console.is_terminal else plain]


def main() -> None:
    """Run the command line; an InputError becomes one clear message and exit code 1."""
    try:
        counterwarp.main(standalone_mode=True)
    except InputError as error:
        click.secho(f"counterwarp: {error}", fg="red", err=True)
        sys.exit(1)
