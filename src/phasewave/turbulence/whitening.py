"""White-noise variables for fields of a given radial spectrum: the preconditioner of the sampler."""

from __future__ import annotations

import torch

from phasewave.turbulence.gaussian import GaussianModel


class SpectralWhitening:
    r"""The linear map between fields x and white-noise variables w.

    .. math:: x = F^{-1} \big( P^{1/2}\, F w \big), \qquad P(\omega) = \max(\bar S(|\omega|), f \max \bar S),

    with S-bar the mean of the target's power spectrum over shells of one frequency spacing: every scale then
    weighs alike in w, and a descent in w moves all scales at once. The map is symmetric, so it also takes a
    gradient in x to the gradient in w. The zero frequency, where the spectrum about the mean has nothing,
    gets the power of the first shell.

    Parameters
    ----------
    model : GaussianModel
        The target's spectrum.
    floor : float
        f: scales with less power than this share of the strongest shell's are amplified only so far.

    Raises
    ------
    ValueError
        If ``floor`` is not in (0, 1].
    """

    def __init__(self, model: GaussianModel, *, floor: float = 1e-10) -> None:
        if not 0.0 < floor <= 1.0:
            raise ValueError(f"`floor` must be in (0, 1], got {floor!r}")
        self.shape = model.shape
        power = model.spectrum
        axes = [torch.fft.fftfreq(n, dtype=torch.float64, device=power.device) for n in self.shape]
        radius = torch.hypot(axes[0][:, None], axes[1])
        shell = (radius * min(self.shape)).round().long().clamp(min=1)
        sums = torch.zeros(int(shell.max()) + 1, dtype=power.dtype, device=power.device)
        counts = sums.index_add(0, shell.flatten(), (radius > 0).to(power).flatten())
        means = sums.index_add(0, shell.flatten(), power.flatten()) / counts.clamp(min=1.0)
        amplitude = means.clamp(min=floor * float(means.max())).sqrt()[shell]
        self.amplitude = amplitude[:, : self.shape[1] // 2 + 1]

    def colour(self, white: torch.Tensor) -> torch.Tensor:
        """Return the fields of white-noise variables (..., H, W); two FFTs each."""
        return self._filtered(white, self.amplitude)

    def whiten(self, fields: torch.Tensor) -> torch.Tensor:
        """Return the variables of fields (..., H, W), the inverse of `colour`; two FFTs each."""
        return self._filtered(fields, self.amplitude.reciprocal())

    def _filtered(self, x: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * amplitude.to(x), s=self.shape)
