"""Density channels: which charge each element carries."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phasewave.checks import fail

SYMBOLS = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y "
    "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os "
    "Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn "
    "Nh Fl Mc Lv Ts Og"
).split()
DEFAULT_SIGMA = 2 / 8.95
"""Width of the Gaussians that stand for atoms, Angstrom."""
_NOBLE = (2, 10, 18, 36, 54, 86)
# Bonds of a main-group atom, column by column of the periodic table; other elements have no such number.
_BONDS = {
    **dict.fromkeys((2, 10, 18, 36, 54, 86), 0),
    **dict.fromkeys((1, 3, 11, 19, 37, 55, 9, 17, 35, 53, 85), 1),
    **dict.fromkeys((4, 12, 20, 38, 56, 8, 16, 34, 52, 84), 2),
    **dict.fromkeys((5, 13, 31, 49, 81, 7, 15, 33, 51, 83), 3),
    **dict.fromkeys((6, 14, 32, 50, 82), 4),
}


def core_electrons(number: int) -> int:
    """Electrons of the largest noble gas lighter than an element: 0 up to He, 2 up to Ne, 10 up to Ar ..."""
    return max((n for n in _NOBLE if n < number), default=0)


def charge_table(channels: Sequence[str]) -> Tensor:
    """Charge of each element in each channel.

    Parameters
    ----------
    channels : sequence of str
        ``"all"``: the atomic number Z. ``"core"``: the electrons of the noble gas below. ``"valence"``: all minus
        core. ``"atom_valence"``: the usual number of bonds (H 1, C 4, N 3, O 2, F 1, ...; main group only). An
        element's symbol, as ``"C"``: Z for that element, 0 for others. ``"not C"``: all minus that element.

    Returns
    -------
    torch.Tensor
        float64 ``(n_channels, 119)``; column Z; NaN where a channel has no charge for an element.

    Raises
    ------
    ValueError
        If there is no channel, one is unknown, or one occurs twice.
    """
    names = tuple(channels)
    if isinstance(channels, str) or not names or len(set(names)) < len(names):
        fail("channels", "be different names in a list, at least one", channels)
    z = torch.arange(len(SYMBOLS), dtype=torch.float64)
    core = torch.tensor([core_electrons(n) for n in range(len(SYMBOLS))], dtype=torch.float64)
    rows = []
    for name in names:
        element = name.removeprefix("not ") if isinstance(name, str) else name
        if name == "all":
            row = z.clone()
        elif name == "core":
            row = core
        elif name == "valence":
            row = z - core
        elif name == "atom_valence":
            bonds = [_BONDS.get(n, float("nan")) for n in range(len(SYMBOLS))]
            row = torch.tensor(bonds, dtype=torch.float64)
        elif element in SYMBOLS[1:]:
            own = z == SYMBOLS.index(element)
            row = torch.where(own if name == element else ~own, z, 0.0)
        else:
            known = "'all', 'valence', 'core', 'atom_valence', an element as 'C', or all but it as 'not C'"
            fail("channels", f"be of {known}", name)
        row[0] = float("nan")
        rows.append(row)
    return torch.stack(rows)


def charges(numbers: Tensor, table: Tensor, channels: Sequence[str]) -> Tensor:
    """Look up the charge of every atom in every channel.

    Parameters
    ----------
    numbers : torch.Tensor
        int64 (n_atoms,), atomic numbers.
    table : torch.Tensor
        What `charge_table` made of ``channels``.
    channels : sequence of str
        Names, for the message.

    Returns
    -------
    torch.Tensor
        float64 (n_channels, n_atoms), on the device of ``numbers``.

    Raises
    ------
    ValueError
        If an atomic number is not in 1..118, or a channel has no charge for an element.
    """
    present = torch.unique(numbers).cpu()
    outside = present[(present < 1) | (present >= len(SYMBOLS))]
    if len(outside):
        fail("numbers", "be atomic numbers 1..118", outside.tolist())
    unknown = table[:, present].isnan().nonzero()
    if len(unknown):
        channel, element = channels[int(unknown[0, 0])], SYMBOLS[int(present[unknown[0, 1]])]
        fail("channels", f"know every element present: {channel!r} has no charge for {element}", tuple(channels))
    return table.to(numbers.device)[:, numbers]
