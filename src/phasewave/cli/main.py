"""The command ``phasewave``: its options and its groups."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from phasewave.cli import classification, diagnostics, images, molecules, turbulence
from phasewave.cli.errors import ErrorGroup, ExitCode
from phasewave.cli.quickstart import quickstart_command

app = typer.Typer(
    cls=ErrorGroup,
    name="phasewave",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(turbulence.app, name="turbulence")
app.add_typer(molecules.app, name="molecules")
app.add_typer(images.app, name="images")
app.add_typer(classification.app, name="classify")
app.add_typer(diagnostics.app, name="diagnose")
app.command("quickstart")(quickstart_command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"phasewave {metadata.version('phasewave')}")
        raise typer.Exit


@app.callback()
def _phasewave(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
) -> None:
    """Scientific generative modelling with wavelets.

    Exit codes: 0 done, 2 wrong use, 3 missing data, 4 not converged or interrupted (all is saved).
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    try:
        app(None if arguments is None else list(arguments), prog_name="phasewave")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return int(ExitCode.DONE)
