"""The compiled orders 1 and 2 against the same in PyTorch, and the mixing of channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from phasewave.molecules.compiled_first_order import compiled_first_order
from phasewave.molecules.density import charge_table
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.mixing import mixing
from phasewave.molecules.structures import as_molecules

ELEMENTS = ("H", "C", "N", "O", "F")


def both(settings, atoms):
    """Features without gradients, which are compiled, and with, which are PyTorch's."""
    scattering = SolidScattering(**settings)
    molecules = as_molecules(atoms).to(dtype=torch.float32)
    with torch.inference_mode():
        fast = scattering(molecules).numpy()
    tracked = replace(molecules, positions=molecules.positions.clone().requires_grad_(True))
    return fast, scattering(tracked).detach().numpy()


@pytest.mark.parametrize("name", ["CH3CH2OH", "H2O", "CO2", "CH4", "C6H6"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"channels": ("all", "valence", "core", *ELEMENTS), "second_order_channels": ("valence", "core")},
        {"channels": ("atom_valence", "not C", "C"), "powers": (0.7, 1.0, 2.5), "max_degree": 4, "n_scales": 2},
        {"channels": ("all",), "max_degree": 0},
    ],
)
def test_the_same_as_in_pytorch(name, settings):
    fast, slow = both(settings, [molecule(name)])
    np.testing.assert_allclose(fast, slow, rtol=3e-6)


def test_single_atoms_and_absent_elements():
    fast, slow = both({"channels": ("C", "F", "all")}, [Atoms("C", [(0, 0, 0)]), Atoms("H", [(1, 2, 3)])])
    assert np.isfinite(fast).all()
    np.testing.assert_allclose(fast, slow, rtol=3e-6)


def test_a_channel_without_any_charge():
    fast, slow = both({"channels": ("F",)}, [molecule("CH4")])
    np.testing.assert_allclose(fast, slow, rtol=3e-6)


def test_a_longer_molecule_whose_planes_do_not_see_all_atoms():
    chain = Atoms("C20", [(1.2 * i, 0.3 * (i % 2), 0.1 * (i % 3)) for i in range(20)])
    fast, slow = both({"channels": ("all", "core")}, [chain])
    np.testing.assert_allclose(fast, slow, rtol=3e-6)


def test_small_tiles_give_the_same():
    atoms = [molecule("CH3CH2OH")]
    whole = SolidScattering().transform(atoms)
    np.testing.assert_allclose(SolidScattering(tile=100).transform(atoms), whole, rtol=3e-6)


def test_the_number_of_threads_changes_nothing():
    atoms, before = [molecule("CH3CH2OH")], torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = compiled(atoms)
        torch.set_num_threads(3)
        three = compiled(atoms)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(one, three)


def compiled(atoms):
    """Integrals of order 1 at scale 1."""
    from phasewave.molecules.density import charges
    from phasewave.molecules.first_order import ArrangedMolecule

    plan, molecules = SolidScattering().plan, as_molecules(atoms).to(dtype=torch.float32)
    own = charges(molecules.numbers, plan.charge_table, plan.channels).float()
    arranged = ArrangedMolecule.arrange(molecules.numbers, own, molecules.positions)
    return compiled_first_order(
        arranged,
        plan.lattice(arranged.extents, 1),
        plan.width(1),
        plan.harmonic_tables(1),
        plan.mixing(arranged.present),
        powers=plan.powers,
        bridge=None,
    )[0]


class TestMixing:
    @pytest.mark.parametrize(
        "channels",
        [
            ("all", "valence", "core"),
            ("all", "valence", "core", *ELEMENTS),
            ("atom_valence", "not C", "C", "all"),
            ("F", "all"),
        ],
    )
    @pytest.mark.parametrize("elements", [(1, 6, 7, 8, 9), (1, 6), (6,), (1,), (1, 8)])
    def test_the_sources_add_up_to_every_channel(self, channels, elements):
        table = charge_table(channels)[:, list(elements)]
        found = mixing(table)
        sources = table[[source.channel for source in found.sources]].numpy()
        assert np.abs(found.matrix @ sources - table.numpy()).max() < 1e-6
        assert len(sources) == np.linalg.matrix_rank(table.numpy())
        for source, row in zip(found.sources, sources, strict=True):
            assert set(np.flatnonzero(row)) <= set(range(source.elements.start, source.elements.stop))

    def test_elements_are_sums_of_their_own_atoms(self):
        found = mixing(charge_table(("all", "H", "C", "O"))[:, [1, 6, 8]])
        assert [source.elements for source in found.sources] == [slice(0, 1), slice(1, 2), slice(2, 3)]

    def test_a_sum_that_cancels_is_not_taken(self):
        table = torch.tensor([[1.0, 1.0], [1.0, 1.01], [1.0, -1.0]], dtype=torch.float64)
        found = mixing(table)  # the third is 201 times the first less 200 times the second
        assert found.matrix.tolist() == np.eye(3).tolist()
