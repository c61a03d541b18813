"""Make fields of two-dimensional turbulence and store them as HDF5.

Examples
--------
    python data_scripts/make_turbulence.py decaying --count 4 --out decaying.h5
    python data_scripts/make_turbulence.py forced --size 256 --out forced.h5 --device cuda
    python data_scripts/make_turbulence.py embedded --overwrite

A file holds `fields` [N, H, W] float32 (vorticity), `seed` [N], `n_steps` [N], `time` [R], `energy` [N, R]
and `enstrophy` [N, R]; its attributes are the settings and versions (JSON), equation, units and command.
Exit codes: 0 done, 2 wrong use, 4 interrupted or blown up; finished fields are kept and the run resumes.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import torch
import typer
from navier_stokes import NavierStokes, at_least_zero, solve, white_vorticity
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from phasewave import checks

EQUATION = "dw/dt + u.grad w = nu lap w - drag w + curl f; div u = 0; w = curl u; periodic box (2 pi)^2"
UNITS = "box side 2 pi, so wave numbers are integers; w in 1/time; time as fixed by w"
EMBEDDED = Path(__file__).resolve().parent.parent / "src" / "phasewave" / "data" / "vorticity_256.h5"
N_INTERVALS = 64  # energy and enstrophy are recorded at N_INTERVALS + 1 equidistant times
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make fields of 2-D turbulence.")


def save(path: Path, arrays: dict[str, np.ndarray], attributes: dict[str, str]) -> None:
    """Write an HDF5 file beside ``path`` and rename it: under ``path`` there is never half a file."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with h5py.File(temporary, "w") as file:
            for name, array in arrays.items():
                file[name] = array
            file.attrs.update(attributes)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_partial(path: Path, settings: str) -> list[dict[str, np.ndarray]]:
    """Rows of an interrupted run, none if there is no such file.

    Raises
    ------
    ValueError
        If that run had other settings.
    """
    if not path.exists():
        return []
    with h5py.File(path) as file:
        if file.attrs.get("settings") != settings:
            raise ValueError(
                f"{path} holds an interrupted run with other settings, {file.attrs.get('settings')}: "
                "finish that run, or delete the file"
            )
        columns = {name: file[name][:] for name in file if name != "time"}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(columns["seed"]))]


def check(settings: dict[str, Any], *, out: Path, device: str, overwrite: bool) -> None:
    """Raise ValueError if a setting that the equation does not check is out of range."""
    checks.integer("count", settings["count"], minimum=1)
    checks.integer("seed", settings["seed"], minimum=0, maximum=2**62)
    checks.integer("size", settings["size"], minimum=8)
    checks.integer("cut", settings["cut"], minimum=8, maximum=settings["size"])
    for name in ("time", "cfl", "amplitude", "injection"):
        at_least_zero(name, settings.get(name, 1.0), strictly=True)
    at_least_zero("smoothing", settings.get("smoothing", 0.0))
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`device` {device!r} cannot be used: {str(error).splitlines()[0]}") from error
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: give another --out, or --overwrite")


def initial_state(equation: NavierStokes, settings: dict[str, Any], generator: torch.Generator) -> torch.Tensor:
    """Smoothed white noise for a decaying run, rest for a forced one (rfft2 of the vorticity)."""
    if settings["mode"] == "forced":
        return torch.zeros_like(equation.resolved, dtype=equation.dtype.to_complex())
    shape = {name: settings[name] for name in ("amplitude", "smoothing")}
    return white_vorticity(equation, **shape, generator=generator)


def make(settings: dict[str, Any], *, partial: Path, device: str, attributes: dict[str, str]) -> dict[str, Any]:
    """Solve for successive seeds and return the arrays of the file.

    After each field everything so far is saved in ``partial``, from which the same call resumes.
    """
    names = settings.keys() & {"size", "viscosity", "drag", "injection", "band"}
    dtype = torch.float32 if settings["float32"] else torch.float64
    equation = NavierStokes(**{name: settings[name] for name in names}, dtype=dtype, device=device)
    count, time = settings["count"], settings["time"]
    times = [time * i / N_INTERVALS for i in range(N_INTERVALS + 1)]
    rows = load_partial(partial, attributes["settings"])
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=count * time, completed=len(rows) * time)
        for i in range(len(rows), count):

            def report(t: float, n_steps: int, e: float, z: float, i: int = i) -> None:
                text = f"field {i + 1}/{count}  t = {t:.2f}  {n_steps} steps  E = {e:.3e}  Z = {z:.3e}"
                progress.update(task, description=text, completed=i * time + t)

            seed = settings["seed"] + i
            generator = torch.Generator().manual_seed(seed)
            w = initial_state(equation, settings, generator)
            run_options = {"cut": settings["cut"], "cfl": settings["cfl"], "generator": generator}
            rows.append({"seed": np.array(seed)} | solve(equation, w, times, **run_options, report=report))
            save(partial, stack(rows, times), attributes)
    return stack(rows, times)


def stack(rows: list[dict[str, np.ndarray]], times: list[float]) -> dict[str, np.ndarray]:
    """Arrays of the file: the rows stacked, and the recorded times."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} | {"time": np.array(times)}


def run(
    settings: dict[str, Any],
    *,
    out: Path,
    device: str,
    overwrite: bool,
    command: str,
    single: bool = False,
) -> None:
    """Make the fields and write ``out``; errors become one line and an exit code.

    With ``single`` the file holds one field (H, W) and its series, without the leading axis.
    """
    versions = {"python": platform.python_version(), "torch": torch.__version__, "h5py": h5py.__version__}
    attributes = {
        "settings": json.dumps(settings),
        "equation": EQUATION,
        "units": UNITS,
        "command": command,
        "device": device,
        "versions": json.dumps(versions),
        "license": "MIT",
    }
    partial = out.with_name(out.name + ".partial")
    try:
        check(settings, out=out, device=device, overwrite=overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
        arrays = make(settings, partial=partial, device=device, attributes=attributes)
        if single:
            arrays = {name: array if name == "time" else array[0] for name, array in arrays.items()}
            arrays["field"] = arrays.pop("fields")
        save(out, arrays, attributes)
        partial.unlink()
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except FloatingPointError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(4) from error
    except KeyboardInterrupt as error:
        kept = f"the finished fields are in {partial}, the same command goes on from there"
        typer.echo(f"interrupted: {kept if partial.exists() else 'no field was finished'}", err=True)
        raise typer.Exit(4) from error
    typer.echo(f"wrote {out}")


Out = Annotated[Path, typer.Option(help="HDF5 file to write.", dir_okay=False)]
Seed = Annotated[int, typer.Option(help="Seed of the first field; the next fields take the next seeds.")]
Count = Annotated[int, typer.Option(help="Number of fields, each an independent run.")]
Size = Annotated[int, typer.Option(help="Grid points per side of the solution, even.")]
Cut = Annotated[int | None, typer.Option(help="Grid points per side stored; default 256, or the size if less.")]
Time = Annotated[float, typer.Option(help="Time at which the field is taken.")]
Viscosity = Annotated[float, typer.Option(help="Kinematic viscosity nu.")]
Cfl = Annotated[float, typer.Option(help="Largest max(|u| + |v|) dt / dx.")]
Float32 = Annotated[bool, typer.Option("--float32", help="Solve in single instead of double precision.")]
Device = Annotated[str, typer.Option(help="Device of the solution: cpu, cuda, cuda:1 ...")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


@app.command()
def decaying(
    out: Out,
    seed: Seed = 0,
    count: Count = 1,
    size: Size = 512,
    cut: Cut = None,
    time: Time = 8.0,
    viscosity: Viscosity = 1e-4,
    amplitude: Annotated[float, typer.Option(help="Standard deviation of the initial white noise.")] = 10.0,
    smoothing: Annotated[float, typer.Option(help="Its Gaussian smoothing, in points of a 512 grid.")] = 0.8,
    cfl: Cfl = 0.5,
    float32: Float32 = False,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Free decay from smoothed white noise."""
    settings = {
        "mode": "decaying",
        "seed": seed,
        "count": count,
        "size": size,
        "cut": min(size, 256) if cut is None else cut,
        "time": time,
        "viscosity": viscosity,
        "amplitude": amplitude,
        "smoothing": smoothing,
        "cfl": cfl,
        "float32": float32,
    }
    run(settings, out=out, device=device, overwrite=overwrite, command=command_line())


@app.command()
def forced(
    out: Out,
    seed: Seed = 0,
    count: Count = 1,
    size: Size = 512,
    cut: Cut = None,
    time: Time = 40.0,
    viscosity: Viscosity = 1e-4,
    drag: Annotated[float, typer.Option(help="Linear drag; energy settles over 1 / (2 drag).")] = 0.1,
    injection: Annotated[float, typer.Option(help="Mean rate of energy injection.")] = 2e-3,
    band: Annotated[tuple[float, float], typer.Option(help="Wave numbers forced.")] = (7.0, 9.0),
    cfl: Cfl = 0.5,
    float32: Float32 = False,
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """Statistically stationary turbulence: from rest, with a forcing white in time, and drag."""
    settings = {
        "mode": "forced",
        "seed": seed,
        "count": count,
        "size": size,
        "cut": min(size, 256) if cut is None else cut,
        "time": time,
        "viscosity": viscosity,
        "drag": drag,
        "injection": injection,
        "band": band,
        "cfl": cfl,
        "float32": float32,
    }
    run(settings, out=out, device=device, overwrite=overwrite, command=command_line())


@app.command()
def embedded(out: Out = EMBEDDED, overwrite: Overwrite = False) -> None:
    """Write the field that the package ships: dataset `field` (256, 256), the decaying run of seed 2026."""
    settings = {
        "mode": "decaying",
        "seed": 2026,
        "count": 1,
        "size": 512,
        "cut": 256,
        "time": 8.0,
        "viscosity": 1e-4,
        "amplitude": 10.0,
        "smoothing": 0.8,
        "cfl": 0.5,
        "float32": False,
    }
    command = "python data_scripts/make_turbulence.py embedded --overwrite"
    run(settings, out=out, device="cpu", overwrite=overwrite, command=command, single=True)


def command_line() -> str:
    """Return the command as typed, without the folders of interpreter and script."""
    return shlex.join(["python", "data_scripts/make_turbulence.py", *sys.argv[1:]])


if __name__ == "__main__":
    app()
