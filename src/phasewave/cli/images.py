"""The commands on images."""

from __future__ import annotations

import typer

from phasewave.cli.image_data import prepare_command

app = typer.Typer(no_args_is_help=True, help="Sets of images.")
app.command("prepare")(prepare_command)


@app.callback()
def _images() -> None:
    """Sets of images: one file of what a folder, an archive or a public set holds."""
