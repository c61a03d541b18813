"""Fixed, named splits: the same molecules whatever the machine, the library version or the file's order.

A molecule's place in a random order comes from a hash of its own index, not from the stream of a generator
that may change between versions: the 64-bit finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014),

.. math:: h(i) = mix(mix(i + g) + s g),  mix(z): z ^= z >> 30; z *= a; z ^= z >> 27; z *= b; z ^= z >> 31

modulo :math:`2^{64}` with g = 0x9E3779B97F4A7C15, a = 0xBF58476D1CE4E5B9, b = 0x94D049BB133111EB, index i and
seed s. Molecules are ordered by h.

============== =================================================== ======================================
name           training molecules                                  test molecules
============== =================================================== ======================================
fold-0..4      the other four fifths                               every fifth molecule of order 0
random-0..4    the rest, order k (seed 1 + k)                      the first min(10,000, n // 5) of it
random-110k    110,000; 10,000 more are the validation molecules   the rest; only if n > 120,000
official-0..4  a data set's own folds (QM7)                        as published
============== =================================================== ======================================

Training indices stand in a random order, so the first m of them are a random sample of m, and learning curves
are nested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phasewave import checks

N_FOLDS = 5
N_DRAWS = 5
MAX_TEST = 10_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STANDARD_SEED = 1_000  # of the split random-110k


@dataclass(frozen=True, eq=False)
class Split:
    """Which molecules of a data set are for what, as positions in the data set (from 0), int64.

    Parameters
    ----------
    train : numpy.ndarray
        In random order: the first m are a random sample.
    test : numpy.ndarray
        Increasing.
    validation : numpy.ndarray
        Increasing; empty in most splits.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray


def hash_order(index: np.ndarray, *, seed: int) -> np.ndarray:
    """Order molecules at random, by a hash of their index.

    Parameters
    ----------
    index : numpy.ndarray
        Integers (n,), all different: what identifies each molecule.
    seed : int
        Which order, 0 .. 2**32 - 1.

    Returns
    -------
    numpy.ndarray
        int64 (n,), a permutation of positions 0 .. n - 1.

    Raises
    ------
    ValueError
        If an index occurs twice.
    """
    checks.integer("seed", seed, minimum=0, maximum=2**32 - 1)
    keys = np.asarray(index).astype(np.int64).view(np.uint64)
    if len(np.unique(keys)) != len(keys):
        raise ValueError(
            f"`index` must be {len(keys)} different integers, got {len(np.unique(keys))} different ones"
        )
    start = np.full_like(keys, seed) * _GOLDEN  # arrays of uint64 wrap without a warning
    return np.argsort(_mix(_mix(keys + _GOLDEN) + start), kind="stable").astype(np.int64)


def make_splits(index: np.ndarray) -> dict[str, Split]:
    """Make the named splits of a data set of n molecules: those of the module's table that n allows.

    Parameters
    ----------
    index : numpy.ndarray
        Integers (n,), all different; only they decide who is where.

    Returns
    -------
    dict of str to Split
        fold-* and random-* if n >= 5, random-110k if n > 120,000.
    """
    n = len(index)
    splits: dict[str, Split] = {}
    if n >= N_FOLDS:
        order = hash_order(index, seed=0)
        fold_of = np.empty(n, dtype=np.int64)
        fold_of[order] = np.arange(n) % N_FOLDS
        splits |= folds_to_splits([np.flatnonzero(fold_of == k) for k in range(N_FOLDS)], order, prefix="fold")
        n_test = min(MAX_TEST, n // 5)
        for k in range(N_DRAWS):
            order = hash_order(index, seed=1 + k)
            splits[f"random-{k}"] = _cut(order[n_test:], order[:n_test])
    if n > 120_000:
        order = hash_order(index, seed=_STANDARD_SEED)
        splits["random-110k"] = _cut(order[:110_000], order[120_000:], order[110_000:120_000])
    return splits


def folds_to_splits(folds: Sequence[np.ndarray], order: np.ndarray, *, prefix: str) -> dict[str, Split]:
    """Make one split a fold: it is tested on the fold and trained on the other folds, in the given order.

    Parameters
    ----------
    folds : sequence of numpy.ndarray
        Positions of the molecules of each fold.
    order : numpy.ndarray
        A permutation of all positions.
    prefix : str
        Of the names: ``prefix-0``, ``prefix-1`` ...
    """
    splits = {}
    for k, fold in enumerate(folds):
        trained = np.zeros(len(order), dtype=bool)
        trained[np.concatenate([other for j, other in enumerate(folds) if j != k])] = True
        splits[f"{prefix}-{k}"] = _cut(order[trained[order]], fold)
    return splits


def choose_split(splits: Mapping[str, Split], name: str) -> Split:
    """Return the split of a name.

    Raises
    ------
    ValueError
        If there is none; the message lists the names.
    """
    if name not in splits:
        known = ", ".join(sorted(splits)) if splits else "none: this data set is a part of another, or too small"
        raise ValueError(f"`split` must be one of those of the data set ({known}), got {name!r}")
    return splits[name]


def _cut(train: np.ndarray, test: np.ndarray, validation: np.ndarray | None = None) -> Split:
    rest = np.zeros(0, dtype=np.int64) if validation is None else np.sort(validation)
    return Split(train.astype(np.int64), np.sort(test).astype(np.int64), rest)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
