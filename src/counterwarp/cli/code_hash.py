"""``counterwarp code-hash``."""

import click

from counterwarp.core import provenance


@click.command()
def code_hash() -> None:
    """Print the hash of the installed code (an input of every task, so that -resume sees a code change)."""
    click.echo(provenance.code_hash())
