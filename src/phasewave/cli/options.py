"""Arguments and options that the commands on molecules share: one spelling, one help text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from ase.data import chemical_symbols

from phasewave.molecules.atom_scattering import AtomScattering
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.model import Pooling
from phasewave.molecules.model_settings import ModelChoice
from phasewave.molecules.structures import Molecules

_DEFAULTS = SolidScattering()

DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="HDF5 of `prepare`, qm7.mat or .npz, xyz, extxyz, or what else ASE reads."
    ),
]
OptionalDataArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]",
        help="HDF5 of `prepare`, qm7.mat or .npz, xyz, extxyz, or what else ASE reads; without it, the 148 "
        "molecules of G2 that come with ASE.",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...; auto: a GPU if there is one.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default PyTorch's choice.")]
DtypeOption = Annotated[Literal["float32", "float64"], typer.Option(help="Precision of the features.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace the files of an earlier run.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run.")]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Densities: all, valence, core, atom_valence, an element as C, 'not C'; elements: one for each "
        "element of DATA. By default " + ",".join(_DEFAULTS.channels) + ".",
    ),
]
SecondOrderChannelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Those of the channels that order 2 works on; fewer take less time. By default all.",
    ),
]
ScalesOption = Annotated[int | None, typer.Option(help=f"Octaves of scales; by default {_DEFAULTS.n_scales}.")]
DegreeOption = Annotated[
    int | None,
    typer.Option("--max-degree", help=f"Largest degree of the harmonics; by default {_DEFAULTS.max_degree}."),
]
PowersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER,...",
        help=f"Exponents of the moduli; by default {','.join(f'{q:g}' for q in _DEFAULTS.powers)}.",
    ),
]
OrderOption = Annotated[
    int | None, typer.Option("--order", help=f"Largest order, 0 to 2; by default {_DEFAULTS.max_order}.")
]
AtAtomsOption = Annotated[
    bool,
    typer.Option(
        "--at-atoms",
        help="Add order 1 read at the atoms of each element of DATA: little time, much accuracy. With --order 0, "
        "hardly anything else is computed.",
    ),
]
StepOption = Annotated[
    float | None,
    typer.Option(
        help=f"Step of the lattice in widths, in (0, 1]: finer is nearer; by default {_DEFAULTS.step:g}."
    ),
]

PropertyOption = Annotated[
    str | None, typer.Option("--property", help="What to learn; by default U0, or the energy that DATA has.")
]
PoolingOption = Annotated[
    Pooling,
    typer.Option(
        help="Whether the property is a sum over atoms, as energies are, or a mean, as those that do not grow "
        "with the molecule (gap, homo, lumo)."
    ),
]
FeaturesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Features of DATA that `featurize` made, for models on them.")
]
ModelOption = Annotated[
    ModelChoice | None,
    typer.Option(
        help="kernel: likeness of atomic environments; the others work on scattering features. By default kernel; "
        "ridge for G2, whose 14 elements are too few molecules each for a kernel.",
        show_default=False,
    ),
]
ReferencesOption = Annotated[
    int | None, typer.Option("--references", help="Reference atoms of kernel, molecules of nystroem.")
]
TermsOption = Annotated[int | None, typer.Option("--terms", help="Most products of bilinear and trilinear.")]
EnsembleOption = Annotated[
    int,
    typer.Option(
        "--ensemble",
        help="Members, each fitted to a part of the molecules: they give the uncertainty. 0: the same predictions "
        "without it, at the cost of one fit.",
    ),
]


def scattering(asked: Mapping[str, Any]) -> SolidScattering:
    """Return the features of parameters, checked; those not given are as `SolidScattering` has them.

    Raises
    ------
    ValueError
        If one is out of range.
    """
    features = SolidScattering(**asked)
    features.plan  # noqa: B018  (checks the parameters)
    return features


def scattering_settings(
    molecules: Molecules,
    *,
    channels: str | None,
    second_order_channels: str | None,
    scales: int | None,
    max_degree: int | None,
    powers: str | None,
    order: int | None,
    step: float | None,
    at_atoms: bool,
) -> dict[str, Any]:
    """Return the parameters of `SolidScattering` that the options name, those given alone."""
    named = {
        "channels": None if channels is None else _channels(channels, molecules),
        "second_order_channels": (
            None if second_order_channels is None else _channels(second_order_channels, molecules)
        ),
        "n_scales": scales,
        "max_degree": max_degree,
        "powers": None if powers is None else _numbers(powers),
        "max_order": order,
        "step": step,
        "at_atoms": AtomScattering(elements=_symbols(molecules)) if at_atoms else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _channels(text: str, molecules: Molecules) -> list[str]:
    found: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        found += _symbols(molecules) if name == "elements" else [name]
    return found


def _symbols(molecules: Molecules) -> list[str]:
    return [chemical_symbols[z] for z in molecules.elements]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"`powers` must be numbers with commas between them, got {text!r}") from error
