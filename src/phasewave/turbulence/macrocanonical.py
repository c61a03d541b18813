"""The macrocanonical model: the exponential family itself, its parameters learnt along Langevin chains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from phasewave.checks import fail, finite, integer, real_field
from phasewave.solve.exponential_family import ExponentialFamily
from phasewave.solve.langevin import Potential
from phasewave.solve.langevin_state import Evaluation
from phasewave.solve.moment_ascent import MomentAscent, ascend
from phasewave.solve.moment_ascent_state import AscentState
from phasewave.solve.result import Status
from phasewave.turbulence.energy import Statistics
from phasewave.turbulence.gaussian import GaussianModel, white_noise

_DRAWS = 256
_DRAWS_SEED = 2**61 + 20190612  # of the draws that only make the metric: no sample is made of them


@dataclass(frozen=True)
class MacrocanonicalResult:
    """A learnt model, samples of it, and how well its moments are those wanted.

    Attributes
    ----------
    samples : torch.Tensor, shape (n, H, W)
        The ends of the chains, in the units, dtype and device of the field.
    status : Status
        Converged when ``loss`` is at most the tolerance.
    beta : torch.Tensor, shape (n_moments,)
        The parameters, complex if the moments are; of fields in the sampler's units (see there).
    target, moments, standard_errors : torch.Tensor, shape (n_moments,)
        The moments wanted, the model's by Monte Carlo, and the standard errors of the latter (of real and
        imaginary parts), from the scatter of the chains.
    loss : float
        Relative squared distance of ``moments`` to ``target``; it contains the noise of their estimate.
    losses : torch.Tensor, shape (n_cycles,), float64 on the CPU
        The same of every cycle's few steps: noisier, to see the ascent.
    acceptances : torch.Tensor, shape (n_cycles, n), float64 on the CPU
        Mean acceptance probability of every cycle and chain.
    """

    samples: torch.Tensor
    status: Status
    beta: torch.Tensor
    target: torch.Tensor
    moments: torch.Tensor
    standard_errors: torch.Tensor
    loss: float
    losses: torch.Tensor
    acceptances: torch.Tensor

    @property
    def converged(self) -> bool:
        """Whether the model has converged."""
        return self.status is Status.CONVERGED


class MacrocanonicalSampler:
    r"""Learns and samples the maximum-entropy density of given expectations of moments.

    .. math:: p(x) \propto \exp\Big(-N\,\mathrm{Re} \sum_i \bar\beta_i \phi_i(x)
              - \tfrac12 |x|^2_{ref} - W(x)\Big), \qquad E\,\phi(x) = \phi(target),

    N the number of pixels and :math:`|x|^2_{ref} = \sum_\omega |X(\omega)|^2 / (N S(\omega))` the Gaussian
    reference of spectrum S, by default the smoothed one of the target: among all densities of these moments p
    is the one nearest to the reference (in relative entropy), and it does not depend on S where the moments fix
    the spectrum. W is zero up to ``bound`` times the largest value b of the target and a steep wall beyond,
    :math:`W = \sum_u \mathrm{relu}(4 |x(u)| / (\text{bound}\, b) - 4)^4`.

    beta is learnt by `MomentAscent`: n chains, Metropolis-adjusted, in the variables v = S^{-1/2} x in which the
    reference is white. Where `MaxEntropySampler` gives every sample the moments of the target, here they scatter
    from sample to sample as the model says, and only their expectations are fixed. Fields are in units of
    the target's standard deviation about its mean.

    **Not every target has such a model.** With powers among the moments, a field that is more intermittent than
    their exponential allows (a kurtosis above the Gaussian's; large wavelet coefficients at a fixed mean
    modulus) drives beta to where exp(-beta.phi) grows without bound: then p is held by the wall alone. Moments
    that grow no faster than the field, as quantiles, are always held by the reference.

    Parameters
    ----------
    moments : torch.nn.Module or callable
        phi: any differentiable map of fields (n, H, W) to moments (n, n_moments), real or complex, as
        `MaxEntropySampler` takes it.
    solver : MomentAscent, optional
        ``MomentAscent()`` by default. Its step size is that of the white variables.
    tolerance : float
        The relative loss up to which the model has converged.
    bound : float, optional
        Where the wall begins, in units of the target's largest absolute value; no wall if None.
    chunk : int, optional
        Fields evaluated at a time; None for all at once.

    Raises
    ------
    TypeError, ValueError
        If a number is out of its range.

    Notes
    -----
    Cost: 256 evaluations of the moments for the metric, then, of every chain, ``steps_per_update`` + 1
    evaluations with gradient a cycle. The mean of every field is the target's: S is zero at frequency zero.

    References
    ----------
    De Bortoli, Desolneux, Durmus, Galerne and Leclaire 2019, arXiv:1912.01691; Bruna and Mallat 2019,
    arXiv:1801.02013.
    """

    def __init__(
        self,
        moments: Statistics,
        *,
        solver: MomentAscent | None = None,
        tolerance: float = 1e-2,
        bound: float | None = 1.2,
        chunk: int | None = 1,
    ) -> None:
        self.moments = moments
        self.solver = MomentAscent() if solver is None else solver
        if not tolerance >= 0.0:
            fail("tolerance", "be a number >= 0", tolerance)
        if bound is not None and not 0.0 < bound < math.inf:
            fail("bound", "be a finite number > 0, or None", bound)
        self.tolerance, self.bound = tolerance, bound
        self.chunk = None if chunk is None else integer("chunk", chunk, minimum=1)

    def sample(
        self,
        field: torch.Tensor,
        *,
        n_samples: int = 8,
        seed: int | torch.Generator = 0,
        reference: GaussianModel | None = None,
        callback: Callable[[AscentState], bool | None] | None = None,
        state: AscentState | None = None,
    ) -> MacrocanonicalResult:
        """Learn the model of a field's moments with ``n_samples`` chains, and return where they end.

        Parameters
        ----------
        field : torch.Tensor, shape (H, W) or (m, H, W)
            The target, real, of the moments' dtype and device; of several realisations the moments are averaged.
        n_samples : int
            Chains. At least 2 are needed for standard errors.
        seed : int or torch.Generator
            Of the starts and of the noise of the chains.
        reference : GaussianModel, optional
            S, in the sampler's units; its mean is not used.
        callback : callable, optional
            Called with the `AscentState` after every cycle; stops the work by returning True. The state can be
            stored (``state.to_tensors()``), and given as ``state`` to go on.
        state : AscentState, optional
            Go on from here, with the same field, moments and reference.

        Returns
        -------
        MacrocanonicalResult
            Also when the model has not converged, or was interrupted: see its status.

        Raises
        ------
        TypeError
            If ``field`` is not a real tensor.
        ValueError
            If ``field`` is not finite, does not vary or has wrong axes, the reference or the state belongs to
            fields of another size, a moment is not finite, or the chains diverge.
        """
        real_field("field", field)
        if field.ndim not in (2, 3):
            fail("field", "have axes (H, W) or (m, H, W)", tuple(field.shape))
        finite("field", field)
        count, shape = integer("n_samples", n_samples, minimum=1), tuple(field.shape[-2:])
        exact = field.detach().to(torch.float64).reshape(-1, *shape)
        if len(exact) == 0:
            fail("field", "hold at least one realisation", tuple(field.shape))
        mean, scale = exact.mean(), exact.std(correction=0)
        if not float(scale) > 0.0:
            fail("field", "vary over space", "a constant field")
        target = ((exact - mean) / scale).to(field.dtype)
        model = GaussianModel(target).smoothed() if reference is None else reference
        if model.shape != shape:
            fail("reference", f"be of shape {shape}", model.shape)
        standardized = getattr(self.moments, "standardized", None)
        moments = self.moments if standardized is None else standardized(target)
        wall = math.inf if self.bound is None else self.bound * float(target.abs().max())
        gibbs = GibbsPotential(moments, model, wall=wall, chunk=self.chunk)
        if isinstance(seed, torch.Generator):
            seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
        wanted = gibbs.moments(target)
        draws = white_noise(_DRAWS, shape, seed=_DRAWS_SEED).to(target)
        family = ExponentialFamily(gibbs, wanted.mean(0), gibbs.moments(gibbs.fields(draws)))
        start = white_noise(count, shape, seed=seed).to(target)
        if state is not None and state.chains.point.shape != start.shape:
            fail("state", f"hold {count} fields of shape {shape}", tuple(state.chains.point.shape))
        last, status = ascend(
            family,
            start,
            solver=self.solver,
            tolerance=self.tolerance,
            seed=seed,
            callback=callback,
            state=state,
        )
        return MacrocanonicalResult(
            samples=(gibbs.fields(last.chains.point).to(torch.float64) * scale + mean).to(field.dtype),
            status=status,
            beta=gibbs.as_moments(last.mean_theta / math.prod(shape)),
            target=gibbs.as_moments(family.target),
            moments=gibbs.as_moments(last.moments),
            standard_errors=gibbs.as_moments(last.standard_errors),
            loss=family.loss(last.moments),
            losses=last.losses,
            acceptances=last.acceptances,
        )


class GibbsPotential:
    r"""U(v) = |v|^2 / 2 + W(x) + theta . phi(x), x = S^{1/2} v, as a function of theta.

    Parameters
    ----------
    statistics : torch.nn.Module or callable
        phi: fields (n, H, W) to moments (n, n_moments); a complex one counts as its two parts.
    model : GaussianModel
        S.
    wall : float
        Where W begins.
    chunk : int, optional
        Fields at a time.
    """

    def __init__(
        self, statistics: Statistics, model: GaussianModel, *, wall: float, chunk: int | None = 1
    ) -> None:
        self.statistics, self.model, self.wall, self.chunk = statistics, model, wall, chunk
        self.are_complex = False

    def fields(self, v: torch.Tensor) -> torch.Tensor:
        """Return x for white variables v (n, H, W)."""
        return torch.cat([self._coloured(part) for part in self._parts(v)])

    def moments(self, x: torch.Tensor) -> torch.Tensor:
        """Return the moments of fields (n, H, W) as real numbers (n, k).

        Raises
        ------
        ValueError
            If the statistics do not return one row for each field.
        """
        with torch.no_grad():
            return torch.cat([self._real(part) for part in self._parts(x)])

    def as_moments(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return real numbers (k,) as the statistics would: complex if they are."""
        return torch.view_as_complex(numbers.unflatten(-1, (-1, 2)).contiguous()) if self.are_complex else numbers

    def __call__(self, theta: torch.Tensor) -> Potential:
        """Return the potential of parameters theta (k,), whose observables are the moments."""

        def evaluated(v: torch.Tensor) -> Evaluation:
            with torch.enable_grad():
                variable = v.requires_grad_()
                x = self._coloured(variable)
                phi = self._real(x)
                energy = (phi.to(torch.float64) * theta).sum(-1)
                if self.wall < math.inf:
                    excess = torch.relu(4.0 * x.abs() / self.wall - 4.0).square().square()
                    energy = energy + excess.sum((-2, -1), dtype=torch.float64)
                (gradient,) = torch.autograd.grad(energy.sum(), variable)
            white = v.detach()
            squares = white.square().sum((-2, -1), dtype=torch.float64) / 2.0
            return Evaluation(energy.detach() + squares, gradient + white, phi.detach())

        def potential(v: torch.Tensor) -> Evaluation:
            energies, gradients, moments = zip(*(evaluated(part) for part in self._parts(v.detach())), strict=True)
            return Evaluation(torch.cat(energies), torch.cat(gradients), torch.cat(moments))

        return potential

    def _coloured(self, v: torch.Tensor) -> torch.Tensor:
        return self.model.colour(v) - self.model.mean.to(v)

    def _parts(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [part.clone() for part in x.split(len(x) if self.chunk is None else self.chunk)]

    def _real(self, x: torch.Tensor) -> torch.Tensor:
        values = self.statistics(x)
        if values.ndim != 2 or len(values) != len(x):
            fail("moments", "map fields (n, H, W) to moments (n, n_moments)", tuple(values.shape))
        self.are_complex = values.is_complex()
        return torch.view_as_real(values).flatten(-2) if self.are_complex else values
