"""Neural collapse: how near features and classifier are to a simplex of class means."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from phasewave.checks import fail, integer, real_dtype, real_field
from phasewave.diagnostics.representations import check_labelled


@dataclass(frozen=True)
class Simplicity:
    """How near C vectors are to equal norms and to the angles of a simplex; 0, 0, 0 on a simplex.

    Attributes
    ----------
    norm_variation : float
        Standard deviation of the norms over their mean (equal norms).
    cosine_deviation : float
        Standard deviation of the cosines of pairs (equal angles).
    cosine_gap : float
        Mean of |cosine + 1 / (C - 1)| over pairs (angles as wide as they can be).
    """

    norm_variation: float
    cosine_deviation: float
    cosine_gap: float


@dataclass(frozen=True)
class NeuralCollapse:
    """The four measures; those that need a classifier or test features are None without them.

    Attributes
    ----------
    variability : float
        NC1.
    means : Simplicity
        NC2 of the class means about their mean.
    weights : Simplicity or None
        NC2 of the rows of the classifier.
    duality : float or None
        NC3, between 0 and 4.
    disagreement : float or None
        NC4, between 0 and 1.
    """

    variability: float
    means: Simplicity
    weights: Simplicity | None
    duality: float | None
    disagreement: float | None

    def record(self) -> dict[str, object]:
        """Return the figures as plain values for a JSON file."""
        return asdict(self)


def neural_collapse(
    features: torch.Tensor,
    labels: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    test_features: torch.Tensor | None = None,
) -> NeuralCollapse:
    r"""Neural collapse NC1-NC4 of training features and a linear classifier, in float64.

    With class means :math:`\mu_c`, their mean :math:`\mu_G`, :math:`\dot M = [\mu_c - \mu_G]_c`,
    :math:`\Sigma_B = \dot M \dot M^T / C`, :math:`\Sigma_W = \mathrm{Ave}_i\, r_i r_i^T` of the residues
    :math:`r_i = h_i - \mu_{c_i}`:

    .. math::
        \mathrm{NC1} = \mathrm{Tr}(\Sigma_W \Sigma_B^+) / C, \qquad
        \mathrm{NC3} = \| W^T / \|W\|_F - \dot M / \|\dot M\|_F \|_F^2,

    NC2: norms and cosines of the :math:`\mu_c - \mu_G` and of the rows :math:`w_c` against a simplex;
    NC4: the share of test features with :math:`\arg\max_c (W h + b)_c \ne \arg\min_c \|h - \mu_c\|`.

    Parameters
    ----------
    features : torch.Tensor (n, p)
        Representations of the training set.
    labels : torch.Tensor (n,)
        Integers 0 to C - 1, each of which occurs; C >= 2.
    weight : torch.Tensor (C, p), optional
        W, of the last linear layer; without it NC2 of the weights, NC3 and NC4 are None.
    bias : torch.Tensor (C,), optional
        b, 0 without it.
    test_features : torch.Tensor (m, p), optional
        For NC4, None without them.

    Returns
    -------
    NeuralCollapse

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes are wrong, a class has no features, or all class means coincide.

    Notes
    -----
    Where classes differ in number, :math:`\mu_G` is the mean of the class means. :math:`\Sigma_B^+` is applied
    through the singular vectors of :math:`\dot M`. Cost: n p C; no p x p matrix. For means
    :math:`\alpha U M^*` of a simplex and :math:`\Sigma_W = s^2 I`, NC1 is :math:`s^2 (C-1)^2 / (C \alpha^2)`.

    References
    ----------
    Papyan, Han, Donoho, "Prevalence of neural collapse during the terminal phase of deep learning training",
    PNAS 117 (2020).
    """
    features, labels = check_labelled("features", features, labels, least=2)
    counts = _class_counts(labels)
    n_classes, width = len(counts), features.shape[1]
    sums = features.new_zeros(n_classes, width).index_add_(0, labels, features)
    means = sums / counts[:, None]
    centred = means - means.mean(0)
    if not float(centred.norm()) > 0:
        fail("features", "have class means that differ", "one mean for all classes")
    variability = _variability(features - means[labels], centred)
    rows = None if weight is None else _check_matrix("weight", weight, (n_classes, width), features)
    if rows is None:
        if bias is not None or test_features is not None:
            fail("weight", "be given with `bias` or `test_features`", None)
        return NeuralCollapse(variability, simplicity(centred), None, None, None)
    if not float(rows.norm()) > 0:
        fail("weight", "have entries that are not 0", "only 0")
    duality = float((rows / rows.norm() - centred / centred.norm()).square().sum())
    disagreement = None
    if test_features is not None:
        test = _check_matrix("test_features", test_features, (None, width), features)
        scores = test @ rows.mT
        if bias is not None:
            scores = scores + _check_matrix("bias", bias, (n_classes,), features)
        # The nearest mean, about the mean of means: without the common part of the norms nothing cancels.
        origin = means.mean(0)
        nearest = (centred.square().sum(1) - 2 * (test - origin) @ centred.mT).argmin(1)
        disagreement = float((scores.argmax(1) != nearest).double().mean())
    return NeuralCollapse(variability, simplicity(centred), simplicity(rows), duality, disagreement)


def simplicity(vectors: torch.Tensor) -> Simplicity:
    """Compare C vectors with a simplex: norms and cosines of pairs (NC2).

    Parameters
    ----------
    vectors : torch.Tensor (C, p)
        C >= 2; centred already where they are class means.

    Returns
    -------
    Simplicity

    Raises
    ------
    TypeError, ValueError
        If it is not such a tensor.

    Notes
    -----
    Cost: C^2 p, in float64. Source: Papyan, Han, Donoho 2020.
    """
    real_field("vectors", vectors)
    if vectors.ndim != 2 or len(vectors) < 2:
        fail("vectors", "have the shape (C >= 2, p)", tuple(vectors.shape))
    vectors = vectors.detach().double()
    norms = vectors.norm(dim=1)
    units = vectors / norms.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    pairs = torch.ones(len(vectors), len(vectors), dtype=torch.bool, device=vectors.device).triu(1)
    cosines = (units @ units.mT)[pairs]
    return Simplicity(
        norm_variation=float(norms.std(correction=0) / norms.mean()),
        cosine_deviation=float(cosines.std(correction=0)),
        cosine_gap=float((cosines + 1 / (len(vectors) - 1)).abs().mean()),
    )


def simplex_frame(n_classes: int, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    r"""Simplex equiangular tight frame :math:`M^* = \sqrt{C / (C - 1)}\,(I - 1 1^T / C)`.

    Parameters
    ----------
    n_classes : int
        C >= 2.
    dtype : torch.dtype
        float32 or float64.

    Returns
    -------
    torch.Tensor (C, C)
        Rows (and columns) of norm 1 whose cosines are -1 / (C - 1).

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of range.

    Notes
    -----
    Cost: C^2. Source: Papyan, Han, Donoho 2020.
    """
    integer("n_classes", n_classes, minimum=2)
    real_dtype("dtype", dtype)
    plain = torch.eye(n_classes, dtype=torch.float64) - 1 / n_classes
    return ((n_classes / (n_classes - 1)) ** 0.5 * plain).to(dtype)


def _variability(residues: torch.Tensor, centred: torch.Tensor) -> float:
    # Sigma_B = V diag(s^2 / C) V^T with the rows of V^T those of `directions`; Sigma_B has rank C - 1 at most.
    n_classes = len(centred)
    _, values, directions = torch.linalg.svd(centred, full_matrices=False)
    values, directions = values[: n_classes - 1], directions[: n_classes - 1]
    limit = values[0] * max(centred.shape) * torch.finfo(torch.float64).eps
    kept = values > limit
    spread = (residues @ directions[kept].mT).square().mean(0)
    # Tr(Sigma_W Sigma_B^+) / C = sum_k spread_k (C / s_k^2) / C
    return float((spread / values[kept].square()).sum())


def _class_counts(labels: torch.Tensor) -> torch.Tensor:
    if int(labels.min()) < 0:
        fail("labels", "be integers >= 0", int(labels.min()))
    counts = torch.bincount(labels)
    if len(counts) < 2 or not bool(counts.all()):
        missing = (counts == 0).nonzero().flatten().tolist()
        fail("labels", "be 0 to C - 1 >= 1, each occurring", f"C = {len(counts)}, without {missing}")
    return counts.double()


def _check_matrix(
    name: str, given: torch.Tensor, shape: tuple[int | None, ...], like: torch.Tensor
) -> torch.Tensor:
    real_field(name, given)
    fits = given.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, given.shape, strict=True))
    if not fits or given.numel() == 0:
        fail(name, f"have the shape {tuple('m' if n is None else n for n in shape)}", tuple(given.shape))
    return given.detach().to(like)
