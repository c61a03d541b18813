"""Filling and denoising as runs: from an observed field to a folder with samples, figures and a picture."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from phasewave.checks import integer
from phasewave.solve.lbfgs_state import LBFGSState
from phasewave.turbulence.conditional_gaussian import check_mask
from phasewave.turbulence.denoising import Denoiser, DenoisingResult, Start
from phasewave.turbulence.fields import Field
from phasewave.turbulence.inpainting import Inpainter, InpaintingResult
from phasewave.turbulence.keeper import Callback
from phasewave.turbulence.observation_figure import draw_denoising, draw_inpainting
from phasewave.turbulence.observation_folder import (
    FIGURE,
    ObservationOutcome,
    ObservationRun,
    RunOptions,
)
from phasewave.turbulence.observation_metrics import denoising_metrics, inpainting_metrics
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.wiener import as_noise, signal_model


def inpaint(
    field: Field,
    mask: Tensor,
    options: RunOptions,
    *,
    n_samples: int = 4,
    seed: int = 0,
    settings: SynthesisSettings | None = None,
    tolerance: float | None = None,
    max_evaluations: int = 200,
    training: Tensor | None = None,
    truth: Tensor | None = None,
) -> ObservationOutcome:
    """Fill the missing pixels of a field (`Inpainter`), and write the fills, their figures and a picture.

    The folder gets ``samples.h5`` (``samples`` (n, H, W), and ``observed``, ``mask``, ``gaussian``, ``mean``,
    ``history``), ``metrics.json``, ``figure.png``, ``run.json``, and ``checkpoint.h5`` until all is done.

    Parameters
    ----------
    field : Field
        Its values are used where ``mask`` is True.
    mask : Tensor (H, W), bool
    options : RunOptions
    n_samples, seed, tolerance, max_evaluations, training
        As in `Inpainter`.
    settings : SynthesisSettings, optional
        Which moments; its limits are not used.
    truth : Tensor (H, W), optional
        The complete field, to judge the fills by; it is used for nothing else.

    Returns
    -------
    ObservationOutcome

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the run in ``out`` is another.
    FileExistsError, FileNotFoundError, OSError
        As `phasewave.turbulence.synthesis.synthesize`.
    """
    chosen = SynthesisSettings() if settings is None else settings
    observed = check_mask(mask, field.values.shape)
    values = field.values.to(options.device)
    moments = chosen.build(field.source.shape, values.dtype).to(options.device)
    inpainter = Inpainter(moments, tolerance=tolerance, max_evaluations=max_evaluations, chunk=chosen.chunk)
    others = None if training is None else training.to(values)
    count, root = integer("n_samples", n_samples, minimum=1), integer("seed", seed, minimum=0)

    def work(callback: Callback, state: LBFGSState | None) -> InpaintingResult:
        return inpainter.sample(
            values,
            observed.to(values.device),
            n_samples=count,
            seed=root,
            training=others,
            callback=callback,
            on_goal=options.on_goal,
            state=state,
        )

    run = ObservationRun(
        options,
        field,
        {
            "task": "inpainting",
            "mask": _digest(observed),
            "training": None if training is None else _digest(training),
            **_of_moments(chosen),
        },
        n_samples=count,
        seed=root,
    )
    result = run.solve(work, {"tolerance": tolerance, "max_evaluations": max_evaluations})
    samples, gaussian, mean = result.samples.cpu(), result.gaussian.cpu(), result.mean.cpu()
    metrics = {
        "inpainting": {**_progress(result), "tolerance": result.tolerance},
        **inpainting_metrics(samples, gaussian, mean, field.values, observed, truth),
    }
    extra = {"observed": torch.where(observed, field.values, torch.nan), "mask": observed, "mean": mean}
    run.write(samples, metrics, {**extra, "gaussian": gaussian, "history": result.history})
    draw_inpainting(field.values, observed, gaussian, samples, metrics, run.folder / FIGURE, truth=truth)
    return run.finish(result, samples, metrics)


def denoise(
    field: Field,
    noise: float | Tensor,
    options: RunOptions,
    *,
    n_samples: int = 1,
    seed: int = 0,
    settings: SynthesisSettings | None = None,
    n_draws: int = 4,
    start: Start = "wiener",
    tolerance: float = 0.1,
    max_evaluations: int = 50,
    truth: Tensor | None = None,
) -> ObservationOutcome:
    """Remove noise of known law from a field (`Denoiser`), and write samples, their figures and a picture.

    The folder gets ``samples.h5`` (``samples`` (n, H, W), and ``observed``, ``wiener``, ``noise_spectrum``,
    ``history``), ``metrics.json``, ``figure.png``, ``run.json``, and ``checkpoint.h5`` until all is done.

    Parameters
    ----------
    field : Field
        The observed field.
    noise : float or Tensor
        Standard deviation, spectrum or maps: see `phasewave.turbulence.wiener.as_noise`.
    options : RunOptions
    n_samples, seed, n_draws, start, tolerance, max_evaluations
        As in `Denoiser`.
    settings : SynthesisSettings, optional
        Which moments; its limits are not used.
    truth : Tensor (H, W), optional
        The field without noise, to judge the samples by; it is used for nothing else.

    Returns
    -------
    ObservationOutcome

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, the noise has as much variance as the field, or the run in ``out`` is
        another.
    FileExistsError, FileNotFoundError, OSError
        As `phasewave.turbulence.synthesis.synthesize`.
    """
    chosen = SynthesisSettings() if settings is None else settings
    values = field.values.to(options.device)
    law = as_noise(noise, field.source.shape)
    signal_model(field.values, law)  # raises for noise that leaves nothing of the field
    moments = chosen.build(field.source.shape, values.dtype).to(options.device)
    denoiser = Denoiser(
        moments, noise, n_draws=n_draws, start=start, tolerance=tolerance, max_evaluations=max_evaluations
    )
    count, root = integer("n_samples", n_samples, minimum=1), integer("seed", seed, minimum=0)

    def work(callback: Callback, state: LBFGSState | None) -> DenoisingResult:
        return denoiser.sample(values, n_samples=count, seed=root, callback=callback, state=state)

    given = noise if isinstance(noise, int | float) else _digest(noise)
    run = ObservationRun(
        options,
        field,
        {"task": "denoising", "noise": given, "n_draws": n_draws, "start": start, **_of_moments(chosen)},
        n_samples=count,
        seed=root,
    )
    result = run.solve(work, {"tolerance": tolerance, "max_evaluations": max_evaluations})
    samples, wiener = result.samples.cpu(), result.wiener.cpu()
    metrics = {
        "denoising": {**_progress(result), "tolerance": tolerance},
        **denoising_metrics(samples, wiener, field.values, law, truth),
    }
    extra = {"observed": field.values, "wiener": wiener, "noise_spectrum": law.spectrum, "history": result.history}
    run.write(samples, metrics, extra)
    draw_denoising(field.values, wiener, samples, metrics, run.folder / FIGURE, truth=truth)
    return run.finish(result, samples, metrics)


def _progress(result: InpaintingResult | DenoisingResult) -> dict[str, Any]:
    return {
        "status": [status.value for status in result.status],
        "losses": result.losses.tolist(),
        "n_evaluations": list(result.n_evaluations),
        "n_moments": result.n_moments,
    }


def _of_moments(settings: SynthesisSettings) -> dict[str, Any]:
    """Return the settings that say which moments are matched."""
    limits = ("tolerance", "max_evaluations", "chunk")
    return {name: value for name, value in asdict(settings).items() if name not in limits}


def _digest(values: Tensor) -> str:
    return hashlib.sha256(values.detach().cpu().contiguous().to(torch.float64).numpy().tobytes()).hexdigest()
