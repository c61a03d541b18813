"""Energies of molecules from their shapes: predict with an uncertainty, then relax a bent molecule.

The data are the embedded G2 molecules with their measured energies (see `phasewave.molecules.g2`). Each is
predicted by models that have not seen it: an ensemble on solid-harmonic scattering, which also says how sure it
is. What the composition alone predicts is the yardstick.

For forces a model must have seen molecules away from their minima, and measurements know minima alone. Here
springs between all atoms stand in for a calculation: a second model is fitted to distorted copies of ethanol with
the energy of their springs, and an ethanol distorted in another way then finds back to its shape, downhill.

Run ``python examples/02_molecules.py`` (about 15 seconds on a core of its own) or with ``--quick`` (fewer folds,
hardly faster); it draws ``molecules.png`` in the current folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.optimize import BFGS
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phasewave.molecules.baseline import CompositionBaseline
from phasewave.molecules.calculator import ScatteringCalculator
from phasewave.molecules.datasets import read_dataset
from phasewave.molecules.ensemble import EnsembleRegressor
from phasewave.molecules.environment_kernel import EnvironmentKernel
from phasewave.molecules.environments import AtomicEnvironments
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.model import EnergyModel
from phasewave.molecules.ridge import LeaveOneOutRidge
from phasewave.molecules.structures import Molecules

INK, GREY, WARM, COOL = "#22252b", "#aab0ba", "#d4552f", "#3f6fb5"
SPRING = 5.0  # eV / A^2, between every two atoms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer folds")
    options = parser.parse_args()

    data = read_dataset()
    energies = data.values("atomization_energy")
    composition, mean, deviation = cross_predict(data.molecules, energies, n_folds=5 if options.quick else 20)
    known = np.isfinite(mean)
    for name, predicted in (("composition alone", composition), ("scattering", mean)):
        print(f"{name}: mean absolute error {np.abs(predicted - energies)[known].mean():.2f} eV")
    inside = (np.abs(mean - energies) <= deviation)[known].mean()
    print(f"within one predicted deviation: {inside:.0%} of {known.sum()} (68 % if the deviations are right)")

    shapes, heights = relax(molecule("CH3CH2OH"))
    print(f"ethanol relaxed in {len(heights) - 1} steps, from {heights[0]:+.3f} to {heights[-1]:+.3f} eV")
    draw(energies, composition, mean, deviation, shapes, heights, Path("molecules.png"))
    print("wrote molecules.png")


def cross_predict(molecules: Molecules, energies: np.ndarray, *, n_folds: int) -> tuple[np.ndarray, ...]:
    """Predict each molecule from the others: by composition, by the model, and its deviation.

    NaN where no other molecule has one of its elements.
    """
    features = SolidScattering(max_order=1)
    rows = features.transform(molecules)
    fold = np.random.default_rng(0).permutation(len(energies)) % n_folds
    composition, mean, deviation = np.full((3, len(energies)), np.nan)
    for k in range(n_folds):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        seen = set(molecules[train].elements)
        test = test[[set(molecules[i].elements) <= seen for i in test]]
        baseline = CompositionBaseline().fit(molecules[train], energies[train])
        composition[test] = baseline.predict(molecules[test])
        ensemble = EnsembleRegressor(n_members=8, seed=k)
        ensemble.fit(rows[train], energies[train] - baseline.predict(molecules[train]))
        rest, deviation[test] = ensemble.predict(rows[test], return_std=True)
        mean[test] = composition[test] + rest
    return composition, mean, deviation


def relax(shape: Atoms) -> tuple[tuple[Atoms, Atoms], list[float]]:
    """Fit a model to distorted copies, and relax one more: its shapes before and after, and its energies."""
    copies = [distorted(shape, 0.02 * (1 + seed % 5), seed) for seed in range(300)]
    strains = [copy.get_all_distances() - shape.get_all_distances() for copy in copies]
    springs = [SPRING * np.triu(strain**2).sum() for strain in strains]
    environments = AtomicEnvironments(n_shells=6, max_degree=4, n_channels=12, n_components=200)
    features = EnvironmentKernel(environments=environments, n_references=400)
    model = EnergyModel(features, LeaveOneOutRidge(scale_columns=False)).fit(copies, springs)

    bent = distorted(shape, 0.1, 1000)
    before, heights = bent.copy(), []
    bent.calc = ScatteringCalculator(model)
    optimizer = BFGS(bent, logfile=None, maxstep=0.05)
    optimizer.attach(lambda: heights.append(bent.get_potential_energy()))
    optimizer.run(fmax=0.02, steps=200)
    return (before, bent), heights


def distorted(shape: Atoms, amplitude: float, seed: int) -> Atoms:
    moved = shape.copy()
    moved.positions += amplitude * np.random.default_rng(seed).normal(size=moved.positions.shape)
    return moved


def draw(
    energies: np.ndarray,
    composition: np.ndarray,
    mean: np.ndarray,
    deviation: np.ndarray,
    shapes: tuple[Atoms, Atoms],
    heights: list[float],
    path: Path,
) -> None:
    figure = Figure(figsize=(11, 5), dpi=150, facecolor="white")
    parity, descent = figure.subplots(1, 2, width_ratios=(1, 1.15))
    ends = [1.03 * energies.min(), 0.5]
    parity.plot(ends, ends, color=INK, linewidth=0.8, zorder=1)
    error, yardstick = (np.nanmean(np.abs(predicted - energies)) for predicted in (mean, composition))
    label = f"composition alone, error {yardstick:.2f} eV"
    parity.scatter(energies, composition, s=16, color=GREY, linewidth=0, label=label, zorder=2)
    style = {"fmt": "o", "markersize": 4, "color": COOL, "ecolor": COOL, "elinewidth": 0.8, "markeredgewidth": 0}
    label = f"scattering, error {error:.2f} eV"
    parity.errorbar(energies, mean, deviation, alpha=0.8, label=label, zorder=3, **style)
    parity.set(xlim=ends, ylim=ends, aspect="equal", xlabel="measured energy, eV", ylabel="predicted unseen, eV")
    parity.set_title(f"Atomisation of {np.isfinite(mean).sum()} molecules", color=INK, loc="left")
    parity.legend(frameon=False, loc="upper left")

    descent.plot(heights, color=WARM, linewidth=1.6, marker="o", markersize=3)
    descent.set(xlabel="step of the relaxation", ylabel="energy of the model, eV")
    descent.xaxis.set_major_locator(MaxNLocator(integer=True))
    descent.set_title("Ethanol finds its shape", color=INK, loc="left")
    for atoms, place, name in zip(shapes, (0.18, 0.6), ("before", "after"), strict=True):
        ball_and_stick(descent.inset_axes((place, 0.36, 0.38, 0.6)), atoms, name)
    for axes in (parity, descent):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(w_pad=3)
    figure.savefig(path)


def ball_and_stick(axes: Axes, atoms: Atoms, name: str) -> None:
    """Draw a molecule, near atoms over far ones and brighter."""
    turned = atoms.copy()
    turned.rotate(25, "x")
    turned.rotate(-35, "y")
    turned.positions -= turned.positions.mean(0)
    radii = covalent_radii[turned.numbers]
    depth = np.interp(turned.positions[:, 2], (-2, 2), (0.45, 0.0))
    bonds = np.argwhere(np.triu(turned.get_all_distances() < 1.25 * (radii[:, None] + radii), 1))
    for i, j in bonds:
        x, y, z = turned.positions[[i, j]].T
        axes.plot(x, y, color=INK, linewidth=4.5, solid_capstyle="round", zorder=z.mean() - 0.2)
        axes.plot(x, y, color="#d7dae0", linewidth=2.8, solid_capstyle="round", zorder=z.mean() - 0.19)
    for (x, y, z), number, radius, pale in zip(turned.positions, turned.numbers, radii, depth, strict=True):
        colour = jmol_colors[number] * (1 - pale) + pale
        axes.scatter(x, y, s=1500 * radius**2, color=[colour], edgecolor=INK, linewidth=0.8, zorder=z)
        axes.scatter(x - 0.1, y + 0.13, s=180 * radius**2, color="white", alpha=0.7, linewidth=0, zorder=z + 0.01)
    axes.text(0.5, 0.0, name, transform=axes.transAxes, ha="center", color=INK)
    axes.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
    axes.set_axis_off()


if __name__ == "__main__":
    main()
