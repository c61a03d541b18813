from collections import Counter

import pytest

from phasewave.turbulence.moment_table import Channel, Moment, MomentSet, channels_of


def counts(**settings):
    return Counter(row.kind for row in MomentSet(**settings).table())


def test_counts_of_the_settings_of_the_literature():
    seven = counts(n_scales=7, n_angles=4, n_shifts=2)
    assert seven == {"S11": 252, "S00": 252, "S01": 28, "C01": 1680, "Cphase": 884, "L": 9}
    assert seven.total() == 3105
    assert counts(n_scales=5, n_angles=8, n_shifts=2).total() == 3345
    assert counts(n_scales=6, n_angles=8, n_shifts=0).total() == 48 * 3 + 15 * 64 + 15 * 8 + 9


def test_counts_of_the_further_classes():
    further = counts(n_scales=3, classes=("C00", "one_point", "quantiles"), n_quantiles=20, quantile_scales=(0, 2))
    assert further == {"C00": 3 * 16, "one_point": 4, "quantiles": 60}


def test_order_follows_the_classes():
    table = MomentSet(n_scales=2, classes=("L", "S00")).table()
    kinds = [row.kind for row in table]
    assert kinds == sorted(kinds)


def test_shifts_turn_with_the_wavelet():
    table = MomentSet(n_scales=1, n_angles=4, n_shifts=2, classes=("S11",)).table()
    first = [row.shift for row in table if row.first.angle == 0]
    assert first == [(0, 0), (0, 2), (-1, 1), (-2, 0), (-1, -1), (0, 4), (-3, 3), (-4, 0), (-3, -3)]
    turned = [row.shift for row in table if row.first.angle == 1]
    assert turned == [(0, 0), (1, 1), (0, 2), (-1, 1), (-2, 0), (3, 3), (0, 4), (-3, 3), (-4, 0)]


def test_phase_moments_join_the_harmonic_of_the_coarser_scale():
    table = MomentSet(n_scales=4, classes=("Cphase",)).table()
    for row in table:
        assert row.second.harmonic == 2 ** (row.second.scale - row.first.scale)
        assert row.first.angle == row.second.angle
    widest = {row.second.scale: max(map(abs, row.shift)) for row in table if row.first.angle == 0}
    assert widest == {1: 4, 2: 4, 3: 4} or widest[3] == 0


def test_a_moment_is_a_record():
    row = MomentSet(n_scales=2, classes=("C01",)).table()[0]
    assert row == Moment("C01", Channel("wavelet", 0, 0, 0), Channel("wavelet", 1, 2, 1))
    assert channels_of([row]) == (row.first, row.second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_scales": 0}, "`n_scales` must be an integer >= 1, got 0"),
        ({"n_scales": 2, "n_shifts": -1}, "`n_shifts` must be an integer >= 0"),
        ({"n_scales": 2, "classes": ()}, "`classes` must be one or more different classes"),
        ({"n_scales": 2, "classes": ("S11", "S11")}, "`classes` must be one or more different classes"),
        ({"n_scales": 2, "classes": ("S12",)}, "`classes` must be one of 'S11'.*got 'S12'"),
        ({"n_scales": 2, "quantile_scales": (5,)}, "`quantile_scales` must be an integer between -1 and 2"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MomentSet(**settings)
