"""Measures by nearest neighbours: precision, recall, density, coverage, and how near to the training images."""

from __future__ import annotations

import torch

from phasewave.checks import fail, integer
from phasewave.images.image_batches import as_float, check_images

_ROWS = 1024
_IMAGES = 4096


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


def nearest_images(images: torch.Tensor, among: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nearest neighbour of each image in another set, after `contrast_rows`; the other set goes by in batches.

    Parameters
    ----------
    images, among : torch.Tensor (n, C, H, W), (m, C, H, W)
        Float of values in [0, 1], or uint8; of one shape.

    Returns
    -------
    distances : torch.Tensor (n,)
        Root mean square per pixel value, float64: 0 for a copy, at most 2.
    indices : torch.Tensor (n,)
        Which of ``among``.

    Raises
    ------
    TypeError, ValueError
        If they are not such images.
    """
    check_images("images", images)
    check_images("among", among, like=images)
    rows = contrast_rows(images)
    least = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=rows.device)
    indices = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    for start in range(0, len(among), _IMAGES):
        distances, found = nearest(rows, contrast_rows(among[start : start + _IMAGES]))
        closer = distances < least
        least[closer], indices[closer] = distances[closer], found[closer] + start
    return least / rows.shape[1] ** 0.5, indices


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


def memorisation_ratio(distances: torch.Tensor, test_distances: torch.Tensor) -> float:
    """Mean distance of generated samples to their nearest training sample, over that of test samples.

    About 1 where a new sample is as far from the training set as other real samples are, 0 for copies.

    Parameters
    ----------
    distances, test_distances : torch.Tensor (n,), (m,)
        By `nearest` or `nearest_images`.

    Raises
    ------
    ValueError
        If the test samples are copies of training samples themselves.
    """
    reference = float(test_distances.mean())
    if not reference > 0:
        fail("test_distances", "not be those of copies of training samples", f"a mean of {reference}")
    return float(distances.mean()) / reference


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
