"""Two-dimensional turbulence on a periodic box: a pseudo-spectral Navier-Stokes solver.

On the box [0, 2 pi)^2, with y along axis 0 and x along axis 1, the vorticity w = dv/dx - du/dy obeys

    dw/dt + u dw/dx + v dw/dy = nu lap w - drag w + curl f,      (u, v) = U + (d psi/dy, -d psi/dx),

with lap psi = -w. Lengths are those of the box, so that wave numbers are integers; time has no unit. A state
is the rfft2 (unnormalised) of the vorticity, of shape (size, size // 2 + 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from phasewave import checks

NOISE_SIZE = 512  # the grid of the initial white noise, whatever the grid of the solution


@dataclass(frozen=True)
class NavierStokes:
    """The vorticity equation, truncated to the wave numbers |k_x|, |k_y| < size / 3.

    With this truncation no product of two resolved modes aliases onto a resolved mode, so the discrete
    advection is that of the truncated equation exactly and conserves energy and enstrophy.

    Parameters
    ----------
    size : int
        Grid points per side, even.
    viscosity, drag : float
        nu and the linear drag coefficient, both >= 0.
    injection : float
        Mean rate of energy injection per unit area of the forcing, white in time.
    band : tuple of float
        Wave numbers |k| that are forced, both ends included.
    mean_flow : tuple of float
        The uniform velocity U, a constant of motion that the vorticity does not know.
    dtype, device : torch.dtype, str
        Precision (float32 or float64) and place of the computation.
    """

    size: int
    viscosity: float
    drag: float = 0.0
    injection: float = 0.0
    band: tuple[float, float] = (7.0, 9.0)
    mean_flow: tuple[float, float] = (0.0, 0.0)
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    def __post_init__(self) -> None:
        if checks.integer("size", self.size, minimum=8) % 2:
            checks.fail("size", "be even", self.size)
        for name in ("viscosity", "drag", "injection"):
            at_least_zero(name, getattr(self, name))
        low, high = self.band
        if self.injection > 0 and not 1 <= low <= high < self.size / 3:
            checks.fail("band", f"be 1 <= low <= high < size / 3 = {self.size / 3:.1f}", self.band)
        if self.injection > 0 and not self.forced.any():
            checks.fail("band", "hold a wave number of the grid", self.band)

    @cached_property
    def wavenumbers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Integer wave numbers k_x (1, size / 2 + 1) and k_y (size, 1)."""
        k = torch.fft.fftfreq(self.size, 1 / self.size, dtype=self.dtype, device=self.device)
        return k[: self.size // 2 + 1].abs()[None], k[:, None]

    @cached_property
    def resolved(self) -> torch.Tensor:
        """Mask of the modes kept: 3 |k_x| < size, 3 |k_y| < size, and k != 0."""
        kx, ky = self.wavenumbers
        return (3 * kx < self.size) & (3 * ky.abs() < self.size) & (kx**2 + ky**2 > 0)

    @cached_property
    def inverse_laplacian(self) -> torch.Tensor:
        """1 / |k|^2 on the resolved modes, 0 elsewhere: psi = inverse_laplacian w."""
        kx, ky = self.wavenumbers
        return torch.where(self.resolved, 1 / (kx**2 + ky**2).clamp_min(1), 0)

    @cached_property
    def linear(self) -> torch.Tensor:
        """Symbol of the linear part, -(nu |k|^2 + drag)."""
        kx, ky = self.wavenumbers
        return -(self.viscosity * (kx**2 + ky**2) + self.drag)

    @cached_property
    def stress_symbols(self) -> torch.Tensor:
        """Symbols (k_x^2 - k_y^2, k_x k_y) of the two second derivatives in the advection, truncated."""
        kx, ky = self.wavenumbers
        return torch.stack([kx**2 - ky**2, kx * ky]) * self.resolved

    @cached_property
    def forced(self) -> torch.Tensor:
        """Amplitude |k| / sqrt(number of forced modes) on the band: the same mean energy in every mode."""
        kx, ky = self.wavenumbers
        modulus = (kx**2 + ky**2).sqrt()
        mask = (modulus >= self.band[0]) & (modulus <= self.band[1])
        return mask * modulus / (mask[:, 0].sum() + 2 * mask[:, 1:].sum()).clamp_min(1).sqrt()


def at_least_zero(name: str, value: float, *, strictly: bool = False) -> None:
    """Raise ValueError unless ``value`` is finite and >= 0 (> 0 if ``strictly``)."""
    if not math.isfinite(value) or value < 0 or (strictly and value == 0):
        checks.fail(name, f"be finite and {'>' if strictly else '>='} 0", value)


def resize(spectrum: torch.Tensor, size: int) -> torch.Tensor:
    """Interpolate or cut a real field in Fourier: keep |k_x|, |k_y| < min(old, new) / 2, without Nyquist.

    ``spectrum`` (..., n, n // 2 + 1) is the rfft2 of a field of size n; the result is the rfft2 at ``size``.
    """
    n = spectrum.shape[-2]
    half = (min(n, size) + 1) // 2
    result = spectrum.new_zeros(*spectrum.shape[:-2], size, size // 2 + 1)
    result[..., :half, :half] = spectrum[..., :half, :half]
    if half > 1:
        result[..., 1 - half :, :half] = spectrum[..., 1 - half :, :half]
    return result * (size / n) ** 2


def mean_product(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean over the box of the product of two real fields given by their rfft2 (Parseval), even size."""
    n = a.shape[-2]
    weight = torch.full((n // 2 + 1,), 2.0, dtype=a.real.dtype, device=a.device)
    weight[[0, -1]] = 1
    return float(((a.conj() * b).real * weight).sum() / n**4)


def energy(equation: NavierStokes, w: torch.Tensor) -> float:
    """E = mean |(u, v) - U|^2 / 2 of the vorticity with rfft2 ``w``."""
    return mean_product(w, equation.inverse_laplacian * w) / 2


def enstrophy(w: torch.Tensor) -> float:
    """Z = mean w^2 / 2 of the vorticity with rfft2 ``w``; freely, dE/dt = -2 (nu Z + drag E)."""
    return mean_product(w, w) / 2


def velocity(equation: NavierStokes, w: torch.Tensor) -> torch.Tensor:
    """Velocity (2, size, size) on the grid, U + (d psi/dy, -d psi/dx)."""
    kx, ky = equation.wavenumbers
    i_psi = 1j * (equation.inverse_laplacian * w)
    u, v = torch.fft.irfft2(torch.stack([ky * i_psi, -kx * i_psi]), s=(equation.size, equation.size))
    return torch.stack([u + equation.mean_flow[0], v + equation.mean_flow[1]])


def advection(equation: NavierStokes, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rfft2 of -(u, v).grad w, and the velocity.

    In two dimensions (Basdevant 1983), with four transforms where the direct form needs five,
    (u, v).grad w = (d_xx - d_yy)(u v) + d_xy(v^2 - u^2).
    """
    u, v = flow = velocity(equation, w)
    products = torch.fft.rfft2(torch.stack([u * v, (v - u) * (v + u)]))
    return (equation.stress_symbols * products).sum(0), flow


def step_size(equation: NavierStokes, flow: torch.Tensor, *, cfl: float) -> float:
    """Largest step dt with max(|u| + |v|) dt <= cfl dx.

    The forcing counts: over dt it adds a velocity sqrt(2 injection dt), which matters at rest.

    Raises
    ------
    FloatingPointError
        If the velocity is not finite.
    """
    reach = cfl * 2 * math.pi / equation.size
    fastest = float(flow.abs().sum(0).max())
    if not math.isfinite(fastest):
        raise FloatingPointError("the solution did not stay finite: lower the CFL number")
    kick = (reach**2 / (2 * equation.injection)) ** (1 / 3) if equation.injection > 0 else math.inf
    return min(reach / fastest if fastest > 0 else math.inf, kick)


def runge_kutta(equation: NavierStokes, w: torch.Tensor, dt: float, *, slope: torch.Tensor) -> torch.Tensor:
    """One step of the classical fourth-order scheme on exp(-linear t) w, exact for the linear part.

    ``slope`` is the advection at ``w``, which the choice of the step has already computed.
    """
    half = torch.exp(equation.linear * (dt / 2))
    k2, _ = advection(equation, half * (w + dt / 2 * slope))
    k3, _ = advection(equation, half * w + dt / 2 * k2)
    k4, _ = advection(equation, half * (half * w + dt * k3))
    return half * (half * (w + dt / 6 * slope) + dt / 3 * (k2 + k3)) + dt / 6 * k4


def forcing(equation: NavierStokes, dt: float, generator: torch.Generator) -> torch.Tensor:
    """Vorticity (rfft2) that the white-in-time forcing adds in ``dt``: of mean energy ``injection * dt``.

    Gaussian, the same mean energy in every mode of the band. The numbers are drawn on the CPU on the smallest
    grid that holds the band, so they depend neither on device nor on size.
    """
    small = 2 * int(equation.band[1]) + 2
    noise = torch.randn(small, small, dtype=torch.float64, generator=generator)
    kick = resize(torch.fft.rfft2(noise) * small, equation.size)  # variance size^4 per mode
    kick = kick.to(device=equation.device, dtype=equation.dtype.to_complex())
    return kick * (equation.forced * math.sqrt(2 * equation.injection * dt))


def white_vorticity(
    equation: NavierStokes, *, amplitude: float, smoothing: float, generator: torch.Generator
) -> torch.Tensor:
    """Vorticity (rfft2) of Gaussian white noise on a 512 x 512 grid, smoothed by a Gaussian.

    ``amplitude`` is the standard deviation before smoothing, ``smoothing`` the standard deviation of the
    Gaussian in points of that grid. The noise does not depend on the size of ``equation``: a seed gives the
    same large scales at every size, truncated to the resolved modes.
    """
    noise = torch.randn(NOISE_SIZE, NOISE_SIZE, dtype=torch.float64, generator=generator)
    w = resize(torch.fft.rfft2(noise), equation.size)
    w = w.to(device=equation.device, dtype=equation.dtype.to_complex())
    kx, ky = equation.wavenumbers
    width = smoothing * 2 * math.pi / NOISE_SIZE
    return w * (equation.resolved * amplitude * torch.exp(-((width**2 / 2) * (kx**2 + ky**2))))


def evolve(
    equation: NavierStokes, w: torch.Tensor, times: list[float], *, cfl: float, generator: torch.Generator
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (number of steps so far, rfft2 of the vorticity) at each of the increasing ``times``.

    The first time is that of ``w``. Steps are limited by ``step_size`` and divide what is left to the next
    time into equal parts, so each time is reached exactly.
    """
    n_steps = 0
    yield n_steps, w
    for start, stop in pairwise(times):
        left = stop - start
        while left > 0:
            slope, flow = advection(equation, w)
            n_left = math.ceil(left / step_size(equation, flow, cfl=cfl) * (1 - 1e-12)) or 1
            dt = left / n_left
            w = runge_kutta(equation, w, dt, slope=slope)
            if equation.injection > 0:
                w = w + torch.exp(equation.linear * (dt / 2)) * forcing(equation, dt, generator)
            left = dt * (n_left - 1)
            n_steps += 1
        yield n_steps, w


def solve(
    equation: NavierStokes,
    w: torch.Tensor,
    times: list[float],
    *,
    cut: int,
    cfl: float,
    generator: torch.Generator,
    report: Callable[[float, int, float, float], None],
) -> dict[str, np.ndarray]:
    """Evolve ``w`` (rfft2); return the last field on cut x cut points and the series, a row of the file.

    ``report(t, number of steps, energy, enstrophy)`` is called at each of the ``times``.
    """
    series, n_steps = [], 0
    states = evolve(equation, w, times, cfl=cfl, generator=generator)
    for t, (n_steps, state) in zip(times, states, strict=True):
        w = state
        series.append((energy(equation, w), enstrophy(w)))
        report(t, n_steps, *series[-1])
    field = torch.fft.irfft2(resize(w, cut), s=(cut, cut)).to("cpu", torch.float32)
    energies, enstrophies = np.array(series).T
    return {
        "fields": field.numpy(),
        "energy": energies,
        "enstrophy": enstrophies,
        "n_steps": np.array(n_steps),
    }
