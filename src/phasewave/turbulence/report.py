"""Samples judged by independent statistics, beside the Gaussian model and other real realisations."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.increments import dyadic_separations, flatness, structure_functions
from phasewave.turbulence.minkowski import minkowski_functionals
from phasewave.turbulence.onepoint import density
from phasewave.turbulence.similarity import pair_cross_correlations, pixel_spread
from phasewave.turbulence.spectra import band_spectrum, log_bands
from phasewave.turbulence.statistics import STATISTICS
from phasewave.turbulence.two_sample import Judge, JudgeName, TwoSampleResult, judge_of, two_sample_test


def compare(
    samples: Tensor,
    target: Tensor,
    *,
    gaussian: Tensor | None = None,
    reference: Tensor | None = None,
    in_loss: Collection[str] = (),
    two_sample: JudgeName | Judge | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge samples of a model against the field that the model was made from.

    Parameters
    ----------
    samples : Tensor (n, H, W) or (H, W), real, finite
    target : Tensor (H', W'), real, finite
    gaussian : Tensor (m, H, W) or (H, W), optional
        Samples of the Gaussian model: what second-order moments alone give.
    reference : Tensor (r, H'', W'') or (H'', W''), optional
        Other real realisations of the process: the floor, which no faithful sampler can go below.
    in_loss : collection of str
        Names of statistics that the samples were optimised for; they are labelled, for they prove nothing.
    two_sample : {"weak", "strong"} or Judge, optional
        Also train judges to tell real patches from those of each group (`two_sample_test`): seconds to minutes.
        The strong judge deserves its name with four real fields or more, the target included.
    seed : int
        Of the judges.

    Returns
    -------
    dict, ready for JSON (NaN and infinite values become None)
        ``definitions``
            For each statistic: kind ("distance" to the target or "value"), units, definition, in_loss.
        ``target``
            The target's own values, one number a statistic of kind "value".
        ``samples``, ``gaussian``, ``reference``
            For each statistic: mean, std (unbiased, over fields; None for one) and values. None if not
            given.
        ``spread``
            Between samples: pixel_variance_ratio (1 if independent, 0 if all are one field) and
            pair_cross_correlation (the largest between two samples).
        ``two_sample``
            None if not asked for; else the judge, and for each of samples, gaussian and reference (None if not
            given) the record of `two_sample_test`. All are tested on equal terms: the first half of the real
            fields, the target and the reference in this order, against as many of the group, at most; the
            reference's are the other half.
        ``curves``
            spectrum, one_point, flatness, structure and minkowski, each with its abscissa and one list of
            curves for each of target, samples, gaussian and reference.
        ``fields``
            How many fields of what shape.

    Raises
    ------
    TypeError
        If a tensor is not of a real floating dtype.
    ValueError
        If a shape is wrong or below 16 pixels, values are not finite, the target is constant, a name of
        ``in_loss`` is unknown, or a field is too small for the judge.
    """
    names = [statistic.name for statistic in STATISTICS]
    for name in in_loss:
        checks.choice("in_loss", name, names)
    goal = _stack("target", target)
    if goal.shape[0] != 1:
        checks.fail("target", "be one field with axes (H, W)", tuple(target.shape))
    field = goal[0]
    if float(field.std(correction=0)) == 0:
        checks.fail("target", "vary over space", "a constant field")
    groups = {"samples": _stack("samples", samples)}
    if gaussian is not None:
        groups["gaussian"] = _stack("gaussian", gaussian)
    if reference is not None:
        groups["reference"] = _stack("reference", reference)
    drawn = groups["samples"]
    pairs = pair_cross_correlations(drawn)
    return {
        "definitions": {
            statistic.name: {
                "kind": statistic.kind,
                "units": statistic.units,
                "definition": statistic.definition,
                "in_loss": statistic.name in in_loss,
            }
            for statistic in STATISTICS
        },
        "target": {
            statistic.name: _number(statistic.measure(goal, field)[0])
            for statistic in STATISTICS
            if statistic.kind == "value"
        },
        "samples": _measure(drawn, field),
        "gaussian": _measure(groups["gaussian"], field) if gaussian is not None else None,
        "reference": _measure(groups["reference"], field) if reference is not None else None,
        "spread": {
            "pixel_variance_ratio": _number(pixel_spread(drawn)),
            "pair_cross_correlation": _number(pairs.max()) if pairs.numel() else None,
        },
        "two_sample": None if two_sample is None else _judged(goal, groups, two_sample, seed),
        "curves": _curves(field, {"target": goal, **groups}),
        "fields": {name: list(fields.shape) for name, fields in {"target": goal, **groups}.items()},
    }


def summary(report: dict[str, Any]) -> list[list[str]]:
    """Return a report as rows of text: a header, then one row a statistic.

    Columns: statistic, target, samples, then Gaussian and reference where the report has them. Entries
    are "mean ± std" over fields; a star marks what was in the loss. Last the spread between the samples and, if
    there was a test, the judges' accuracy with its interval.

    Parameters
    ----------
    report : dict
        From ``compare``.

    Returns
    -------
    list of rows of equal length
    """
    groups = [name for name in ("samples", "gaussian", "reference") if report[name] is not None]
    rows = [["statistic", "target", *groups]]
    for name, entry in report["definitions"].items():
        own = report["target"].get(name)
        label = name.replace("_", " ") + (" *" if entry["in_loss"] else "")
        cells = [_cell(report[group][name]["mean"], report[group][name]["std"]) for group in groups]
        rows.append([label, "" if entry["kind"] == "distance" else _cell(own, None), *cells])
    blank = [""] * (len(groups) - 1)
    rows.append(
        ["correlation between samples", "", _cell(report["spread"]["pair_cross_correlation"], None), *blank]
    )
    rows.append(["variance between samples", "", _cell(report["spread"]["pixel_variance_ratio"], None), *blank])
    test = report["two_sample"]
    if test is not None:
        size = test["judge"]["patch_size"]
        rows.append([f"two-sample test {size} x {size}", "", *(_verdict(test[name]) for name in groups)])
    return rows


def _stack(name: str, x: Tensor) -> Tensor:
    """Return fields as (n, H, W) float64, checked."""
    checks.real_field(name, x)
    if x.ndim not in (2, 3) or x.shape[0] == 0:
        checks.fail(name, "have axes (H, W) or (n, H, W)", tuple(x.shape))
    checks.grid_shape(f"{name}.shape", x.shape[-2:], n_axes=2)
    checks.finite(name, x)
    fields = x.detach().to(torch.float64)
    return fields if fields.ndim == 3 else fields[None]


def _measure(fields: Tensor, target: Tensor) -> dict[str, Any]:
    figures = {}
    for statistic in STATISTICS:
        values = statistic.measure(fields, target.to(fields.device))
        figures[statistic.name] = {
            "mean": _number(values.mean()),
            "std": _number(values.std()) if values.numel() > 1 else None,
            "values": [_number(value) for value in values],
        }
    return figures


def _judged(goal: Tensor, groups: dict[str, Tensor], judge: JudgeName | Judge, seed: int) -> dict[str, Any]:
    """Return the two-sample tests of all groups against the first half of the real fields."""
    real = goal
    rest = groups.get("reference")
    if rest is not None and rest.shape[1:] == goal.shape[1:]:
        whole = torch.cat((goal, rest))
        real, rest = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    against: dict[str, Tensor | None] = {**groups, "reference": rest}
    tests = {}
    for name in ("samples", "gaussian", "reference"):
        fields = against.get(name)
        tests[name] = (
            None if fields is None else two_sample_test(real, fields[: len(real)], judge=judge, seed=seed)
        )
    return {
        "judge": asdict(judge_of(judge)),
        **{name: None if test is None else _record(test) for name, test in tests.items()},
    }


def _record(test: TwoSampleResult) -> dict[str, Any]:
    """Return the record of a test without its judge, in JSON's own types."""
    record = {**asdict(test), "interval": list(test.interval), "accuracies": list(test.accuracies)}
    del record["judge"]
    return record


def _verdict(test: dict[str, Any] | None) -> str:
    if test is None:
        return "-"
    low, high = test["interval"]
    return f"{test['accuracy']:.3f} [{low:.2f}, {high:.2f}]"


def _curves(target: Tensor, groups: dict[str, Tensor]) -> dict[str, Any]:
    bands = log_bands(target.shape, n_bands=24)
    present = ~torch.isnan(band_spectrum(target, bands))
    mean, scale = float(target.mean()), float(target.std(correction=0))
    bins = torch.linspace(-5, 5, 51, dtype=torch.float64)
    separations = dyadic_separations(target.shape)
    levels = torch.linspace(-3, 3, 25, dtype=torch.float64)
    centres = (bands[:-1] * bands[1:]).sqrt()[present.cpu()]
    functionals = {
        name: minkowski_functionals(fields, levels, mean=mean, scale=scale) for name, fields in groups.items()
    }
    return {
        "spectrum": {
            "frequency": _numbers(centres),
            "units": "radians per pixel; squared units of the field",
            **{name: _numbers(band_spectrum(fields, bands)[:, present]) for name, fields in groups.items()},
        },
        "one_point": {
            "level": _numbers((bins[:-1] + bins[1:]) / 2),
            "units": "target standard deviations above the target's mean; probability density in them",
            **{name: _numbers(density((fields - mean) / scale, bins)) for name, fields in groups.items()},
        },
        "flatness": {
            "separation": list(separations),
            "units": "pixels; 3 if Gaussian",
            **{name: _numbers(flatness(fields, separations)) for name, fields in groups.items()},
        },
        "structure": {
            "separation": list(separations),
            "units": "pixels; mean absolute increment to the powers 1, 2, 3, 4, in units of the field",
            **{
                name: [_numbers(structure_functions(fields, separations, order=p)) for p in (1, 2, 3, 4)]
                for name, fields in groups.items()
            },
        },
        "minkowski": {
            "level": _numbers(levels),
            "units": "target standard deviations above the target's mean; counts per pixel",
            **{
                key: {name: _numbers(values[:, row]) for name, values in functionals.items()}
                for row, key in enumerate(("area", "boundary", "euler"))
            },
        },
    }


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _numbers(values: Tensor) -> list[Any]:
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [_number(value) for value in values]


def _cell(mean: float | None, std: float | None) -> str:
    if mean is None:
        return "-"
    text = f"{mean:.3f}" if abs(mean) < 100 else f"{mean:.4g}"
    return text if std is None else f"{text} ± {std:.3f}"
