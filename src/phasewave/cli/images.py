"""The commands on images."""

from __future__ import annotations

import typer

from phasewave.cli.image_data import prepare_command
from phasewave.cli.image_evaluation import evaluate_command
from phasewave.cli.image_training import train_command
from phasewave.cli.image_use import generate_command, interpolate_command, reconstruct_command

app = typer.Typer(no_args_is_help=True, help="Images: reconstructed, generated, interpolated.")
app.command("prepare")(prepare_command)
app.command("train")(train_command)
app.command("reconstruct")(reconstruct_command)
app.command("generate")(generate_command)
app.command("interpolate")(interpolate_command)
app.command("evaluate")(evaluate_command)


@app.callback()
def _images() -> None:
    """Images: a generator of wavelets and sparse patterns learns to reconstruct, generate and interpolate them."""
