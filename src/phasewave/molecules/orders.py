"""Orders 0, 1 and 2 of one molecule: which densities go over which lattices, in PyTorch or compiled."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from phasewave.molecules.blurring import blur_kernels, blurred
from phasewave.molecules.compiled_first_order import compiled_first_order
from phasewave.molecules.compiled_second_order import compiled_second_order
from phasewave.molecules.first_order import ArrangedMolecule, Bridge, first_order
from phasewave.molecules.lattice import Lattice
from phasewave.molecules.plan import ScatteringPlan
from phasewave.molecules.second_order import second_order


def scattering_of(molecule: ArrangedMolecule, plan: ScatteringPlan, *, tile: int) -> Tensor:
    """Return the features of one molecule, ``(n_features,)``, see `phasewave.molecules.features.SolidScattering`.

    Parameters
    ----------
    molecule : ArrangedMolecule
        Its charges are times ``plan.unit``.
    plan : ScatteringPlan
    tile : int
        Points in flight, times channels, where nothing is compiled.
    """
    like, extents = molecule.positions, molecule.extents
    zero, _ = _first_order(molecule, plan, None, tile)
    parts = [zero[0]]  # (channel, power)
    one, fields = [], []
    for j in range(plan.n_scales if plan.max_order else 0):
        sums, field = _first_order(molecule, plan, j, tile)
        one.append(sums)
        fields.append(field)
    if one:
        parts.append(torch.stack(one).permute(2, 0, 1, 3))  # channel, scale, degree, power
    two = []
    chosen = replace(molecule, charges=molecule.charges[plan.second_order_rows])
    for j in range(plan.n_scales - 1 if plan.max_order > 1 else 0):
        field, bridge = fields[j], plan.bridge_lattice(extents, j, j + 1)
        for j2 in range(j + 1, plan.n_scales):
            target = plan.bridge_lattice(extents, j, j2)
            if field is not None and j2 > j + 1:
                width = math.sqrt(plan.bridge_blur(j2) ** 2 - plan.bridge_blur(j2 - 1) ** 2)
                x, y, z = blur_kernels(bridge, target, width, like)
                wider = blurred(field.flatten(0, 1)[None], (x, z, y))
                field = wider.view(*field.shape[:2], *wider.shape[1:])
            bridge = target
            two.append(_second_order(chosen, plan, (j, j2), field, bridge, tile))
    if two:
        parts.append(torch.stack(two).permute(2, 0, 1, 3))
    scaled = torch.cat([part.flatten() for part in parts])
    units = scaled.new_tensor([plan.unit**-q for q in plan.powers])
    return (scaled.view(-1, len(units)) * units).flatten().to(like.dtype)


def _is_compiled(positions: Tensor) -> bool:
    return positions.device.type == "cpu" and positions.dtype == torch.float32 and not torch.is_grad_enabled()


def _first_order(
    molecule: ArrangedMolecule, plan: ScatteringPlan, scale: int | None, tile: int
) -> tuple[Tensor, Tensor | None]:
    """Integrals of order 1 at a scale, or, for None, of order 0; and what goes on to order 2."""
    like, extents, bridge = molecule.positions, molecule.extents, None
    lattice = plan.density_lattice(extents) if scale is None else plan.lattice(extents, scale)
    width = plan.blur if scale is None else plan.width(scale)
    if scale is not None and scale + 1 < plan.n_scales and plan.max_order > 1 and plan.max_degree > 0:
        target, blur = plan.bridge_lattice(extents, scale, scale + 1), plan.bridge_blur(scale + 1)
        bridge = Bridge(plan.second_order_rows, blur_kernels(lattice, target, blur, like))
    if _is_compiled(like):
        tables, mixing = plan.harmonic_tables(scale), plan.mixing(molecule.present)
        return compiled_first_order(molecule, lattice, width, tables, mixing, powers=plan.powers, bridge=bridge)
    groups = plan.harmonic_groups(scale, like.dtype, like.device)
    return first_order(molecule, lattice, width, groups, powers=plan.powers, tile=tile, bridge=bridge)


def _second_order(
    molecule: ArrangedMolecule,
    plan: ScatteringPlan,
    scales: tuple[int, int],
    fields: Tensor | None,
    bridge: Lattice,
    tile: int,
) -> Tensor:
    """Integrals of order 2 at two scales."""
    like, target = molecule.positions, plan.lattice2(molecule.extents, *scales)
    settings: dict[str, Any] = {
        "molecule": molecule,
        "total_width": plan.width2(*scales),
        "smoothing": plan.smoothing2(*scales),
        "powers": plan.powers,
        "tile": tile,
    }
    width = plan.bridge_width(scales[1])
    if _is_compiled(like):
        table = plan.contraction_table(scales[1])
        return compiled_second_order(fields, bridge, target, width, table, **settings)
    steps = plan.contractions(scales[1], like.dtype, like.device)
    return second_order(fields, bridge, target, width, steps, **settings)
