"""What a generator is measured by: the content of metrics.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from phasewave.images.decoder import CORRECTIONS_OF_NEW
from phasewave.images.evaluation import DEFINITIONS, ImageJudge
from phasewave.images.gaussianity import gaussianity
from phasewave.images.generator import PRIORS, ImageGenerator
from phasewave.images.image_batches import as_float, draw
from phasewave.images.metrics import psnr, ssim

FEWEST_TRAIN, FEWEST_TEST = 65, 10
"""Images that the measures of generated images need."""
_MOST = 1000  # generated images
_TRAIN = 500  # training images reconstructed
_LAWS = 500  # codes whose noise is found

OWN_DEFINITIONS = {
    "psnr_linear": "of the linear decoder (ridge regression of images on codes), test images",
    "active": "share of the entries of the sparse codes of test images that are not 0",
    "round_trip": "mean over images of |L U x - w| / |w|: the code of the decoded image against the code decoded",
    "codes": "Gaussianity of w of test images: as it is, and after the prior's map to noise; see "
    "phasewave.images.gaussianity",
    "generated": "fitted: codes from the fitted prior; white: white noise as codes; test codes: codes of test "
    "images, their reconstructions",
}


@dataclass(frozen=True)
class CodeLaws:
    """Codes of images that were not learnt from, and the noise that the prior makes of them.

    Attributes
    ----------
    codes, noise : torch.Tensor (n, d)
        Their part ``w``, on the CPU; n at most 500.
    """

    codes: torch.Tensor
    noise: torch.Tensor

    @staticmethod
    def of(generator: ImageGenerator, test: torch.Tensor) -> CodeLaws:
        """Find them for images (n, C, H, W)."""
        d = generator.encoder_.code_dim
        codes = generator.encode(draw(test, _LAWS, seed=0))
        return CodeLaws(codes[:, :d].cpu(), generator.prior_.noise(codes)[:, :d].cpu())


def describe_parts(
    generator: ImageGenerator, test: torch.Tensor, laws: CodeLaws
) -> tuple[dict[str, Any], torch.Tensor]:
    """Measure what needs no judge: reconstruction, sparsity, round trip, laws of the codes.

    Parameters
    ----------
    generator : ImageGenerator
        Fitted.
    test : torch.Tensor (n, C, H, W)
        Images that it has not learnt from, at least two.
    laws : CodeLaws
        Of these images.

    Returns
    -------
    measures : dict
        JSON-able; see `OWN_DEFINITIONS`.
    reconstructions : torch.Tensor (n, C, H, W)
        On the CPU, in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If the images do not fit.
    """
    codes = generator.encode(test)
    decoded = generator.decoder_.decode(codes)
    made = decoded.clamp(0, 1).cpu()
    linear = generator.decoder_.linear(codes).clamp(0, 1).cpu()
    originals = as_float(test).cpu()
    found: dict[str, Any] = {
        "psnr": float(psnr(made, originals).mean()),
        "psnr_linear": float(psnr(linear, originals).mean()),
        "active": active_share(generator, codes),
        "round_trip": {"reconstructed": round_trip(generator, codes, decoded)},
        "codes": {
            "as they are": asdict(gaussianity(laws.codes)),
            "after the prior's map": asdict(gaussianity(laws.noise)),
        },
    }
    if min(originals.shape[-2:]) >= 11:
        found["ssim"] = float(ssim(made, originals).mean())
    return found, made


def measure(
    generator: ImageGenerator,
    train: torch.Tensor,
    test: torch.Tensor,
    laws: CodeLaws,
    *,
    seed: int = 0,
    judge: ImageJudge | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure a generator on images it has not learnt from, and against those that it has.

    Parameters
    ----------
    generator : ImageGenerator
        Fitted.
    train, test : torch.Tensor (n, C, H, W)
        Images; below 65 and 10 of them only `describe_parts` is measured.
    laws : CodeLaws
        Of ``test``.
    seed : int
        Of the images generated.
    judge : ImageJudge, optional
        Of the same images, made before.
    progress : callable, optional
        Told in words what begins.

    Returns
    -------
    dict
        JSON-able: ``model`` (`describe_parts`, with ``psnr_train``), and, of enough images, ``n``, ``floor``,
        ``generated`` by prior and ``definitions``.
    """

    def say(words: str) -> None:
        if progress is not None:
            progress(words)

    say("reconstructions and codes")
    model, made = describe_parts(generator, test, laws)
    found: dict[str, Any] = {"n_train": len(train), "n_test": len(test), "model": model}
    some = draw(train, _TRAIN, seed=seed)
    model["psnr_train"] = float(psnr(generator.reconstruct(some).cpu(), as_float(some).cpu()).mean())
    found["definitions"] = {**OWN_DEFINITIONS}
    if judge is None and enough(train, test):
        say("real images among themselves")
        judge = ImageJudge(train, test, n_images=min(len(train), len(test), _MOST), seed=seed)
    if judge is not None:
        found |= {"n": judge.n_images, "floor": judge.floor, "generated": {}}
        found["definitions"] = {**DEFINITIONS, **OWN_DEFINITIONS}
    for prior in PRIORS:
        say(f"new images, {prior}")
        codes = generator.draw_codes(_TRAIN if judge is None else judge.n_images, seed=seed, prior=prior)
        decoded = generator.decoder_.decode(codes, n_corrections=CORRECTIONS_OF_NEW)
        model["round_trip"][prior] = round_trip(generator, codes, decoded)
        if judge is not None:
            found["generated"][prior] = judge.generated(decoded.clamp(0, 1).cpu())
    if judge is not None:
        say("reconstructions among real images")
        found["generated"]["test codes"] = judge.reconstructed(made)
    return found


def enough(train: torch.Tensor, test: torch.Tensor) -> bool:
    """Say whether there are images enough to judge generated ones."""
    return len(train) >= FEWEST_TRAIN and len(test) >= FEWEST_TEST


def round_trip(generator: ImageGenerator, codes: torch.Tensor, decoded: torch.Tensor) -> float:
    """Return the mean of ``|L U x - w| / |w|`` over codes ``w`` and the images ``x`` decoded from them, uncut."""
    d = generator.encoder_.code_dim
    again = generator.encode(decoded)
    wanted = codes[:, :d].to(again)
    return float(((again[:, :d] - wanted).norm(dim=1) / wanted.norm(dim=1)).mean())


def active_share(generator: ImageGenerator, codes: torch.Tensor) -> float:
    """Return the share of the entries of the sparse codes that are not 0."""
    return float((generator.decoder_.sparse_codes(codes) != 0).float().mean())


def summary(metrics: dict[str, Any]) -> list[list[str]]:
    """Return the rows, the heads first, of a table of what `measure` found."""
    model = metrics["model"]
    before, after = model["codes"]["as they are"], model["codes"]["after the prior's map"]
    rows = [
        ["measure", "value", "beside"],
        [
            "PSNR, test",
            f"{model['psnr']:.2f} dB",
            f"training {model['psnr_train']:.2f}, linear {model['psnr_linear']:.2f}",
        ],
        ["active patterns", f"{100 * model['active']:.1f} %", ""],
        ["code of a reconstruction, relative error", f"{model['round_trip']['reconstructed']:.3f}", ""],
        [
            "code of a new image, relative error",
            f"{model['round_trip']['fitted']:.3f}",
            f"of white noise {model['round_trip']['white']:.3f}",
        ],
        [
            "kurtosis of the noise behind codes",
            f"{after['kurtosis']:.2f}",
            f"of codes {before['kurtosis']:.2f}, normal 3",
        ],
        [
            "spread of its norm, of a normal law's",
            f"{after['norm_spread'] / after['norm_spread_gaussian']:.2f}",
            f"of codes' {before['norm_spread'] / before['norm_spread_gaussian']:.2f}",
        ],
    ]
    if "generated" not in metrics:
        return rows
    new, white, test = (metrics["generated"][key] for key in ("fitted", "white", "test codes"))
    floor = metrics["floor"]
    rows += [
        [
            f"Frechet distance of {metrics['n']:,} new images",
            f"{new['frechet']:.3f}",
            f"white noise {white['frechet']:.3f}, test codes {test['frechet']:.3f}, real {floor['frechet']:.3f}",
        ],
        *(
            [
                [
                    "the same in the layer of a classifier",
                    f"{new['frechet_classes']:.3f}",
                    f"white noise {white['frechet_classes']:.3f}, test codes {test['frechet_classes']:.3f}, "
                    f"real {floor['frechet_classes']:.3f}",
                ]
            ]
            if "frechet_classes" in new
            else []
        ),
        [
            "recall, coverage",
            f"{new['recall']:.2f}, {new['coverage']:.2f}",
            f"real {floor['recall']:.2f}, {floor['coverage']:.2f}",
        ],
        ["distance to training images, of test images'", f"{new['memorisation_pixels']:.2f}", "copies 0"],
    ]
    return rows
