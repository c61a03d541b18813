"""Features of a whole data set, in chunks: with progress, stopped and resumed at will, shared by processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from phasewave.checks import integer
from phasewave.molecules.dataset_record import Dataset
from phasewave.molecules.feature_file import write_features
from phasewave.molecules.feature_parts import (
    FeatureIdentity,
    PartFile,
    done_chunks,
    gather_parts,
    next_part,
    part_paths,
)
from phasewave.molecules.features import SolidScattering
from phasewave.molecules.first_order import ArrangedMolecule
from phasewave.molecules.structures import Molecules
from phasewave.runs.distributed import Ranks

CHUNK = 32
_STEP = 8  # molecules between two reports of work in memory
Progress = Callable[[int, int], "bool | None"]


@dataclass(frozen=True)
class Featurized:
    """What a featurising run reached.

    Attributes
    ----------
    path : Path
        The file, which is there if ``finished``.
    n_molecules, n_done, n_new : int
        Of the data set, with features, and those of this run.
    n_features : int
    seconds : float
        Of this run.
    """

    path: Path
    n_molecules: int
    n_done: int
    n_new: int
    n_features: int
    seconds: float

    @property
    def finished(self) -> bool:
        """Whether all molecules have their features, and the file is there."""
        return self.n_done == self.n_molecules


def featurize(
    dataset: Dataset,
    features: SolidScattering,
    out: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    chunk: int = CHUNK,
    progress: Progress | None = None,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks | None = None,
) -> Featurized:
    """Write the features of all molecules of a data set to an HDF5 file; see `phasewave.molecules.feature_file`.

    Parameters
    ----------
    dataset : Dataset
    features : SolidScattering
    out : path-like
        The file to make.
    device : torch.device or str
        Where to compute.
    chunk : int
        Molecules between two writes.
    progress : callable, optional
        Called with the numbers of molecules done and in all, at the start and after every chunk; stops the run,
        which can then be resumed, by returning True. Of several ranks, each counts its own share.
    resume : bool
        Go on with the unfinished run of the same file, molecules and settings; with any number of ranks.
    overwrite : bool
        Replace the file, and the part files of an unfinished run.
    ranks : Ranks, optional
        Processes that share the chunks out; each calls this function with the same arguments, ``device`` apart.
        The file is that of one process, bit for bit on equal machines with equal numbers of threads.

    Returns
    -------
    Featurized

    Raises
    ------
    FileExistsError
        If the file or a part of it is there and neither ``overwrite`` nor ``resume`` is given.
    FileNotFoundError
        If ``resume`` is given and there is nothing to resume; if the folder is not there.
    ValueError
        If a molecule cannot be used (before any is worked), or the parts are of other molecules or settings.
    OSError
        If a file cannot be written.
    """
    path, team = Path(out), Ranks() if ranks is None else ranks
    size = integer("chunk", chunk, minimum=1)
    started = time.monotonic()

    def prepare() -> tuple[FeatureIdentity, list[int], Path]:
        _check_output(path, resume=resume, overwrite=overwrite)
        check_molecules(features, dataset.molecules)
        identity = FeatureIdentity.of(features, dataset.molecules, size)
        if overwrite:
            for old in (path, *part_paths(path)):
                old.unlink(missing_ok=True)
        done = done_chunks(part_paths(path), identity)
        if resume:
            gather_parts(path, identity, done, n_features=features.n_features, dtype=features.dtype)
        return identity, [k for k in range(identity.n_chunks) if k not in done], next_part(path, 0)

    identity, todo, first = team.agree(prepare)
    mine = todo[team.rank :: team.size]  # dealt out in turn: the molecules of a data set often grow
    number = int(first.name.rpartition("-")[2]) + team.rank
    new = team.together(
        lambda: _fill(
            first.with_name(f"{path.name}.part-{number:04d}"),
            identity,
            mine,
            dataset.molecules,
            features,
            torch.device(device),
            progress,
        )
    )
    counts = team.gather(new)

    def finish() -> Featurized:
        parts = part_paths(path)
        done = done_chunks(parts, identity)
        if len(done) == identity.n_chunks:
            write_features(path, identity, done, features=features, source=dataset.source)
            for part in parts:
                part.unlink()
        n_done = sum(identity.rows(k).stop - identity.rows(k).start for k in done)
        seconds = time.monotonic() - started
        return Featurized(path, len(dataset), n_done, sum(counts), features.n_features, seconds)

    return team.agree(finish)


def compute_rows(
    features: SolidScattering,
    molecules: Molecules,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the features of molecules (n, n_features), in memory.

    Parameters
    ----------
    features : SolidScattering
    molecules : Molecules
    device : torch.device or str
    progress : callable, optional
        As of `featurize`.

    Raises
    ------
    KeyboardInterrupt
        If ``progress`` asks to stop.
    """
    check_molecules(features, molecules)
    parts = []
    for start in range(0, len(molecules), _STEP):
        if progress is not None and progress(start, len(molecules)):
            raise KeyboardInterrupt
        parts.append(_rows(features, molecules[start : start + _STEP], torch.device(device)))
    if progress is not None:
        progress(len(molecules), len(molecules))
    return np.concatenate(parts)


def check_molecules(features: SolidScattering, molecules: Molecules) -> None:
    """Check in advance that each molecule can be worked.

    Raises
    ------
    ValueError
        If a channel does not know an element, or a molecule needs more nodes than ``max_points``; the message
        names the molecule by its number in the data set, from 0.
    """
    features.check_elements(molecules)
    plan = features.plan
    table = plan.charge_table
    offsets = molecules.offsets.tolist()
    positions = molecules.positions.detach().cpu().double().numpy()
    spans = np.maximum.reduceat(positions, offsets[:-1]) - np.minimum.reduceat(positions, offsets[:-1])
    for i in np.argsort(-(spans + 1.0).prod(1), kind="stable").tolist():
        atoms = slice(offsets[i], offsets[i + 1])
        numbers = molecules.numbers[atoms]
        arranged = ArrangedMolecule.arrange(numbers, table[:, numbers], molecules.positions[atoms])
        n_points = plan.n_points(arranged.extents)
        if n_points > features.max_points:
            raise ValueError(
                f"`max_points` must be at least {n_points} for molecule {i} of {atoms.stop - atoms.start} atoms, "
                f"got {features.max_points}: raise it, or take a larger `step`, or leave the molecule out"
            )
        if 8 * n_points < features.max_points:
            return  # the smaller ones have room


def _check_output(path: Path, *, resume: bool, overwrite: bool) -> None:
    parts = part_paths(path)
    if resume and overwrite:
        raise ValueError("`overwrite` and `resume` exclude each other: choose one")
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder; name a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for the file {path.name}: make it first")
    if resume and not parts:
        why = "it is there and finished" if path.exists() else "there is no part of it"
        kind = FileExistsError if path.exists() else FileNotFoundError
        raise kind(f"there is nothing to resume of {path}: {why}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"the file {path} is there already: choose another name, or --overwrite")
    if parts and not (resume or overwrite):
        raise FileExistsError(
            f"an unfinished run has left {parts[0].name} beside {path}: --resume (resume=True) goes on with it, "
            "--overwrite (overwrite=True) starts again"
        )


def _fill(
    path: Path,
    identity: FeatureIdentity,
    chunks: list[int],
    molecules: Molecules,
    features: SolidScattering,
    device: torch.device,
    progress: Progress | None,
) -> int:
    """Work chunks into a part file until they are done or ``progress`` says stop; return how many molecules."""
    total = sum(identity.rows(k).stop - identity.rows(k).start for k in chunks)
    if (progress is not None and progress(0, total)) or not chunks:
        return 0
    done = 0
    part = PartFile.create(path, identity, chunks, n_features=features.n_features, dtype=features.dtype)
    try:
        for k in chunks:
            rows = _rows(features, molecules[identity.rows(k)], device)
            part.write(k, rows)
            done += len(rows)
            if progress is not None and progress(done, total):
                break
    finally:
        part.close()
    return done


def _rows(features: SolidScattering, molecules: Molecules, device: torch.device) -> np.ndarray:
    with torch.no_grad():
        return features.forward(molecules.to(device, dtype=getattr(torch, features.dtype))).cpu().numpy()
