import json
import math

import pytest
import torch

from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.judge import Judge
from phasewave.turbulence.report import compare, summary
from phasewave.turbulence.statistics import STATISTICS, structure_error
from phasewave.turbulence.two_sample import two_sample_test

DISTANCES = [statistic.name for statistic in STATISTICS if statistic.kind == "distance"]
VALUES = [statistic.name for statistic in STATISTICS if statistic.kind == "value"]


def skewed(shape=(32, 40), seed=0, n=1):
    x = white_noise(n, shape, seed=seed)
    return (x + x.roll(1, -1) + x.roll(1, -2)).mul(0.5).exp()


@pytest.fixture(scope="module")
def report():
    target = skewed()[0]
    return compare(
        torch.stack([target, target.roll((5, 9), (0, 1)), -target]),
        target.float(),
        gaussian=GaussianModel(target).sample(4, seed=0),
        reference=skewed((48, 32), seed=1, n=2),
        in_loss=["wasserstein", "kurtosis"],
    )


def test_it_is_plain_json(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_copies_are_at_distance_zero_and_are_called_copies(report):
    for name in DISTANCES:
        values = report["samples"][name]["values"]
        wanted = 1.0 if name == "cross_correlation" else 0.0
        assert values[:2] == pytest.approx([wanted, wanted], abs=1e-5)
    for name in VALUES:
        assert report["samples"][name]["values"][:2] == pytest.approx([report["target"][name]] * 2, rel=1e-5)
    assert report["spread"]["pair_cross_correlation"] == pytest.approx(1)


def test_the_negative_is_told_by_what_is_odd(report):
    negative = {name: report["samples"][name]["values"][2] for name in DISTANCES}
    assert negative["spectrum_error"] < 1e-5
    assert negative["flatness_error"] < 1e-5
    assert negative["cross_correlation"] == pytest.approx(1)
    assert min(negative["wasserstein"], negative["bispectrum_z"], negative["minkowski_error"]) > 0.5


def test_the_gaussian_model_lacks_the_skewness_and_the_floor_has_it(report):
    assert report["target"]["skewness"] > 1
    assert abs(report["gaussian"]["skewness"]["mean"]) < 0.3
    assert report["reference"]["skewness"]["mean"] > 1
    for name in ("wasserstein", "flatness_error", "bispectrum_z"):
        assert report["reference"][name]["mean"] < report["gaussian"][name]["mean"]


def test_mean_and_deviation_are_over_fields(report):
    entry = report["gaussian"]["kurtosis"]
    values = torch.tensor(entry["values"], dtype=torch.float64)
    assert entry["mean"] == pytest.approx(float(values.mean()))
    assert entry["std"] == pytest.approx(float(values.std()))
    alone = compare(skewed()[0], skewed()[0])
    assert alone["samples"]["kurtosis"]["std"] is None
    assert alone["spread"] == {"pixel_variance_ratio": None, "pair_cross_correlation": None}


def test_every_statistic_is_defined_and_measured(report):
    assert list(report["definitions"]) == [statistic.name for statistic in STATISTICS]
    for group in ("samples", "gaussian", "reference"):
        assert list(report[group]) == list(report["definitions"])
        assert all(entry["mean"] is not None for entry in report[group].values())
    assert set(report["target"]) == set(VALUES)
    for entry in report["definitions"].values():
        assert entry["units"]
        assert entry["definition"]
    labelled = {name for name, entry in report["definitions"].items() if entry["in_loss"]}
    assert labelled == {"wasserstein", "kurtosis"}


def test_curves_have_one_row_a_field(report):
    numbers = {"target": 1, "samples": 3, "gaussian": 4, "reference": 2}
    assert report["fields"] == {
        "target": [1, 32, 40],
        "samples": [3, 32, 40],
        "gaussian": [4, 32, 40],
        "reference": [2, 48, 32],
    }
    curves = report["curves"]
    for name, n in numbers.items():
        for key, abscissa in (("spectrum", "frequency"), ("one_point", "level"), ("flatness", "separation")):
            rows = curves[key][name]
            assert len(rows) == n
            assert all(len(row) == len(curves[key][abscissa]) for row in rows)
        for functional in ("area", "boundary", "euler"):
            assert len(curves["minkowski"][functional][name]) == n
        assert [len(order) for order in curves["structure"][name]] == [n] * 4
    assert curves["flatness"]["separation"] == [1, 2, 4, 8]
    assert curves["spectrum"]["samples"][0] == pytest.approx(curves["spectrum"]["target"][0], rel=1e-5)
    area = curves["minkowski"]["area"]["target"][0]
    assert area == sorted(area, reverse=True)


def test_what_is_not_given_is_none():
    report = compare(skewed(n=2), skewed(seed=3)[0])
    assert report["gaussian"] is None
    assert report["reference"] is None
    assert "gaussian" not in report["curves"]["spectrum"]
    assert summary(report)[0] == ["statistic", "target", "samples"]


def test_summary_is_a_table(report):
    rows = summary(report)
    assert rows[0] == ["statistic", "target", "samples", "gaussian", "reference"]
    assert len(rows) == 1 + len(STATISTICS) + 2
    assert [row[0] for row in rows[-2:]] == ["correlation between samples", "variance between samples"]
    assert rows[-2][1:] == ["", "1.000", "", ""]
    assert {len(row) for row in rows} == {5}
    table = {row[0]: row[1:] for row in rows}
    assert table["wasserstein *"][0] == ""
    assert table["kurtosis *"][0] == f"{report['target']['kurtosis']:.3f}"
    entry = report["gaussian"]["skewness"]
    assert table["skewness"][2] == f"{entry['mean']:.3f} ± {entry['std']:.3f}"


SMALL = Judge(patch_size=20, n_steps=2, batch_size=4)


def test_the_two_sample_test_is_on_equal_terms():
    target, others = skewed((72, 40))[0], skewed((72, 40), seed=1, n=4)
    report = compare(
        skewed((72, 40), seed=2, n=3),
        target,
        gaussian=GaussianModel(target).sample(4, seed=0),
        reference=others,
        two_sample=SMALL,
        seed=3,
    )
    tests = report["two_sample"]
    assert json.loads(json.dumps(tests, allow_nan=False)) == tests
    assert tests["judge"] == {"patch_size": 20, "n_steps": 2, "batch_size": 4, "augment": False}
    for group in ("samples", "gaussian", "reference"):
        assert (tests[group]["n_real"], tests[group]["n_synthetic"], tests[group]["seed"]) == (2, 2, 3)
    alone = two_sample_test(torch.stack((target, others[0])), others[1:3], judge=SMALL, seed=3)
    assert tests["reference"]["accuracy"] == alone.accuracy
    row = summary(report)[-1]
    assert row[:2] == ["two-sample test 20 x 20", ""]
    low, high = alone.interval
    assert row[4] == f"{alone.accuracy:.3f} [{low:.2f}, {high:.2f}]"


def test_the_two_sample_test_of_one_real_field_or_of_another_shape():
    report = compare(skewed((72, 40), seed=2), skewed((72, 40))[0], two_sample=SMALL)
    assert report["two_sample"]["reference"] is None
    assert report["two_sample"]["samples"]["n_real"] == 1
    report = compare(
        skewed((72, 40), seed=2), skewed((72, 40))[0], reference=skewed((80, 40), seed=1, n=3), two_sample=SMALL
    )
    assert report["two_sample"]["reference"]["n_synthetic"] == 1


def test_the_structure_error_of_a_multiple_is_its_excess():
    x = skewed()[0]
    assert structure_error(torch.stack([1.1 * x, 0.7 * x + 3]), x).tolist() == pytest.approx([0.1, 0.3])


def test_inputs_are_left_alone():
    x = skewed(n=2).requires_grad_()
    compare(x, skewed()[0])
    assert x.grad is None


@pytest.mark.parametrize(
    ("samples", "target", "options", "error", "message"),
    [
        (torch.zeros(16, 16), torch.zeros(16, 16), {}, ValueError, "`target` must vary over space"),
        (torch.zeros(16, 16), torch.zeros(2, 16, 16), {}, ValueError, "`target` must be one field"),
        (torch.zeros(16), torch.eye(16), {}, ValueError, r"`samples` must have axes \(H, W\) or \(n, H, W\)"),
        (torch.zeros(0, 16, 16), torch.eye(16), {}, ValueError, r"`samples` must have axes"),
        (torch.zeros(16, 8), torch.eye(16), {}, ValueError, r"`samples.shape` must be 2 integers >= 16"),
        (torch.full((16, 16), math.nan), torch.eye(16), {}, ValueError, "`samples` must be finite, got 256"),
        (torch.eye(16).to(torch.complex64), torch.eye(16), {}, TypeError, "real floating dtype"),
        (torch.eye(16), torch.eye(16), {"in_loss": ["beauty"]}, ValueError, "`in_loss` must be one of 'spec"),
        (torch.eye(16), torch.eye(16), {"two_sample": "wise"}, ValueError, "`judge` must be one of 'weak'"),
        (
            torch.eye(16),
            torch.eye(16),
            {"two_sample": "weak"},
            ValueError,
            r"\(about 112 x 32 in all\), got \(16, 16\)",
        ),
        (torch.eye(16), torch.eye(16), {"gaussian": torch.zeros(4)}, ValueError, "`gaussian` must have axes"),
        (
            torch.eye(16),
            torch.eye(16),
            {"reference": torch.zeros(9, 9)},
            ValueError,
            r"`reference.shape` must be 2",
        ),
    ],
)
def test_bad_input(samples, target, options, error, message):
    with pytest.raises(error, match=message):
        compare(samples, target, **options)
