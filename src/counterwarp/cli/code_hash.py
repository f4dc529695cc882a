"""``counterwarp code-hash``."""

import json

import click

from counterwarp.core import provenance


@click.command()
def code_hash() -> None:
    """Print the hash of the code behind every stage (inputs of the tasks: -resume repeats what a change touches)."""
    click.echo(json.dumps(provenance.code_hashes()))
