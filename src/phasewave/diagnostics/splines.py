"""Networks seen as affine splines: templates, offsets and codes of the region of an input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from phasewave.checks import fail, real_field
from phasewave.diagnostics.pieces import PIECEWISE, check_evaluation, layers_of, on_piece, piece

Codes = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class AffineMap:
    r"""The affine map :math:`A x + b` that a network is on the region of each of n inputs.

    Attributes
    ----------
    templates : torch.Tensor (n, C, ...)
        A: row c is the template of class c, of the shape of an input; the gradient of output c.
    offsets : torch.Tensor (n, C)
        b.
    """

    templates: torch.Tensor
    offsets: torch.Tensor

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Return A x + b (n, C) of inputs (n, ...), each by its own map."""
        return torch.einsum("ncp,np->nc", self.templates.flatten(2), x.flatten(1)) + self.offsets


class AffineSpline:
    r"""The affine-spline view of a network of affine layers, rectifiers and maximum poolings.

    On the region Q of an input the network is affine, :math:`f(x) = A_Q x + b_Q`, with

    .. math::
        A = \prod_l A_l, \qquad b = \sum_l \Big(\prod_{m > l} A_m\Big) b_l.

    Parameters
    ----------
    network : torch.nn.Sequential
        Of Linear, Conv2d, batch normalisation (evaluation mode), average and maximum pooling, Flatten, Unflatten,
        Dropout (evaluation mode), ReLU, LeakyReLU (slope -1: the modulus), PReLU, Hardtanh, ReLU6; nested
        sequences too. Its outputs are read as (n, C).

    Raises
    ------
    TypeError
        If it is not such a network.

    Notes
    -----
    A and b are found in two independent ways: A by derivatives of the network itself, b by replaying the region's
    code at 0. So A x + b = f(x) tests both (relative 1e-15 in float64).

    References
    ----------
    Balestriero, Baraniuk, "A spline theory of deep learning", ICML 2018.

    Examples
    --------
    >>> network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> x = torch.randn(5, 2)
    >>> affine = AffineSpline(network).affine(x)
    >>> torch.allclose(affine.apply(x), network(x), atol=1e-6)
    True
    """

    def __init__(self, network: nn.Sequential) -> None:
        self.network = network
        self._layers = layers_of(network)

    def codes(self, x: torch.Tensor) -> Codes:
        """Code of the region of each input: the piece of every unit.

        Parameters
        ----------
        x : torch.Tensor (n, ...)

        Returns
        -------
        tuple of torch.Tensor (n, K_l)
            int64, one for each non-linearity: 0 or 1 for rectifiers, positions of maxima for poolings.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not real, or the network is in training mode.

        Notes
        -----
        Cost: one pass.
        """
        self._check(x)
        found = []
        with torch.no_grad():
            for layer in self._layers:
                if isinstance(layer, PIECEWISE):
                    code = piece(layer, x)
                    found.append(code.flatten(1))
                    x = on_piece(layer, x, code)
                else:
                    x = layer(x)
        return tuple(found)

    def replay(self, x: torch.Tensor, codes: Codes) -> torch.Tensor:
        """The affine map of given regions at any inputs, whatever the regions of these are.

        Parameters
        ----------
        x : torch.Tensor (n, ...)
        codes : tuple of torch.Tensor (n, K_l)
            By `codes`, of the same number of inputs.

        Returns
        -------
        torch.Tensor (n, C)

        Raises
        ------
        TypeError, ValueError
            If the codes are not of this network and number of inputs.

        Notes
        -----
        Cost: one pass, differentiable.
        """
        self._check(x)
        n_codes = sum(isinstance(layer, PIECEWISE) for layer in self._layers)
        if len(codes) != n_codes or any(len(code) != len(x) for code in codes):
            fail("codes", f"be {n_codes} tensors of {len(x)} rows", [tuple(code.shape) for code in codes])
        remaining = iter(codes)
        for layer in self._layers:
            if isinstance(layer, PIECEWISE):
                code = next(remaining)
                # A pooling's code lives on its output grid, a rectifier's on its input's.
                shape = piece(layer, x.detach()).shape if isinstance(layer, nn.MaxPool2d) else x.shape
                x = on_piece(layer, x, code.view(shape))
            else:
                x = layer(x)
        return x.flatten(1)

    def templates(self, x: torch.Tensor, *, create_graph: bool = False) -> torch.Tensor:
        """Slopes A of the region of each input, by derivatives of the network.

        Parameters
        ----------
        x : torch.Tensor (n, ...)
        create_graph : bool
            Whether A can be differentiated by the weights, for a penalty in training.

        Returns
        -------
        torch.Tensor (n, C, ...)

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not real, or the network is in training mode.

        Notes
        -----
        Cost: one pass forward and C backward.
        """
        self._check(x)
        with torch.enable_grad():
            start = x.detach().requires_grad_()
            outputs = self.network(start * 1).flatten(1)  # a rectifier may work in place: not on the leaf
            rows = [
                torch.autograd.grad(outputs[:, c].sum(), start, retain_graph=True, create_graph=create_graph)[0]
                for c in range(outputs.shape[1])
            ]
        return torch.stack(rows, 1)

    def offsets(self, x: torch.Tensor) -> torch.Tensor:
        """Offsets b (n, C) of the region of each input: its code replayed at 0. Two passes; errors of `codes`."""
        with torch.no_grad():
            return self.replay(torch.zeros_like(x), self.codes(x))

    def affine(self, x: torch.Tensor) -> AffineMap:
        """The affine map of the region of each input; cost and errors of `templates` and `offsets`."""
        return AffineMap(self.templates(x), self.offsets(x))

    def _check(self, x: torch.Tensor) -> None:
        real_field("x", x)
        if x.ndim < 2:
            fail("x", "have the shape (n, ...)", tuple(x.shape))
        check_evaluation(self._layers)


def template_penalty(templates: torch.Tensor, *, strength: float = 1.0) -> torch.Tensor:
    r"""Penalty on templates that are not orthogonal.

    .. math::
        \lambda\, \mathrm{mean}_{a \ne c} \langle A_a, A_c \rangle^2.

    Parameters
    ----------
    templates : torch.Tensor (C, p) or (n, C, ...)
        Rows of the last linear layer, or the templates of n inputs (then the mean is over inputs too).
    strength : float
        lambda >= 0; 1/3, 2/3 and 1 are usual.

    Returns
    -------
    torch.Tensor ()
        Differentiable; 0 for orthogonal templates.

    Raises
    ------
    TypeError, ValueError
        If shapes or ``strength`` are wrong.

    Notes
    -----
    Cost: n C^2 p. Source: Balestriero and Baraniuk 2018, section on orthogonal templates.
    """
    real_field("templates", templates)
    if not strength >= 0:
        fail("strength", "be >= 0", strength)
    if templates.ndim < 2:
        fail("templates", "have the shape (C >= 2, p) or (n, C >= 2, ...)", tuple(templates.shape))
    rows = templates[None] if templates.ndim == 2 else templates.flatten(2)
    n_classes = rows.shape[1]
    if n_classes < 2:
        fail("templates", "have the shape (C >= 2, p) or (n, C >= 2, ...)", tuple(templates.shape))
    products = (rows @ rows.mT).square()
    others = products.sum((1, 2)) - products.diagonal(dim1=1, dim2=2).sum(1)
    return strength * (others / (n_classes * (n_classes - 1))).mean()
