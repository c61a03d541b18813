import math

import pytest
import torch

from phasewave.solve.langevin import Langevin
from phasewave.solve.langevin_state import Evaluation, LangevinState


def gaussian(x):
    """Independent unit normal coordinates."""
    return 0.5 * x.square().flatten(1).sum(1), x


def skewed(x):
    """The density 1 / (e^z + e^-2z) of every coordinate: exponential tails of rates 1 and 2."""
    left, right = torch.exp(-2 * x), torch.exp(x)
    return torch.logaddexp(x, -2 * x).flatten(1).sum(1), (right - 2 * left) / (right + left)


def quartic(x):
    """Sum of z^4 / 4 + z, and the mean of the point as an observable; chain by chain, whatever the batch."""
    energy = torch.stack([(one**4 / 4 + one).sum() for one in x])
    return Evaluation(energy, x**3 + 1, torch.stack([one.mean() for one in x])[:, None])


def starts(n=4, shape=(3, 5), dtype=torch.float64, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def walked(solver, potential, x, n_steps, *, seed=0, chains=None):
    state = solver.init(potential, x, seed=seed, chains=chains)
    for _ in range(n_steps):
        state = solver.step(potential, state)
    return state


def visited(solver, potential, x, n_steps, *, skip, seed=0):
    """Points after every step but the first ``skip``: (n_steps - skip, n, ...)."""
    state = walked(solver, potential, x, skip, seed=seed)
    points = []
    for _ in range(n_steps - skip):
        state = solver.step(potential, state)
        points.append(state.point)
    return torch.stack(points)


def standard_scores(values, wanted):
    """(mean - wanted) / standard error, from independent chains (time, chains, ...): no model of their memory."""
    means = values.mean(0)
    return (means.mean(0) - wanted) / (means.std(0) / len(means) ** 0.5)


def shares_in_exact_bins(points, n_bins=12):
    """Share of the time of each chain in bins that hold 1 / n_bins of `skewed` each, by quadrature."""
    grid = torch.linspace(-30, 40, 700_001, dtype=torch.float64)
    density = torch.exp(-skewed(grid[:, None])[0])
    cumulative = density.cumsum(0) / density.sum()
    edges = grid[torch.searchsorted(cumulative, torch.arange(1, n_bins) / n_bins)]
    return torch.nn.functional.one_hot(torch.bucketize(points[..., 0], edges), n_bins).double()


def test_mala_has_the_density_and_the_unadjusted_chain_has_not():
    # 200 chains know a bin's share to about .001; the unadjusted chain of the same step misses by ten times that
    x = starts(200, (1,))
    exact = shares_in_exact_bins(visited(Langevin(1.5), skewed, x, 700, skip=50))
    assert standard_scores(exact, 1 / 12).abs().max() < 4.0
    assert (exact.mean((0, 1)) - 1 / 12).abs().sum() / 2 < 0.006
    biased = shares_in_exact_bins(visited(Langevin(1.5, adjusted=False), skewed, x, 700, skip=50))
    assert standard_scores(biased, 1 / 12).abs().max() > 15.0
    assert (biased.mean((0, 1)) - 1 / 12).abs().sum() / 2 > 0.05


@pytest.mark.parametrize("h", [0.5, 0.25])
def test_the_bias_of_the_unadjusted_chain_is_of_first_order(h):
    # x' = (1 - h) x + sqrt(2 h) xi is stationary at the variance 1 / (1 - h / 2) > 1
    n_steps = int(100 / h)
    squares = visited(
        Langevin(h, adjusted=False), gaussian, starts(12, (400,)), n_steps, skip=n_steps // 20
    ).square()
    score = standard_scores(squares.flatten(1), 1 / (1 - h / 2))
    assert abs(float(score)) < 4.0
    assert float(squares.mean()) - 1 == pytest.approx(h / 2 / (1 - h / 2), rel=0.1)
    # adjusted, the same step in one dimension has no bias: the difference is far above the error
    adjusted = visited(Langevin(h), gaussian, starts(400, (1,)), n_steps, skip=n_steps // 20).square()
    assert abs(float(standard_scores(adjusted.flatten(1), 1.0))) < 4.0
    assert float(standard_scores(adjusted.flatten(1), 1 / (1 - h / 2))) < -6.0


def test_acceptance_is_the_ratio_of_metropolis_and_hastings():
    # alpha = min(1, p(x') q(x | x') / p(x) q(x' | x)), q(. | x) = N(x - h R R^T grad U, 2 h R R^T)
    matrix = starts(1, (6, 6), seed=3)[0] / 2 + torch.eye(6, dtype=torch.float64)
    solver = Langevin(0.1, adjusted=False, root=lambda x: matrix @ x, root_transpose=lambda x: matrix.T @ x)
    before = solver.init(quartic, starts(7, (6,)), seed=1)
    after = solver.step(quartic, before)
    covariance = matrix @ matrix.T

    def log_proposal(origin, end):
        mean = origin - 0.1 * quartic(origin).gradient @ covariance
        return torch.distributions.MultivariateNormal(mean, 0.2 * covariance).log_prob(end)

    x, y = before.point, after.point
    log_ratio = quartic(x).potential - quartic(y).potential + log_proposal(y, x) - log_proposal(x, y)
    assert log_ratio.min() < -0.1  # not all trivially one
    torch.testing.assert_close(after.acceptance, log_ratio.exp().clamp(max=1.0), rtol=1e-10, atol=0.0)
    # and it is what decides: the adjusted chain moves where its uniform number is below it
    adjusted = Langevin(0.1, root=solver.root, root_transpose=solver.root_transpose).step(quartic, before)
    moved = (adjusted.point != before.point).any(1)
    assert torch.equal(moved, before.noise[1].exp() < after.acceptance)


@pytest.mark.parametrize("adjusted", [True, False])
def test_preconditioning_is_a_change_of_variables(adjusted):
    # with x = R v, the chain in x preconditioned by R is the plain chain in v
    basis, _ = torch.linalg.qr(starts(1, (8, 8), seed=4)[0])
    scale = torch.logspace(-2, 1, 8, dtype=torch.float64)

    def ill(x):
        y = x @ basis.T / scale
        return (y**2 / 2 + y.cos()).sum(1), (y - y.sin()) / scale @ basis

    def well(v):
        return (v**2 / 2 + v.cos()).sum(1), v - v.sin()

    v = starts(5, (8,))
    outer = Langevin(
        0.3,
        adjusted=adjusted,
        burn_in=20,
        root=lambda z: basis.T @ (scale * z),
        root_transpose=lambda g: scale * (basis @ g),
    )
    inner = walked(Langevin(0.3, adjusted=adjusted, burn_in=20), well, v, 40)
    preconditioned = walked(outer, ill, v * scale @ basis, 40)
    torch.testing.assert_close(preconditioned.point, inner.point * scale @ basis, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(preconditioned.mean_acceptance, inner.mean_acceptance, rtol=1e-8, atol=0.0)


def test_a_symmetric_root_needs_no_transpose():
    matrix = starts(1, (4, 4), seed=5)[0]
    matrix = matrix @ matrix.T / 4
    x = starts(3, (4,))
    one = walked(Langevin(0.1, root=lambda z: matrix @ z), quartic, x, 10)
    two = walked(Langevin(0.1, root=lambda z: matrix @ z, root_transpose=lambda z: matrix.T @ z), quartic, x, 10)
    torch.testing.assert_close(one.point, two.point, rtol=1e-12, atol=0.0)


def test_steps_adapt_in_the_burn_in_only_and_each_chain_for_itself():
    # chains of very different curvature, one start step
    widths = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)[:, None]

    def potential(x):
        return (x / widths).square().sum(1) / 2, x / widths**2

    solver = Langevin(0.5, burn_in=400)
    state = walked(solver, potential, widths * starts(3, (20,)), 400)
    assert state.n_counted == 0
    assert state.mean_acceptance.isnan().all()
    adapted = state.step_size
    for _ in range(400):
        state = solver.step(potential, state)
    assert torch.equal(state.step_size, adapted)
    assert state.n_counted == 400
    assert (state.mean_acceptance - 0.574).abs().max() < 0.08
    # the same dimensionless step for all: h ~ width^2
    relative = adapted / widths[:, 0] ** 2
    assert relative.max() / relative.min() < 1.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_chain_does_not_know_its_batch(dtype):
    solver = Langevin(0.2, burn_in=10, root=lambda x: torch.fft.irfft(torch.fft.rfft(x) * 1.5, n=x.shape[-1]))
    x = starts(5, dtype=dtype)
    together = walked(solver, quartic, x, 30, seed=7)
    assert together.point.dtype is dtype
    for i in range(5):
        alone = walked(solver, quartic, x[i : i + 1], 30, seed=7, chains=(i,))
        assert torch.equal(alone.point[0], together.point[i])
        assert torch.equal(alone.step_size[0], together.step_size[i])
        assert torch.equal(alone.acceptance_sum[0], together.acceptance_sum[i])
    backwards = walked(solver, quartic, x.flip(0), 30, seed=7, chains=(4, 3, 2, 1, 0))
    assert torch.equal(backwards.point.flip(0), together.point)
    other = walked(solver, quartic, x, 30, seed=8)
    assert not torch.equal(other.point, together.point)
    by_generator = walked(solver, quartic, x, 3, seed=torch.Generator().manual_seed(1))
    again = walked(solver, quartic, x, 3, seed=torch.Generator().manual_seed(1))
    assert torch.equal(by_generator.point, again.point)


def test_noise_is_new_in_every_step_and_block_and_chain():
    # 3 numbers a chain: 1365 steps a block
    state = Langevin(1e-300).init(gaussian, starts(2, (3,)))
    noises, uniforms = [], []
    for _ in range(1400):
        state = Langevin(1e-300).step(gaussian, state)
        noises.append(state.noise[0])
        uniforms.append(state.noise[1].exp())
    noise, uniform = torch.stack(noises), torch.stack(uniforms)
    assert len(noise.flatten().unique()) == noise.numel()
    assert len(uniform.flatten().unique()) == uniform.numel()
    assert abs(float(noise.mean())) < 4 / noise.numel() ** 0.5
    assert abs(float(noise.var()) - 1) < 4 * (2 / noise.numel()) ** 0.5
    assert abs(float(uniform.mean()) - 0.5) < 4 / (12 * uniform.numel()) ** 0.5


def test_steps_are_pure_and_observables_are_those_of_the_point():
    solver = Langevin(0.2)
    state = walked(solver, quartic, starts(), 5)
    before = {name: tensor.clone() for name, tensor in state.to_tensors().items()}
    first, second = solver.step(quartic, state), solver.step(quartic, state)
    for name, tensor in state.to_tensors().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(first.point, second.point)
    stayed = (first.point == state.point).flatten(1).all(1)
    assert stayed.any()
    assert not stayed.all()
    torch.testing.assert_close(first.observables, quartic(first.point).observables, rtol=1e-14, atol=0)
    torch.testing.assert_close(first.potential, quartic(first.point).potential, rtol=1e-14, atol=0)
    torch.testing.assert_close(first.slope, quartic(first.point).gradient, rtol=1e-14, atol=0)


def test_refreshed_chains_are_the_same_chains_under_another_potential():
    solver = Langevin(0.1)
    state = walked(solver, gaussian, starts(), 3)
    other = solver.refreshed(quartic, state)
    assert torch.equal(other.point, state.point)
    assert torch.equal(other.potential, quartic(state.point).potential)
    assert torch.equal(other.slope, quartic(state.point).gradient)
    assert other.observables.shape == (4, 1)
    assert other.n_steps == 3


@pytest.mark.parametrize("n_before", [0, 1, 9])
@pytest.mark.parametrize("shape", [(3, 5), (5000,)])
def test_state_survives_a_round_trip_through_tensors(n_before, shape, tmp_path):
    solver = Langevin(0.01, burn_in=5)
    state = walked(solver, quartic, starts(2, shape, torch.float32), n_before, seed=2**60 + 1)
    torch.save(state.to_tensors(), tmp_path / "state.pt")
    restored = LangevinState.from_tensors(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(7):
        state, restored = solver.step(quartic, state), solver.step(quartic, restored)
    here, there = state.to_tensors(), restored.to_tensors()
    assert here.keys() == there.keys()
    for name, tensor in here.items():
        assert tensor.dtype == there[name].dtype
        assert torch.equal(tensor, there[name]), name


def test_a_foreign_dictionary_is_refused():
    with pytest.raises(ValueError, match=r"`tensors` must be what LangevinState.to_tensors returns"):
        LangevinState.from_tensors({"point": torch.zeros(1, 2)})


@pytest.mark.parametrize("adjusted", [True, False])
@pytest.mark.parametrize("nothing", [math.nan, math.inf, -math.inf])
def test_a_trial_whose_potential_is_not_finite_is_never_made(adjusted, nothing):
    # exp(-U) of the half line, U undefined beyond it
    def half_line(x):
        return torch.where(x[:, 0] > 0, x[:, 0], nothing), torch.ones_like(x)

    points = visited(Langevin(0.5, adjusted=adjusted), half_line, starts(50, (1,)).abs(), 300, skip=20)
    assert (points > 0).all()
    if adjusted:  # the exponential law all the same: mean 1
        assert abs(float(standard_scores(points.flatten(1), 1.0))) < 4.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_size": 0.0}, r"`step_size` must be a finite number > 0, got 0.0"),
        ({"step_size": math.nan}, r"`step_size` must be a finite number > 0, got nan"),
        ({"step_size": 0.1, "burn_in": -1}, r"`burn_in` must be an integer >= 0, got -1"),
        ({"step_size": 0.1, "target_acceptance": 1.0}, r"`target_acceptance` must be in \(0, 1\), got 1.0"),
        ({"step_size": 0.1, "root_transpose": abs}, r"`root` must be given with `root_transpose`, got None"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Langevin(**settings)


def test_bad_starts_and_potentials_are_refused():
    solver, x = Langevin(0.1), starts()
    with pytest.raises(ValueError, match=r"`x` must be a real floating tensor of shape \(n, ...\), n >= 1"):
        solver.init(gaussian, torch.zeros(3))
    with pytest.raises(ValueError, match=r"n >= 1, got \(torch.complex64, \(2, 2\)\)"):
        solver.init(gaussian, torch.zeros(2, 2, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"`chains` must be 4 integers, got \(0, 1\)"):
        solver.init(gaussian, x, chains=(0, 1))
    with pytest.raises(ValueError, match=r"`seed` must be an integer between 0 and .*, got -1"):
        solver.init(gaussian, x, seed=-1)
    with pytest.raises(TypeError, match=r"`seed` must be an integer, got 0.5"):
        solver.init(gaussian, x, seed=0.5)
    with pytest.raises(ValueError, match=r"`potential` must be finite at every start, got \[nan"):
        solver.init(lambda x: (x.flatten(1).sum(1) * math.nan, x), x)
    with pytest.raises(ValueError, match=r"`potential` must return values \(4,\) and gradients \(4, 3, 5\)"):
        solver.init(lambda x: (x.sum(), x), x)
    with pytest.raises(ValueError, match=r"`potential` must return observables \(4, k\), got \(4,\)"):
        solver.init(lambda x: Evaluation(x.flatten(1).sum(1), x, x.flatten(1).sum(1)), x)
