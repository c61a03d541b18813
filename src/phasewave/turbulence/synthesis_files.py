"""The files of a synthesis: samples, moments, report and pictures."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from phasewave.runs.folder import RunFolder
from phasewave.runs.hdf5 import write_samples
from phasewave.runs.record import jsonable, write_json
from phasewave.turbulence.fields import MIN_SIZE
from phasewave.turbulence.figure import draw_synthesis
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.gaussian_fields import GaussianFields
from phasewave.turbulence.inputs import SynthesisInput, observed_rectangle
from phasewave.turbulence.keeper import RECORD
from phasewave.turbulence.moment_file import write_moments
from phasewave.turbulence.report import compare
from phasewave.turbulence.sampler import SamplerResult
from phasewave.turbulence.settings import SynthesisSettings

SAMPLES, METRICS, FIGURE, MOMENTS = "samples.h5", "metrics.json", "figure.png", "moments.h5"


def run_files(n_channels: int, n_ranks: int, folder: Path) -> tuple[str, ...]:
    """Return the names of all files that a run may make; a folder's checkpoints of other ranks are among them."""
    figures = [_figure(channel) for channel in range(n_channels)]
    checkpoints = [checkpoint_file(rank, n_ranks) for rank in range(n_ranks)]
    left = [path.name for path in folder.glob("checkpoint*.h5")] if folder.is_dir() else []
    return tuple(dict.fromkeys((SAMPLES, METRICS, RECORD, *figures, MOMENTS, *checkpoints, *left)))


def checkpoint_file(rank: int, n_ranks: int) -> str:
    """Return the name of a rank's checkpoint."""
    return "checkpoint.h5" if n_ranks == 1 else f"checkpoint-{rank}-of-{n_ranks}.h5"


def write_results(
    run: RunFolder,
    given: SynthesisInput,
    settings: SynthesisSettings,
    result: SamplerResult,
    *,
    table: tuple[Any, ...],
    seed: int,
) -> dict[str, Any]:
    """Write samples.h5, moments.h5, metrics.json and the pictures, and return the content of metrics.json.

    Parameters
    ----------
    run : RunFolder
    given : SynthesisInput
        What the samples were made from.
    settings : SynthesisSettings
    result : SamplerResult
    table : tuple of records
        What each moment is.
    seed : int
        Also that of the Gaussian model's samples.

    Returns
    -------
    dict
        ``synthesis``, and the report of `compare`: of the first field, with that of the others under
        ``channels``. A field with gaps is judged by its largest rectangle without any, and not at all if that is
        smaller than 16 x 16; what is not periodic, by its mirror images side by side, which are. An ensemble is
        judged by its first realisation, with the others as the reference.
    """
    shape = (int(result.samples.shape[-2]), int(result.samples.shape[-1]))
    channels = result.samples.unbind(1) if given.channels else [result.samples]
    gaussians = _gaussian(given, len(result.samples), shape, seed)
    extra: dict[str, torch.Tensor] = {"history": result.history}
    reports, pictures = [], []
    for number, samples in enumerate(channels):
        target, reference = _target(given, number)
        name = "" if number == 0 else f"_{number}"
        if number:
            extra[f"samples{name}"] = samples.to(torch.float32)
        extra[f"target{name}"] = given.fields[number if given.channels else 0].values
        if target is None:
            continue
        gaussian = gaussians[number]
        extra[f"gaussian{name}"] = gaussian
        whole = given.periodic and given.mask is None
        judge = compare if whole else _compare_part
        reports.append(judge(samples, target, gaussian=gaussian, reference=reference, in_loss=settings.in_loss()))
        pictures.append((target, gaussian, samples, reports[-1], run / _figure(number)))
    source = given.source()
    write_samples(run / SAMPLES, channels[0], source=source, settings=asdict(settings), seed=seed, extra=extra)
    if table:
        write_moments(
            run / MOMENTS,
            table,
            {"target": result.target_moments, "samples": result.sample_moments},
            attributes={"source": source, "settings": asdict(settings), "seed": seed},
        )
    metrics = {"synthesis": _reached(given, settings, result, shape), **(reports[0] if reports else {})}
    if reports[1:]:
        metrics["channels"] = {str(number): report for number, report in enumerate(reports[1:], start=1)}
    metrics = jsonable(metrics, "metrics")
    write_json(run / METRICS, metrics)
    for picture in pictures:
        draw_synthesis(*picture)
    return metrics


def _figure(channel: int) -> str:
    return FIGURE if channel == 0 else f"figure_{channel}.png"


def _target(given: SynthesisInput, channel: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Return the field that a channel is judged by, and other realisations of it if there are any."""
    chosen = [given.fields[channel]] if given.channels else list(given.fields)
    fields = torch.stack([field.values for field in chosen])
    if given.mask is not None:
        rows, columns = observed_rectangle(given.mask)
        fields = fields[:, rows, columns]
    if min(fields.shape[-2:]) < MIN_SIZE or float(fields[0].std(correction=0)) == 0:
        return None, None
    return fields[0], fields[1:] if len(fields) > 1 else None


def _gaussian(given: SynthesisInput, count: int, shape: tuple[int, int], seed: int) -> list[torch.Tensor]:
    """Return samples of the Gaussian model, a stack for each field of one sky."""
    if given.channels and given.periodic and given.mask is None:
        return list(GaussianFields(given.values).sample(count, seed=seed, shape=shape).unbind(1))
    processes = given.values.unbind(0) if given.channels else (given.values,)
    models = [GaussianModel(each, mask=given.mask, periodic=given.periodic) for each in processes]
    return [model.sample(count, seed=seed, shape=shape) for model in models]


def _compare_part(
    samples: torch.Tensor,
    target: torch.Tensor,
    *,
    gaussian: torch.Tensor,
    reference: torch.Tensor | None,
    in_loss: list[str],
) -> dict[str, Any]:
    """Return the report of a target that is not periodic: of the mirrored one, but for what looks for copies."""
    others = None if reference is None else _mirrored(reference)
    report = compare(samples, _mirrored(target), gaussian=gaussian, reference=others, in_loss=in_loss)
    plain = compare(samples, target, gaussian=gaussian, reference=reference, in_loss=in_loss)
    for group in ("samples", "gaussian", "reference"):
        if report[group] is not None:
            report[group]["cross_correlation"] = plain[group]["cross_correlation"]
    return report | {"fields": plain["fields"]}


def _mirrored(fields: torch.Tensor) -> torch.Tensor:
    """Return fields (..., 2 H, 2 W): with their mirror images, periodic and without a jump."""
    wide = torch.cat((fields, fields.flip(-1)), dim=-1)
    return torch.cat((wide, wide.flip(-2)), dim=-2)


def _reached(
    given: SynthesisInput, settings: SynthesisSettings, result: SamplerResult, shape: tuple[int, int]
) -> dict[str, Any]:
    losses = result.realisation_losses
    smaller = _smaller(given.shape, shape)
    return {
        "status": [status.value for status in result.status],
        "losses": result.losses.tolist(),
        "class_losses": {kind: values.tolist() for kind, values in result.class_losses.items()},
        "n_evaluations": list(result.n_evaluations),
        "tolerance": settings.tolerance,
        "loss_tolerance": result.tolerance,
        "plateau_loss": result.plateau_loss,
        "realisation_losses": None if losses is None else losses.tolist(),
        "n_moments": result.n_moments,
        "n_pixels": given.n_channels * min(math.prod(given.shape), math.prod(shape)),
        "moment_size": asdict(settings.size(smaller, n_fields=given.n_channels)),
    }


def _smaller(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], two[0]), min(one[1], two[1])
