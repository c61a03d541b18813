"""Variables in which all scales of a field converge alike: the preconditioner of the sampler."""

from __future__ import annotations

import torch

from phasewave.checks import fail
from phasewave.turbulence.gaussian import GaussianModel


class SpectralPreconditioner:
    r"""The linear map from variables v to fields x that makes moments of every scale equally steep.

    .. math:: x = F^{-1} ( A\, F v ), \qquad
              A(\omega)^2 = \max\big( |\omega|^{2a} \bar S(|\omega|),\; f \max |\omega|^{2a} \bar S \big),

    with S-bar the mean of the target's power spectrum over shells of one frequency spacing. White noise of
    unit variance coloured by S-bar^{1/2} alone has the target's spectrum, but a mean over space, standardised
    by the target, of a scale of N ~ \|omega\|^2 modes has a squared gradient ~ 1 / N in that noise: the fine
    scales would move slowest. The factor \|omega\|^a makes it the same for all: with a = 1 if all moments have
    one weight, a = 1/2 if those of a scale weigh N^{1/2} (`scale_weights`).

    The map is symmetric, so it also takes a gradient in x to the gradient in v. At the zero frequency A is that
    of the first shell.

    Parameters
    ----------
    model : GaussianModel
        The target's spectrum.
    exponent : float
        a, at least 0.
    floor : float
        f, which bounds the amplification: scales with less of the power than this share of the strongest are
        treated as if they had it. Noise of the solver enters them in proportion.

    Raises
    ------
    ValueError
        If ``floor`` is not in (0, 1], or ``exponent`` negative.
    """

    def __init__(self, model: GaussianModel, *, exponent: float, floor: float = 1e-9) -> None:
        if not 0.0 < floor <= 1.0:
            fail("floor", "be in (0, 1]", floor)
        if not exponent >= 0.0:
            fail("exponent", "be >= 0", exponent)
        self.shape = model.shape
        power = model.spectrum
        axes = [torch.fft.fftfreq(n, dtype=power.dtype, device=power.device) for n in self.shape]
        radius = torch.hypot(axes[0][:, None], axes[1])
        shell = (radius * min(self.shape)).round().long().clamp(min=1)
        sums = torch.zeros(int(shell.max()) + 1, dtype=power.dtype, device=power.device)
        present = (radius > 0).to(power)
        counts = sums.index_add(0, shell.flatten(), present.flatten())
        means = sums.index_add(0, shell.flatten(), (power * present).flatten()) / counts.clamp(min=1.0)
        octave = means * torch.arange(len(means), dtype=power.dtype, device=power.device) ** (2 * exponent)
        amplitude = (octave / octave.max()).clamp(min=floor).sqrt()[shell]
        self.amplitude = amplitude[:, : self.shape[1] // 2 + 1]

    def fields(self, variables: torch.Tensor) -> torch.Tensor:
        """Return x for variables v (..., H, W), or the gradient in v for that in x; two FFTs each."""
        return self._filtered(variables, self.amplitude)

    def variables(self, fields: torch.Tensor) -> torch.Tensor:
        """Return v for fields x (..., H, W), the inverse of `fields`; two FFTs each."""
        return self._filtered(fields, self.amplitude.reciprocal())

    def _filtered(self, x: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * amplitude.to(x), s=self.shape)
