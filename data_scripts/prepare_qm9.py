"""Make one HDF5 file of QM9 (130,831 molecules) from a download: checked, in eV and Angstrom, with splits.

Get one of these (the data are CC0, doi 10.1038/sdata.2014.22):

(a) the wheel, 104 MB: `pip download --no-deps qm9pack==1.0.3`
(b) the original archive, 86 MB: https://ndownloader.figshare.com/files/3195389 as dsgdb9nsd.xyz.tar.bz2, and
    https://ndownloader.figshare.com/files/3195404 as uncharacterized.txt in the same folder
(c) https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/molnet_publish/qm9.zip, unpacked to gdb9.sdf and
    gdb9.sdf.csv, and uncharacterized.txt as in (b); its positions have 4 decimals only

Examples
--------
    python data_scripts/prepare_qm9.py qm9pack-1.0.3-py3-none-any.whl --out qm9.h5
    python data_scripts/prepare_qm9.py dsgdb9nsd.xyz.tar.bz2 --out qm9.h5
    python data_scripts/prepare_qm9.py gdb9.sdf --out qm9.h5

The 3,054 molecules that failed the authors' consistency check are left out. What the file holds is told in
phasewave.molecules.dataset_file; read it with phasewave.molecules.datasets.read_dataset.
Exit codes: 0 done, 2 wrong use or damaged data, 3 a file is missing, 4 interrupted or disk full; but for 0
nothing is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from phasewave.cli.errors import exit_code
from phasewave.molecules.prepare import prepare_qm9

app = typer.Typer(add_completion=False, help="Make one HDF5 file of QM9 from a download.")


@app.command()
def main(
    source: Annotated[Path, typer.Argument(help="Wheel qm9pack, dsgdb9nsd.xyz.tar.bz2, gdb9.sdf, or its folder.")],
    out: Annotated[Path, typer.Option(help="HDF5 file to write.", dir_okay=False)],
    uncharacterized: Annotated[
        Path | None,
        typer.Option(help="List of molecules to leave out; default: uncharacterized.txt beside SOURCE."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="SOURCE is a part of QM9: no checksums, no figures of the whole.")
    ] = False,
    skip_corrupt: Annotated[
        bool, typer.Option("--skip-corrupt", help="Leave corrupt records out, and say which, instead of failing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Make one HDF5 file of QM9 from a download."""
    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} records"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            dataset, skipped = prepare_qm9(
                source,
                out,
                uncharacterized=uncharacterized,
                partial=partial,
                skip_corrupt=skip_corrupt,
                overwrite=overwrite,
                progress=lambda n: bar.update(task, completed=n),
            )
    except (Exception, KeyboardInterrupt) as error:
        code = exit_code(error)
        if code is None:
            raise
        reason = "interrupted, nothing was written" if isinstance(error, KeyboardInterrupt) else error
        typer.echo(f"error: {reason}", err=True)
        raise typer.Exit(code) from error
    for text in skipped:
        typer.echo(f"skipped {text}", err=True)
    sizes = dataset.molecules.sizes
    typer.echo(f"wrote {out}: {len(dataset):,} molecules of {int(sizes.min())} to {int(sizes.max())} atoms")


if __name__ == "__main__":
    app()
