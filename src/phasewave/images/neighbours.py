"""Measures by nearest neighbours: precision, recall, density, coverage, and how near to the training images."""

from __future__ import annotations

import torch

from phasewave.checks import fail, integer
from phasewave.images.image_batches import as_float

_ROWS = 1024


def nearest(rows: torch.Tensor, among: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest neighbour of each row in another set.

    Parameters
    ----------
    rows : torch.Tensor (n, d)
    among : torch.Tensor (m, d)

    Returns
    -------
    distances : torch.Tensor (n,)
        Float64, of the pair itself (not through a product of matrices: a copy is at 0).
    indices : torch.Tensor (n,)
        Which of ``among``.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    _check_pair("rows", rows, "among", among, least=1)
    norms = among.square().sum(1)
    indices = torch.cat([(norms - 2 * (part @ among.mT)).argmin(1) for part in rows.split(_ROWS)])
    distances = [
        (part.double() - among[found].double()).norm(dim=1)
        for part, found in zip(rows.split(_ROWS), indices.split(_ROWS), strict=True)
    ]
    return torch.cat(distances), indices


def radii(rows: torch.Tensor, k: int) -> torch.Tensor:
    """Distance (n,) from each row (n, d) to its k-th nearest other row.

    Raises
    ------
    ValueError
        If there are not more than ``k`` rows.
    """
    integer("k", k, minimum=1)
    if len(rows) <= k:
        fail("rows", f"be more than k = {k}", len(rows))
    parts = []
    for start in range(0, len(rows), _ROWS):
        block = _distances(rows[start : start + _ROWS], rows)
        own = torch.arange(len(block), device=rows.device)
        block[own, own + start] = torch.inf
        parts.append(block.kthvalue(k, dim=1).values)
    return torch.cat(parts)


def precision_recall(real: torch.Tensor, generated: torch.Tensor, *, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall.

    Precision: the share of generated rows inside the ball of some real row, whose radius reaches its k-th
    nearest other real row. Recall: the same with the two sets exchanged.

    Parameters
    ----------
    real, generated : torch.Tensor (n, d), (m, d)
        Features; more than ``k`` rows each. Both figures depend on the numbers: keep them equal.
    k : int

    Returns
    -------
    precision, recall : float

    Raises
    ------
    ValueError
        If the shapes do not fit or rows are too few.

    Notes
    -----
    Source: Kynkaanniemi et al. 2019. Cost: the ``(n + m)^2`` distances, in blocks of 1024 rows.
    """
    _check_pair("real", real, "generated", generated, least=2)
    return _inside(generated, real, radii(real, k)), _inside(real, generated, radii(generated, k))


def density_coverage(real: torch.Tensor, generated: torch.Tensor, *, k: int = 5) -> tuple[float, float]:
    """Density and coverage.

    Density: the mean number of real rows' balls that a generated row lies in, over k (about 1 for the same
    law; it may be more). Coverage: the share of real rows whose ball holds a generated row. The balls reach
    the k-th nearest other real row.

    Parameters
    ----------
    real, generated : torch.Tensor (n, d), (m, d)
    k : int

    Returns
    -------
    density, coverage : float

    Raises
    ------
    ValueError
        If the shapes do not fit or rows are too few.

    Notes
    -----
    Source: Naeem et al. 2020.
    """
    _check_pair("real", real, "generated", generated, least=2)
    radius = radii(real, k)
    inside = torch.zeros((), dtype=torch.int64, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for part in generated.split(_ROWS):
        within = _distances(part, real) <= radius
        inside += within.sum()
        covered |= within.any(0)
    return float(inside) / (k * len(generated)), float(covered.double().mean())


def contrast_rows(images: torch.Tensor) -> torch.Tensor:
    """Images as rows of mean 0 and deviation 1, float32: what is left is the picture, not its exposure.

    Parameters
    ----------
    images : torch.Tensor (n, C, H, W)
        A constant image becomes 0.

    Returns
    -------
    torch.Tensor (n, C * H * W)
    """
    rows = as_float(images).flatten(1)
    centred = rows - rows.mean(1, keepdim=True)
    deviation = centred.square().mean(1, keepdim=True).sqrt()
    return (centred / deviation.clamp_min(1e-4)).float()


def memorisation_ratio(train: torch.Tensor, test: torch.Tensor, generated: torch.Tensor) -> float:
    """Mean distance of generated rows to their nearest training row, over that of test rows.

    About 1 where a new sample is as far from the training set as other real samples are, 0 for copies.

    Parameters
    ----------
    train, test, generated : torch.Tensor (n, d), (m, d), (k, d)
        Features, or pixels by `contrast_rows`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the test rows are copies of training rows themselves.
    """
    reference = float(nearest(test, train)[0].mean())
    if not reference > 0:
        fail("test", "not be made of copies of training rows", f"a mean distance of {reference}")
    return float(nearest(generated, train)[0].mean()) / reference


def _distances(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")


def _inside(rows: torch.Tensor, centres: torch.Tensor, radius: torch.Tensor) -> float:
    hits = [(_distances(part, centres) <= radius).any(1) for part in rows.split(_ROWS)]
    return float(torch.cat(hits).double().mean())


def _check_pair(name_a: str, a: torch.Tensor, name_b: str, b: torch.Tensor, *, least: int) -> None:
    for name, rows in ((name_a, a), (name_b, b)):
        if rows.ndim != 2 or len(rows) < least:
            fail(name, f"have the shape (n >= {least}, d)", tuple(rows.shape))
    if a.shape[1] != b.shape[1]:
        fail(name_b, f"have {a.shape[1]} columns as `{name_a}`", b.shape[1])
