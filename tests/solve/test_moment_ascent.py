"""Learning exponential families whose expectations are known by quadrature."""

import math
from dataclasses import replace

import pytest
import torch

from phasewave.solve.exponential_family import ExponentialFamily
from phasewave.solve.langevin_state import Evaluation
from phasewave.solve.moment_ascent import MomentAscent, ascend
from phasewave.solve.moment_ascent_state import AscentState
from phasewave.solve.result import Status


def linear_in(statistics, reference):
    """Return theta -> the potential reference(x) + theta . f(x), f = statistics (n, k), by autograd."""

    def at(theta):
        def potential(x):
            x = x.detach().requires_grad_()
            f = statistics(x)
            energy = reference(x) + f @ theta
            return Evaluation(energy.detach(), torch.autograd.grad(energy.sum(), x)[0], f.detach())

        return potential

    return at


def half_square(x):
    return x.square().flatten(1).sum(1) / 2


def nothing(x):
    return 0.0 * x.flatten(1).sum(1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def powers(x):
    """The sums over the sites of x^2, x^4 and x: independent sites."""
    return torch.stack([(x**k).sum(1) for k in (2, 4, 1)], dim=-1)


def ring(x):
    """The sums over a ring of sites of x^2, x^4 and of (x_i - x_i+1)^2 / 2."""
    steps = (x - x.roll(1, 1)).square().sum(1) / 2
    return torch.stack([x.square().sum(1), (x**4).sum(1), steps], dim=-1)


def by_quadrature(theta, n_sites):
    """Expectations of `powers` under exp(-theta . f), site by site."""
    z = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    f = torch.stack([z**2, z**4, z], dim=-1)
    density = torch.exp(-f @ theta)
    return n_sites * (f * density[:, None]).sum(0) / density.sum()


def by_transfer_matrix(theta, n_sites):
    """Expectations of `ring` under exp(-theta . f): Z = trace T^n, T between neighbouring sites."""
    z = torch.linspace(-4.5, 4.5, 361, dtype=torch.float64)

    def log_partition(theta):
        single = theta[0] * z**2 + theta[1] * z**4
        link = theta[2] * (z[:, None] - z) ** 2 / 2
        matrix = torch.exp(-link - (single[:, None] + single) / 2) * (z[1] - z[0])
        return torch.linalg.eigvalsh(matrix).abs().pow(n_sites).sum().log()

    return -torch.func.grad(log_partition)(theta)


def double_well():
    # wells at +-1 and a tilt, 12 independent sites: the chains start from a unit normal
    theta = torch.tensor([-1.0, 0.5, 0.3], dtype=torch.float64)
    x = normal(32, 12)
    family = ExponentialFamily(
        linear_in(powers, nothing), by_quadrature(theta, 12), powers(normal(400, 12, seed=1))
    )
    return family, theta, x


def phi_four():
    # 12 coupled sites: in the broken phase, with kinks; correlation over the ring
    theta = torch.tensor([-0.5, 0.25, 1.0], dtype=torch.float64)
    family = ExponentialFamily(
        linear_in(ring, nothing), by_transfer_matrix(theta, 12), ring(normal(400, 12, seed=1))
    )
    return family, theta, normal(32, 12)


SOLVER = MomentAscent(n_updates=150, n_measurements=60, steps_per_update=4, rate=0.2, step_size=0.05)
START = torch.tensor([0.5, 0.1, 0.0], dtype=torch.float64)


def learnt(case, solver=SOLVER, **options):
    family, theta, x = case()
    state, status = ascend(family, None, solver=solver, state=solver.init(family, x, theta=START), **options)
    return family, theta, state, status


@pytest.mark.parametrize("case", [double_well, phi_four])
def test_the_family_is_recovered_from_its_expectations(case):
    # over seeds 0 to 6 of the chains theta is off by at most .05; without acceptance the solver diverges (below)
    family, theta, state, status = learnt(case)
    assert status is Status.CONVERGED
    assert (state.mean_theta - theta).abs().max() < 0.08
    assert (START - theta).abs().max() > 0.9
    assert ((state.moments - family.target) / state.standard_errors).abs().max() < 4.5
    assert (state.standard_errors / family.target).abs()[:2].max() < 0.03
    assert abs(float(state.acceptances[-60:].mean()) - 0.574) < 0.05


def test_the_transfer_matrix_gives_the_expectations_of_a_gaussian_ring():
    # without the quartic term: precision 2 a + b (2 - 2 cos q) of every mode q
    theta = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    q = 2 * math.pi * torch.arange(12, dtype=torch.float64) / 12
    laplacian = 2 - 2 * q.cos()
    variances = 1 / (1.2 + 0.8 * laplacian)
    exact = torch.stack([variances.sum(), 36 * variances.mean() ** 2, (variances * laplacian).sum() / 2])
    torch.testing.assert_close(by_transfer_matrix(theta, 12), exact, rtol=1e-8, atol=0.0)


def test_unadjusted_chains_learn_with_the_bias_of_their_step():
    # U = theta x^2 has the variance 1 / (2 theta), its unadjusted chain 1 / (2 theta (1 - h theta)): asked for
    # the variance 1/2, the latter learns the theta of theta (1 - h theta) = 1
    h = 0.1
    exact = (1 - (1 - 4 * h) ** 0.5) / (2 * h)
    assert exact == pytest.approx(1.127, abs=1e-3)
    found = []
    for adjusted in (True, False):
        solver = MomentAscent(
            n_updates=80, n_measurements=4, steps_per_update=4, rate=0.2, step_size=h, adjusted=adjusted
        )
        x = normal(16, 40)
        family = ExponentialFamily(
            linear_in(lambda x: x.square().sum(1, keepdim=True), nothing),
            torch.tensor([20.0], dtype=torch.float64),
            normal(400, 40, seed=1).square().sum(1, keepdim=True),
        )
        start = torch.tensor([0.5], dtype=torch.float64)
        state, _ = ascend(family, None, solver=solver, state=solver.init(family, x, theta=start))
        found.append(float(state.mean_theta))
    assert found[0] == pytest.approx(1.0, abs=0.04)
    assert found[1] == pytest.approx(exact, abs=0.04)


def test_diverging_chains_are_reported():
    with pytest.raises(
        ValueError, match=r"`step_size` must be smaller, or the chains adjusted: they diverge, got 0.5"
    ):
        learnt(double_well, replace(SOLVER, adjusted=False, step_size=0.5))


def test_the_reference_is_part_of_the_model():
    # target of the reference itself: theta = 0, and stays near it
    x = normal(32, 12)
    family = ExponentialFamily(
        linear_in(lambda x: x.square().sum(1, keepdim=True), half_square),
        torch.tensor([12.0], dtype=torch.float64),
        normal(400, 12, seed=1).square().sum(1, keepdim=True),
    )
    state, status = ascend(family, x, solver=replace(SOLVER, n_updates=60, n_measurements=20))
    assert status is Status.CONVERGED
    assert abs(float(state.mean_theta)) < 0.05


def test_uphill_is_the_solution_with_the_dense_metrics():
    # (C + .1 (diag C + floor))^-1, of the draws and of recent points; a constant f is left alone
    draws, recent = normal(20, 5) @ normal(5, 5, seed=1), 3 * normal(30, 5, seed=2)
    draws[:, 3], recent[:, 3] = 7.0, 7.0
    target = normal(5, seed=3)
    moments = normal(5, seed=4)
    family = ExponentialFamily(lambda theta: None, target, draws)
    kept = [0, 1, 2, 4]
    floor = 1e-3 * draws.var(0)[kept].median()
    exact = torch.zeros(5, dtype=torch.float64)
    for points in (draws, recent):
        covariance = torch.cov(points.T)[kept][:, kept]
        dense = covariance + 0.1 * torch.diag(covariance.diag() + floor)
        exact[kept] += torch.linalg.solve(dense, (moments - target)[kept])
    direction, square = family.uphill(moments, recent)
    torch.testing.assert_close(direction, exact, rtol=1e-9, atol=1e-12)
    assert square == pytest.approx(float(exact @ (moments - target)))


SHORT = MomentAscent(n_updates=6, n_measurements=6, steps_per_update=3)


@pytest.mark.parametrize("n_before", [1, 6, 9])
def test_a_stopped_ascent_goes_on_as_if_it_had_not_been(n_before, tmp_path):
    whole, _ = ascend(*double_well()[::2], solver=SHORT, seed=3)
    family, _, x = double_well()
    half, status = ascend(family, x, solver=SHORT, seed=3, callback=lambda state: state.n_cycles >= n_before)
    assert status is Status.INTERRUPTED
    assert half.n_cycles == n_before
    torch.save(half.to_tensors(), tmp_path / "state.pt")
    restored = AscentState.from_tensors(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed, status = ascend(family, None, solver=SHORT, state=restored)
    assert status is not Status.INTERRUPTED
    here, there = whole.to_tensors(), resumed.to_tensors()
    assert here.keys() == there.keys()
    for name, tensor in here.items():
        assert torch.equal(tensor, there[name]), name


def test_ctrl_c_returns_the_last_complete_cycle():
    family, _, x = double_well()
    n_calls = 0

    def interrupted(theta):
        inner = family.potential(theta)

        def potential(points):
            nonlocal n_calls
            n_calls += 1
            if n_calls == 11:  # start, and 1 + 3 calls a cycle: in the third one
                raise KeyboardInterrupt
            return inner(points)

        return potential

    stopped = ExponentialFamily(interrupted, family.target, family.draws)
    state, status = ascend(stopped, x, solver=SHORT, seed=3)
    assert status is Status.INTERRUPTED
    assert state.n_cycles == 2
    assert state.moments.isnan().all()
    assert state.standard_errors.isnan().all()
    again, _ = ascend(family, x, solver=SHORT, seed=3, callback=lambda state: state.n_cycles == 2)
    assert torch.equal(state.theta, again.theta)


def test_steps_are_pure_and_a_change_of_the_model_is_bounded():
    family, _, x = double_well()
    solver = replace(SHORT, rate=50.0, max_divergence=0.01)
    state = solver.init(family, x)
    one, two = solver.step(family, state), solver.step(family, state)
    assert torch.equal(one.theta, two.theta)
    assert not bool(state.theta.any())
    assert torch.equal(state.chains.point, x)
    change = one.theta - state.theta
    # the divergence in the metrics of the step: half of the squared length
    direction = family.uphill(solver_moments(solver, family, state), state.recent)
    assert float(change @ change) > 0.0
    length = float(change.norm() / direction[0].norm())
    assert length**2 * direction[1] / 2 == pytest.approx(0.01)


def solver_moments(solver, family, state):
    """The mean of f over the first cycle."""
    langevin, potential = solver.langevin(), family.potential(state.theta)
    chains, sums = langevin.refreshed(potential, state.chains), 0.0
    for _ in range(solver.steps_per_update):
        chains = langevin.step(potential, chains)
        sums = sums + chains.observables.mean(0)
    return sums / solver.steps_per_update


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_updates": 0}, r"`n_updates` must be an integer >= 1, got 0"),
        ({"n_measurements": 1}, r"`n_measurements` must be an integer >= 2, got 1"),
        ({"rate": 0.0}, r"`rate` must be a finite number > 0, got 0.0"),
        ({"decay": 1.5}, r"`decay` must be in \[0, 1\], got 1.5"),
        ({"max_divergence": math.inf}, r"`max_divergence` must be a finite number > 0, got inf"),
        ({"step_size": -0.1}, r"`step_size` must be a finite number > 0, got -0.1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MomentAscent(**settings)


def test_bad_families_and_states_are_refused():
    family, _, x = double_well()
    target, draws = family.target, family.draws
    for wrong, message in [
        ((target * math.nan, draws), r"`target` must be finite real expectations \(k,\)"),
        ((target, draws[:1]), r"`draws` must be of shape \(m, 3\), m >= 2, got \(1, 3\)"),
        ((target, draws[:, :2]), r"`draws` must be of shape \(m, 3\), m >= 2, got \(400, 2\)"),
        ((target, draws * math.inf), r"`draws` must be real and finite"),
        ((target, torch.ones(4, 3)), r"`draws` must vary"),
    ]:
        with pytest.raises(ValueError, match=message):
            ExponentialFamily(family.potential, *wrong)
    with pytest.raises(ValueError, match=r"`ridge` must be a finite number > 0, got 0.0"):
        ExponentialFamily(family.potential, target, draws, ridge=0.0)
    with pytest.raises(ValueError, match=r"`theta` must be of shape \(3,\), got \(2,\)"):
        SHORT.init(family, x, theta=torch.zeros(2))
    fewer = ExponentialFamily(linear_in(lambda x: powers(x)[:, :2], nothing), target, draws)
    with pytest.raises((ValueError, RuntimeError)):
        SHORT.init(fewer, x)
    with pytest.raises(ValueError, match=r"`tolerance` must be a number >= 0, got nan"):
        ascend(family, x, tolerance=math.nan)
    with pytest.raises(ValueError, match=r"`x` must be given, or a state, got None"):
        ascend(family, None)
    with pytest.raises(ValueError, match=r"`tensors` must be what AscentState.to_tensors returns"):
        AscentState.from_tensors({"theta": torch.zeros(3)})
