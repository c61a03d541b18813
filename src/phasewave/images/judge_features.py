"""The features in which sets of images are compared: principal components of log-scattering."""

from __future__ import annotations

import torch

from phasewave.checks import fail, integer
from phasewave.images.image_batches import BATCH_SIZE, as_float, check_images, draw, float_batches
from phasewave.images.principal_axes import principal_axes
from phasewave.scattering.planar import Scattering2D


class JudgeFeatures:
    r"""Leading principal components of the logarithm of scattering coefficients.

    .. math::

        f(x) = \frac{1}{\sqrt{\lambda_1}} V^T \left( \log\left(S x + \epsilon \bar S\right) - m \right)

    S: orders 0 to 2 of each colour plane at every output position (reflecting border; positions stay features of
    their own, so the layout counts); :math:`\bar S` the mean of each channel over images and positions; m and V
    the mean and the leading principal axes (not whitened) and :math:`\lambda_1` the largest variance along them,
    all of training images. So the unit of a distance is the training images' deviation along their first axis:
    nothing changes if all images are multiplied by a number, or the logarithm's base is changed. None of this
    is learnt with any model, nor shared with the encoder.

    Parameters
    ----------
    train_images : torch.Tensor (n, C, H, W)
        Float of values in [0, 1], or uint8. More than ``n_components`` of them.
    n_components : int
    n_scales, n_angles : int
        Of the scattering.
    fraction : float
        The :math:`\epsilon` of the equation: keeps the logarithm of a vanishing coefficient finite.
    n_fit : int
        At most so many training images, drawn by ``seed``, are used to find m and V.
    seed : int

    Attributes
    ----------
    explained : float
        Share of the log-scattering's variance (over the images fitted) that the components hold.

    Raises
    ------
    TypeError, ValueError
        If the images or a parameter are out of range, or the images do not differ.

    Notes
    -----
    The axes come from one pass over the images in batches of 250: a running basis of 256 axes is merged with
    each batch and cut again (Ross et al. 2008), exact up to what falls below the 256th axis.
    Cost: a scattering of each image; memory 500 rows of features (5184 at grey 32 x 32, 62208 at colour 64 x 64).
    """

    _KEPT = 256

    def __init__(
        self,
        train_images: torch.Tensor,
        *,
        n_components: int = 64,
        n_scales: int = 2,
        n_angles: int = 8,
        fraction: float = 0.01,
        n_fit: int = 4000,
        seed: int = 0,
    ) -> None:
        integer("n_components", n_components, minimum=1, maximum=self._KEPT)
        integer("n_fit", n_fit, minimum=n_components + 1)
        check_images("train_images", train_images, minimum=n_components + 1)
        if not 0 < fraction < 1:
            fail("fraction", "lie between 0 and 1", fraction)
        self.n_components = n_components
        self._like = train_images.new_empty(0, *train_images.shape[1:])  # a slice would keep the whole set
        height, width = train_images.shape[-2:]
        self.scattering = Scattering2D((height, width), n_scales=n_scales, n_angles=n_angles)
        self.scattering.to(train_images.device)
        chosen = draw(train_images, n_fit, seed=seed)
        sample = self._scatter(as_float(draw(chosen, 4 * BATCH_SIZE, seed=seed)))
        means = sample.mean((0, -2, -1), keepdim=True, dtype=torch.float64)[0]
        tiny = torch.finfo(torch.float32).tiny
        self._offset = (fraction * means).clamp_min(tiny).float()
        rows = (self._logarithms(batch) for batch in float_batches(chosen))
        found = principal_axes(rows, kept=self._KEPT)
        if len(found.variances) < n_components:
            fail("train_images", f"vary in {n_components} directions at least", len(found.variances))
        self._mean = found.mean
        self._matrix = found.axes[:, :n_components] / found.variances[0].sqrt()
        self.explained = float(found.variances[:n_components].sum()) / found.total

    def __call__(self, images: torch.Tensor, *, name: str = "images") -> torch.Tensor:
        """Return the features, float64 ``(n, n_components)``.

        Parameters
        ----------
        images : torch.Tensor (n, C, H, W)
            Of the training images' shape; float of values in [0, 1], or uint8.
        name : str
            What to call them in messages.

        Raises
        ------
        TypeError, ValueError
            If they are not such images.
        """
        check_images(name, images, like=self._like, minimum=0)
        parts = [(self._logarithms(batch) - self._mean) @ self._matrix for batch in float_batches(images)]
        return torch.cat(parts)

    @torch.no_grad()
    def _scatter(self, images: torch.Tensor) -> torch.Tensor:
        parts = [self.scattering(part.float()) for part in images.split(BATCH_SIZE)]
        return torch.cat(parts)

    def _logarithms(self, images: torch.Tensor) -> torch.Tensor:
        values = self._scatter(images).clamp_min(0) + self._offset  # the pooling may undershoot 0 a little
        return values.log().flatten(1).double()
