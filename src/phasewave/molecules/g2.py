r"""The embedded data set: the 148 neutral molecules of G2/97 that ship with ASE, with measured enthalpies.

ASE carries for every molecule M its MP2(full)/6-31G(d) geometry, the measured enthalpy of formation at 298 K,
the zero-point energy ZPE and the thermal correction H(298) - H(0) (both from scaled B3LYP vibrations), and for
every atom a the measured enthalpy of formation at 0 K and H(298) - H(0) of the element in its standard state
[1]_ [2]_. What a model of a potential energy surface learns is the energy at the bottom of the well relative to
isolated atoms,

.. math::
    E(M) = \Delta_f H_{298}(M) - [H_{298} - H_0](M) - ZPE(M)
           - \sum_{a \in M} \left( \Delta_f H_0(a) - [H_{298} - H_0](a) \right),

negative for a bound molecule. The atoms are the real ones, with their spin-orbit coupling. CH4 has -420.2,
benzene -1367.7 kcal/mol. Open shells are among the molecules, CH2 and SiH2 with both their lowest spin states,
which only their geometries tell apart.

.. [1] Curtiss, Raghavachari, Redfern, Pople, J. Chem. Phys. 106, 1063 (1997).
.. [2] Staroverov, Scuseria, Tao, Perdew, J. Chem. Phys. 119, 12129 (2003).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.splits import make_splits
from phasewave.molecules.structures import Molecules


def g2() -> Dataset:
    """Return the embedded data set: 148 molecules of 2 to 14 atoms, 14 elements; nothing is downloaded.

    Returns
    -------
    Dataset
        Properties in eV: ``atomization_energy`` (as in this module's equation, negative),
        ``formation_enthalpy`` (measured, 298 K) and ``zero_point_energy``. ``index`` counts from 1 in ASE's order.

    Examples
    --------
    >>> data = g2()
    >>> len(data), data.units["atomization_energy"]
    (148, 'eV')
    """
    from ase import Atoms
    from ase.data.g2 import data, molecule_names
    from ase.units import kcal, mol

    table: Any = data
    rows = [table[name] for name in molecule_names]
    atoms = [Atoms(row["symbols"], row["positions"]) for row in rows]
    enthalpy = np.array([row["enthalpy"] for row in rows])
    vibration = np.array([row["ZPE"] for row in rows])
    thermal = np.array([row["thermal correction"] for row in rows])
    of_atoms = np.array(
        [
            sum(table[a]["enthalpy"] - table[a]["thermal correction"] for a in one.get_chemical_symbols())
            for one in atoms
        ]
    )
    unit = kcal / mol
    index = np.arange(1, len(rows) + 1, dtype=np.int64)
    properties = {
        "atomization_energy": (enthalpy - thermal - vibration - of_atoms) * unit,
        "formation_enthalpy": enthalpy * unit,
        "zero_point_energy": vibration * unit,
    }
    return Dataset(
        Molecules.from_atoms(atoms),
        properties,
        dict.fromkeys(properties, "eV"),
        index,
        make_splits(index),
        source={"title": "G2/97", "form": "ase.data.g2", "path": "embedded"},
    )
