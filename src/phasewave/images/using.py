"""What a trained generator is used for, each to a folder: reconstruct, generate, interpolate."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from phasewave.checks import fail, integer
from phasewave.images.decoder import CORRECTIONS_OF_NEW
from phasewave.images.figures import draw_generated, draw_interpolations, draw_reconstructions, write_animation
from phasewave.images.generator import ImageGenerator, Prior
from phasewave.images.image_batches import as_float
from phasewave.images.image_output import write_made
from phasewave.images.interpolating import Way
from phasewave.images.metrics import psnr, ssim
from phasewave.images.neighbours import nearest_images
from phasewave.images.recording import FIGURE, METRICS, RECORD, SAMPLES
from phasewave.images.report import active_share, round_trip
from phasewave.runs.folder import RunFolder, open_run
from phasewave.runs.record import RunRecord, recorded, write_json

_FILES = (SAMPLES, METRICS, FIGURE, RECORD)
_DRAWN_PAIRS = 12


def reconstruct_to(
    generator: ImageGenerator,
    images: torch.Tensor,
    out: str | os.PathLike[str],
    *,
    source: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Encode and decode images; the folder gets samples.h5, metrics.json, figure.png and run.json.

    Parameters
    ----------
    generator : ImageGenerator
    images : torch.Tensor (n, C, H, W)
    out : path-like
    source : str
        Where they come from, for the record.
    overwrite : bool

    Returns
    -------
    dict
        The content of metrics.json: PSNR (mean, least, and of each image), SSIM, sparsity, round trip.

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and ``overwrite`` is not given.
    ValueError
        If the images are not like the model's.
    """
    codes = generator.encode(images)  # checks them before a folder is made
    run = _open(out, _FILES, overwrite)
    settings = {"source": source, "n": len(images)}
    with recorded(_record(generator, settings, seed=0), run / RECORD):
        decoded = generator.decoder_.decode(codes)
        made = decoded.clamp(0, 1).cpu()
        originals = as_float(images).float().cpu()
        each = psnr(made, originals)
        metrics = {
            "n": len(images),
            "psnr": float(each.mean()),
            "psnr_least": float(each.min()),
            "active": active_share(generator, codes),
            "round_trip": round_trip(generator, codes, decoded),
            "psnr_of_each": each.tolist(),
        }
        if min(images.shape[-2:]) >= 11:
            metrics["ssim"] = float(ssim(made, originals).mean())
        tensors = {"originals": originals, "reconstructions": made, "codes": codes}
        _finish(run, tensors, settings, 0, metrics)
        draw_reconstructions(run / FIGURE, originals, made, title="Images and their reconstructions")
    return metrics


def generate_to(
    generator: ImageGenerator,
    n_images: int,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    prior: Prior = "fitted",
    training: torch.Tensor | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make new images; the folder gets samples.h5, metrics.json, figure.png and run.json.

    Parameters
    ----------
    generator : ImageGenerator
    n_images : int
    out : path-like
    seed : int
    prior : {"fitted", "white"}
    training : torch.Tensor (m, C, H, W), optional
        The training images: the nearest one stands under each new image.
    overwrite : bool

    Returns
    -------
    dict
        The content of metrics.json: round trip, sparsity and, with ``training``, the distance to the nearest.

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and ``overwrite`` is not given.
    TypeError, ValueError
        If an argument is out of range.
    """
    codes = generator.draw_codes(n_images, seed=seed, prior=prior)
    run = _open(out, _FILES, overwrite)
    settings = {"n": n_images, "prior": prior}
    with recorded(_record(generator, settings, seed=seed), run / RECORD):
        decoded = generator.decoder_.decode(codes, n_corrections=CORRECTIONS_OF_NEW)
        made = decoded.clamp(0, 1).cpu()
        metrics: dict[str, Any] = {
            "n": n_images,
            "prior": prior,
            "round_trip": round_trip(generator, codes, decoded),
            "active": active_share(generator, codes),
        }
        tensors = {"samples": made, "codes": codes}
        if training is not None:
            distances, indices = nearest_images(made, training)
            metrics["distance_to_nearest_training_image"] = float(distances.mean())
            tensors |= {"nearest_training_index": indices, "nearest_training_distance": distances}
        _finish(run, tensors, settings, seed, metrics)
        kind = "by the fitted prior" if prior == "fitted" else "taken as codes"
        draw_generated(run / FIGURE, made, title=f"New images: white noise {kind}", training=training)
    return metrics


def interpolate_to(
    generator: ImageGenerator,
    out: str | os.PathLike[str],
    *,
    images: torch.Tensor | None = None,
    n_pairs: int = 6,
    steps: int = 12,
    path: Way = "noise",
    animation: str = "gif",
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Make the images between others; the folder gets samples.h5, figure.png, an animation and run.json.

    Parameters
    ----------
    generator : ImageGenerator
    out : path-like
    images : torch.Tensor (n, C, H, W), optional
        Pairs are drawn from them, no image twice, or are the two that there are; by default from new images.
    n_pairs : int
        At most as many as half the images.
    steps : int
        Images a way, both ends among them.
    path : {"noise", "codes"}
        See `ImageGenerator.interpolate`.
    animation : {"gif", "webp"}
    seed : int
        Of the pairs, or of the new images.
    overwrite : bool

    Returns
    -------
    Path
        The animation.

    Raises
    ------
    FileExistsError
        If ``out`` is not empty and ``overwrite`` is not given.
    TypeError, ValueError
        If an argument is out of range, or there are not two images.
    """
    integer("n_pairs", n_pairs, minimum=1)
    integer("steps", steps, minimum=2)
    if animation not in ("gif", "webp"):
        fail("animation", "be 'gif' or 'webp'", animation)
    if images is None:
        ends = generator.generate(2 * n_pairs, seed=seed)
    else:
        if len(images) < 2:
            fail("images", "be two at least", len(images))
        order = torch.arange(2)
        if len(images) > 2:
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        ends = as_float(images[order[: 2 * min(n_pairs, len(images) // 2)]])
    a, b = ends[0::2], ends[1::2]
    generator.encode(a[:1])  # checks the images before a folder is made
    file = f"animation.{animation}"
    run = _open(out, (SAMPLES, FIGURE, RECORD, "animation.gif", "animation.webp"), overwrite)
    settings = {"n_pairs": len(a), "steps": steps, "path": path}
    with recorded(_record(generator, settings, seed=seed), run / RECORD):
        ways = generator.interpolate(a, b, steps=steps, path=path).cpu()
        tensors = {"interpolations": ways, "first": a, "last": b}
        _finish(run, tensors, settings, seed, None)
        originals = None if images is None else (a[:_DRAWN_PAIRS], b[:_DRAWN_PAIRS])
        what = "one new image" if images is None else "one image"
        draw_interpolations(run / FIGURE, ways[:_DRAWN_PAIRS], originals, title=f"From {what} to another")
        write_animation(run / file, generator.interpolate(a[:6], b[:6], steps=max(24, steps), path=path))
    return run / file


def _open(out: str | os.PathLike[str], files: Collection[str], overwrite: bool) -> RunFolder:
    return open_run(out, files=files, checkpoint="", overwrite=overwrite)


def _record(generator: ImageGenerator, settings: Mapping[str, Any], *, seed: int) -> RunRecord:
    model = {"model": generator.training_.get("data", {}), "parameters": generator.settings}
    return RunRecord(settings={**settings, **model}, seed=seed, device=str(generator.device), dtype="float32")


def _finish(
    run: RunFolder,
    tensors: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
    seed: int,
    metrics: dict[str, Any] | None,
) -> None:
    write_made(run / SAMPLES, tensors, settings=settings, seed=seed)
    if metrics is not None:
        write_json(run / METRICS, metrics)
