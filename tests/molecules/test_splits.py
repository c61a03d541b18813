"""Splits: fixed for ever, balanced, random, independent of the order of the file."""

import numpy as np
import pytest

from phasewave.molecules.splits import (
    _GOLDEN,
    N_FOLDS,
    _mix,
    choose_split,
    folds_to_splits,
    hash_order,
    make_splits,
)

# worked out with Python's integers from the equations in the module's docstring
ORDER_0 = [5, 9, 10, 8, 6, 3, 4, 11, 2, 7, 0, 1]
ORDER_7 = [10, 1, 3, 5, 9, 0, 7, 8, 4, 11, 6, 2]


def test_the_mixing_function_is_that_of_splitmix64():
    # the first numbers of SplitMix64 for the seeds 0 and 1234567, as its reference implementation prints them
    seeds = np.array([0, 1234567], dtype=np.uint64)
    assert _mix(seeds + _GOLDEN).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]


def test_the_order_is_fixed_for_ever():
    assert hash_order(np.arange(1, 13), seed=0).tolist() == ORDER_0
    assert hash_order(np.arange(1, 13), seed=7).tolist() == ORDER_7


def test_an_order_is_a_random_permutation():
    n = 20_000
    orders = [hash_order(np.arange(n), seed=seed) for seed in (0, 1, 2, 1000)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 4 / np.sqrt(n)
        assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 4 / np.sqrt(n)
        parity = np.bincount(order[: n // 2] % 2) / (n // 2)
        assert abs(parity[0] - 0.5) < 4 * 0.5 / np.sqrt(n)
    for a, b in ((0, 1), (1, 2), (0, 3)):
        rank_a, rank_b = np.argsort(orders[a]), np.argsort(orders[b])
        assert abs(np.corrcoef(rank_a, rank_b)[0, 1]) < 4 / np.sqrt(n)


def test_folds_part_the_molecules():
    splits = make_splits(np.arange(1, 104))
    folds = [splits[f"fold-{k}"] for k in range(N_FOLDS)]
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(103))
    assert sorted(len(fold.test) for fold in folds) == [20, 20, 21, 21, 21]


@pytest.mark.parametrize("n", [5, 23, 148])
def test_every_split_parts_the_molecules(n):
    splits = make_splits(np.arange(n))
    assert sorted(splits) == [f"{kind}-{k}" for kind in ("fold", "random") for k in range(5)]
    for split in splits.values():
        together = np.concatenate([split.train, split.test, split.validation])
        np.testing.assert_array_equal(np.sort(together), np.arange(n))
        assert len(split.test) >= 1
        assert np.all(np.diff(split.test) > 0)


def test_training_molecules_stand_in_random_order():
    split = make_splits(np.arange(5000))["fold-2"]
    assert abs(np.corrcoef(split.train, np.arange(len(split.train)))[0, 1]) < 4 / np.sqrt(4000)
    assert len(np.unique(split.train[:100] // 1000)) == 5


def test_the_standard_split():
    index = np.arange(1, 130_832)
    split = make_splits(index)["random-110k"]
    assert (len(split.train), len(split.validation), len(split.test)) == (110_000, 10_000, 10_831)
    together = np.concatenate([split.train, split.test, split.validation])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(index)))
    assert "random-110k" not in make_splits(index[:120_000])


def test_the_order_of_the_file_does_not_matter(generator):
    index = np.arange(10, 310)
    shuffled = np.random.default_rng(1).permutation(index)
    for name, split in make_splits(index).items():
        other = make_splits(shuffled)[name]
        np.testing.assert_array_equal(index[split.train], shuffled[other.train])
        np.testing.assert_array_equal(index[split.test], np.sort(shuffled[other.test]))


def test_small_sets_have_no_splits():
    assert make_splits(np.arange(4)) == {}


def test_given_folds():
    folds = [np.array([4, 0]), np.array([1, 3]), np.array([2])]
    splits = folds_to_splits(folds, np.array([3, 4, 1, 0, 2]), prefix="official")
    assert splits["official-0"].test.tolist() == [0, 4]
    assert splits["official-0"].train.tolist() == [3, 1, 2]
    assert splits["official-2"].train.tolist() == [3, 4, 1, 0]


def test_bad_input():
    with pytest.raises(ValueError, match="`index` must be 3 different integers, got 2 different ones"):
        hash_order(np.array([1, 2, 1]), seed=0)
    with pytest.raises(ValueError, match="`seed` must be an integer between 0"):
        hash_order(np.arange(3), seed=-1)
    with pytest.raises(ValueError, match=r"`split` must be one of those .*\(fold-0, fold-1.*\), got 'fold-9'"):
        choose_split(make_splits(np.arange(10)), "fold-9")
    with pytest.raises(ValueError, match=r"none: this data set is a part of another, or too small"):
        choose_split({}, "fold-0")
