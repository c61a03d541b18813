"""The Navier-Stokes solver against exact solutions and budgets; its files and its command."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    """Import a script by its path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "data_scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


ns = load("navier_stokes")
script = load("make_turbulence")


def grid(size):
    """Coordinates (x, y) of the points: y along axis 0, x along axis 1."""
    points = torch.arange(size, dtype=torch.float64) * 2 * math.pi / size
    return points[None, :], points[:, None]


def random_state(equation, seed=0, *, power=1.0):
    """A vorticity that fills every resolved mode, of standard deviation 1."""
    noise = torch.randn(equation.size, equation.size, dtype=torch.float64, generator=seeded(seed))
    w = torch.fft.rfft2(noise) * equation.resolved * equation.inverse_laplacian ** (power / 2)
    return w / math.sqrt(2 * ns.enstrophy(w))


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def on_grid(w):
    return torch.fft.irfft2(w, s=(w.shape[0], w.shape[0]))


def fixed_steps(equation, w, time, n_steps):
    for _ in range(n_steps):
        w = ns.runge_kutta(equation, w, time / n_steps, slope=ns.advection(equation, w)[0])
    return w


def last_state(equation, w, times, *, cfl=0.5, seed=0):
    *_, (n_steps, w) = ns.evolve(equation, w, times, cfl=cfl, generator=seeded(seed))
    return n_steps, w


# ---------------------------------------------------------------- exact solutions


def test_advection_closed_form():
    # w = cos x + cos 2y has psi = cos x + cos(2y)/4, u = -sin(2y)/2, v = sin x.
    x, y = grid(16)
    w = torch.fft.rfft2(torch.cos(x) + torch.cos(2 * y))
    slope, (u, v) = ns.advection(ns.NavierStokes(16, 0.0), w)
    torch.testing.assert_close(u, (-torch.sin(2 * y) / 2).expand(16, 16), rtol=0, atol=1e-14)
    torch.testing.assert_close(v, torch.sin(x).expand(16, 16), rtol=0, atol=1e-14)
    torch.testing.assert_close(on_grid(slope), 1.5 * torch.sin(x) * torch.sin(2 * y), rtol=0, atol=1e-13)


@pytest.mark.parametrize("drag", [0.0, 0.3])
def test_taylor_green_decay_is_exact(drag):
    x, y = grid(32)
    viscosity, times = 0.05, [0.0, 0.37, 1.0, 2.9]
    shape = 2 * torch.cos(x) * torch.cos(y)
    equation = ns.NavierStokes(32, viscosity, drag=drag)
    states = ns.evolve(equation, torch.fft.rfft2(shape), times, cfl=0.5, generator=seeded(0))
    for t, (_, w) in zip(times, states, strict=True):
        exact = shape * math.exp(-(2 * viscosity + drag) * t)
        torch.testing.assert_close(on_grid(w), exact, rtol=0, atol=2e-14)
        assert ns.energy(equation, w) == pytest.approx(0.25 * math.exp(-2 * (2 * viscosity + drag) * t), rel=1e-13)
        assert ns.enstrophy(w) == pytest.approx(2 * ns.energy(equation, w), rel=1e-13)


def travelling(size, t, *, viscosity, flow):
    """A cellular flow of |k|^2 = 5, not aligned with the axes, carried along by a uniform velocity."""
    x, y = grid(size)
    x, y = x - flow[0] * t, y - flow[1] * t
    w = torch.cos(x + 2 * y) + 2 * torch.sin(2 * x - y) + 0.5 * torch.cos(2 * x + y)
    return w * math.exp(-5 * viscosity * t)


def test_travelling_vortices_converge_at_fourth_order():
    flow, viscosity, time = (0.7, -0.4), 0.02, 1.0
    equation = ns.NavierStokes(32, viscosity, mean_flow=flow)
    w0 = torch.fft.rfft2(travelling(32, 0, viscosity=viscosity, flow=flow))
    exact = travelling(32, time, viscosity=viscosity, flow=flow)
    errors = [float((on_grid(fixed_steps(equation, w0, time, n)) - exact).abs().max()) for n in (16, 32, 64, 512)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.15)
    assert errors[3] < 1e-10


def test_turbulence_converges_at_fourth_order():
    equation = ns.NavierStokes(32, 1e-2, drag=0.1)
    w0 = 3 * random_state(equation, power=3)
    reference = fixed_steps(equation, w0, 1.0, 480)
    errors = [ns.enstrophy(fixed_steps(equation, w0, 1.0, n) - reference) ** 0.5 for n in (40, 80, 160)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.25)


def test_float32_follows_float64():
    double, single = ns.NavierStokes(32, 1e-2), ns.NavierStokes(32, 1e-2, dtype=torch.float32)
    w0 = random_state(double, power=3)
    _, expected = last_state(double, w0, [0.0, 1.0])
    _, w = last_state(single, w0.to(torch.complex64), [0.0, 1.0])
    assert w.dtype == torch.complex64
    torch.testing.assert_close(on_grid(w).double(), on_grid(expected), rtol=0, atol=2e-5)


# ---------------------------------------------------------------- dealiasing and invariants


@pytest.mark.parametrize("size", [16, 18, 22])
def test_resolved_modes(size):
    """k is kept if and only if no sum of two kept wave numbers comes back onto k in disguise."""
    equation = ns.NavierStokes(size, 0.0)
    kept = {k for k in range(-size // 2, size // 2) if 3 * abs(k) < size}
    assert not any(abs(a + b) > max(kept) and wrap(a + b, size) in kept for a in kept for b in kept)
    more = kept | {max(kept) + 1, -max(kept) - 1}  # one wave number more would alias
    assert any(abs(a + b) > max(more) and wrap(a + b, size) in more for a in more for b in more)
    expected = torch.tensor(
        [
            [wrap(i, size) in kept and j in kept and (i, j) != (0, 0) for j in range(size // 2 + 1)]
            for i in range(size)
        ]
    )
    assert torch.equal(equation.resolved, expected)


def wrap(k, size):
    return (k + size // 2) % size - size // 2


@pytest.mark.parametrize("size", [16, 18, 20])
def test_advection_has_no_aliasing(size):
    equation, fine = ns.NavierStokes(size, 0.0), ns.NavierStokes(3 * size, 0.0)
    w = random_state(equation)
    slope, _ = ns.advection(equation, w)
    wide, _ = ns.advection(fine, ns.resize(w, 3 * size))
    expected = ns.resize(wide, size) * equation.resolved
    torch.testing.assert_close(slope, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    # the products do reach beyond: without the truncation the coarse grid would be wrong
    assert float((wide.abs() > 1e-3 * wide.abs().max()).sum()) > float(equation.resolved.sum())


def test_advection_conserves_energy_and_enstrophy():
    equation = ns.NavierStokes(32, 0.0)
    w = random_state(equation)
    slope, _ = ns.advection(equation, w)
    size = math.sqrt(ns.enstrophy(slope) * ns.enstrophy(w))
    assert abs(ns.mean_product(w, slope)) < 1e-14 * size
    assert abs(ns.mean_product(equation.inverse_laplacian * w, slope)) < 1e-14 * size


def test_inviscid_flow_conserves_energy_and_enstrophy():
    equation = ns.NavierStokes(32, 0.0)
    w0 = random_state(equation, power=2)
    w = fixed_steps(equation, w0, 2.0, 400)
    assert ns.enstrophy(w - w0) > 0.1 * ns.enstrophy(w0)
    assert ns.energy(equation, w) == pytest.approx(ns.energy(equation, w0), rel=1e-9)
    assert ns.enstrophy(w) == pytest.approx(ns.enstrophy(w0), rel=1e-9)


def test_viscous_budgets():
    """dE/dt = -2 (nu Z + drag E), dZ/dt = -2 (nu P + drag Z), P = mean |grad w|^2 / 2, by Simpson's rule."""
    viscosity, drag, n = 1e-2, 0.2, 64
    equation = ns.NavierStokes(32, viscosity, drag=drag)
    times = [i / n for i in range(n + 1)]
    states = ns.evolve(equation, 2 * random_state(equation, power=2), times, cfl=0.25, generator=seeded(0))
    kx, ky = equation.wavenumbers
    rows = [
        (ns.energy(equation, w), ns.enstrophy(w), ns.mean_product(w, (kx**2 + ky**2) * w) / 2) for _, w in states
    ]
    e, z, p = np.array(rows).T
    simpson = np.array([1, *([4, 2] * (n // 2 - 1)), 4, 1]) / (3 * n)
    assert e[0] - e[-1] == pytest.approx(2 * float(simpson @ (viscosity * z + drag * e)), rel=1e-7)
    assert z[0] - z[-1] == pytest.approx(2 * float(simpson @ (viscosity * p + drag * z)), rel=1e-6)
    assert z[-1] < 0.8 * z[0]


# ---------------------------------------------------------------- steps and grids


def test_step_size():
    still, stirred = ns.NavierStokes(32, 0.0), ns.NavierStokes(32, 0.0, injection=0.1, band=(3, 4))
    flow = torch.zeros(2, 32, 32, dtype=torch.float64)
    assert ns.step_size(still, flow, cfl=0.5) == math.inf
    dt = ns.step_size(stirred, flow, cfl=0.5)
    assert math.sqrt(2 * 0.1 * dt) * dt == pytest.approx(0.5 * 2 * math.pi / 32)
    flow[:, 3, 4] = torch.tensor([3.0, -1.0])
    assert ns.step_size(still, flow, cfl=0.5) == pytest.approx(0.5 * 2 * math.pi / 32 / 4)
    flow[0, 0, 0] = math.nan
    with pytest.raises(FloatingPointError, match="CFL"):
        ns.step_size(still, flow, cfl=0.5)


def test_cfl_sets_the_number_of_steps():
    equation = ns.NavierStokes(32, 0.0, mean_flow=(1.0, 0.0))
    rest = torch.zeros(32, 17, dtype=torch.complex128)
    times = [0.0, 1.0, 1.01]
    assert last_state(equation, rest, times, cfl=0.5)[0] == math.ceil(1 / (0.5 * 2 * math.pi / 32)) + 1
    assert last_state(equation, rest, times, cfl=5.0)[0] == math.ceil(1 / (5.0 * 2 * math.pi / 32)) + 1


@pytest.mark.parametrize(("n", "size"), [(16, 8), (16, 9), (16, 32), (15, 32), (16, 16)])
def test_resize_keeps_the_wave_numbers_of_both_grids(n, size):
    half = (min(n, size) - 1) // 2

    def field(points):
        x, y = grid(points)
        return 0.7 + torch.cos(half * x + y) - 2 * torch.sin(x - half * y)

    finer = torch.cos((n // 2) * grid(n)[0]) if n % 2 == 0 and size <= n else 0  # beyond, or Nyquist: dropped
    result = torch.fft.irfft2(ns.resize(torch.fft.rfft2(field(n) + finer), size), s=(size, size))
    torch.testing.assert_close(result, field(size), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 31}, "`size` must be even, got 31"),
        ({"size": 4}, "`size` must be an integer >= 8, got 4"),
        ({"viscosity": -1.0}, "`viscosity` must be finite and >= 0, got -1.0"),
        ({"drag": math.inf}, "`drag` must be finite and >= 0, got inf"),
        (
            {"injection": 1.0, "band": (4.0, 3.0)},
            r"`band` must be 1 <= low <= high < size / 3 = 10.7, got \(4.0, 3.0\)",
        ),
        ({"injection": 1.0, "band": (3.0, 11.0)}, "`band` must be 1 <= low <= high"),
        ({"injection": 1.0, "band": (3.3, 3.5)}, "`band` must hold a wave number of the grid"),
    ],
)
def test_bad_equations(options, message):
    with pytest.raises(ValueError, match=message):
        ns.NavierStokes(**({"size": 32, "viscosity": 0.0} | options))


# ---------------------------------------------------------------- random numbers


def test_white_vorticity_spectrum_and_sizes():
    coarse, fine = ns.NavierStokes(48, 0.0), ns.NavierStokes(256, 0.0)
    small, large = (
        ns.white_vorticity(e, amplitude=10.0, smoothing=4.0, generator=seeded(3)) for e in (coarse, fine)
    )
    torch.testing.assert_close(ns.resize(large, 48) * coarse.resolved, small, rtol=0, atol=1e-9)
    # power per mode (10 / 512)^2 exp(-(4 * 2 pi k / 512)^2), an exponential variable on half of the plane
    kx, ky = fine.wavenumbers
    power = (large.abs() / 256**2) ** 2 / (
        (10 / 512) ** 2 * torch.exp(-((8 * math.pi / 512) ** 2) * (kx**2 + ky**2))
    )
    for low, high in ((1, 20), (20, 50), (50, 80)):
        shell = power[:, 1:][((kx**2 + ky**2 >= low**2) & (kx**2 + ky**2 < high**2))[:, 1:]]
        assert abs(float(shell.mean()) - 1) < 4 / math.sqrt(len(shell))


def test_forcing_band_and_rate():
    equation = ns.NavierStokes(32, 0.0, injection=0.4, band=(3.0, 4.5))
    generator, n, dt = seeded(0), 400, 0.05
    kicks = torch.stack([ns.forcing(equation, dt, generator) for _ in range(n)])
    kx, ky = equation.wavenumbers
    k = (kx**2 + ky**2).sqrt()
    inside = (k >= 3) & (k <= 4.5)
    assert kicks[:, ~inside].abs().max() == 0
    # a state is that of a real field: the transform of its inverse is itself
    torch.testing.assert_close(torch.fft.rfft2(on_grid(kicks[0])), kicks[0], rtol=0, atol=1e-9)
    n_modes = int(inside[:, 0].sum() + 2 * inside[:, 1:].sum())  # as many real degrees of freedom
    energies = torch.tensor([ns.energy(equation, kick) for kick in kicks])
    assert abs(float(energies.mean()) / (0.4 * dt) - 1) < 4 * math.sqrt(2 / (n_modes * n))
    assert float(energies.std()) / (0.4 * dt) == pytest.approx(math.sqrt(2 / n_modes), rel=0.15)
    share = ((kicks.abs() / 32**2) ** 2 / k.clamp_min(1) ** 2).mean(0)[inside] / (2 * 0.4 * dt / n_modes)
    assert float((share - 1).abs().max()) < 5 * math.sqrt(2 / n)


def test_forcing_does_not_depend_on_the_grid():
    small, large = (
        ns.forcing(ns.NavierStokes(n, 0.0, injection=1.0, band=(3, 5)), 0.1, seeded(1)) for n in (16, 40)
    )
    torch.testing.assert_close(ns.resize(large, 16), small, rtol=0, atol=1e-10)


def test_forced_energy_budget():
    """E(T) = injection T - 2 int (nu Z + drag E) dt + M, where the martingale M has a known variance.

    Var M <= 4 injection int E dt / (number of forced modes) + that of the kicks' own energies.
    """
    equation = ns.NavierStokes(24, 5e-3, drag=0.25, injection=0.3, band=(2.0, 3.0))
    time, n = 48.0, 960
    times = [time * i / n for i in range(n + 1)]
    rest = torch.zeros(24, 13, dtype=torch.complex128)
    states = ns.evolve(equation, rest, times, cfl=1.0, generator=seeded(5))
    e, z = np.array([(ns.energy(equation, w), ns.enstrophy(w)) for _, w in states]).T
    middle = slice(None, -1)
    losses = 2 * (5e-3 * (z[middle] + z[1:]) / 2 + 0.25 * (e[middle] + e[1:]) / 2) * time / n
    n_modes = sum(4 <= i**2 + j**2 <= 9 for i in range(-3, 4) for j in range(-3, 4))
    sigma = math.sqrt(4 * 0.3 * e.mean() * time / n_modes)
    assert sigma < 0.1 * 0.3 * time
    assert abs(e[-1] + losses.sum() - 0.3 * time) < 3 * sigma


# ---------------------------------------------------------------- files and command

FAST = ["--size", "32", "--cut", "24", "--time", "0.5", "--viscosity", "0.001"]


def call(*arguments):
    return CliRunner().invoke(script.app, [str(a) for a in arguments])


def fields(path):
    with h5py.File(path) as file:
        return file["fields"][:]


def test_decaying_file(tmp_path):
    out = tmp_path / "new" / "fields.h5"
    result = call("decaying", *FAST, "--seed", 7, "--count", 2, "--out", out)
    assert result.exit_code == 0, result.output
    assert [p.name for p in out.parent.iterdir()] == ["fields.h5"]
    with h5py.File(out) as file:
        assert file["fields"].shape == (2, 24, 24)
        assert file["fields"].dtype == np.float32
        assert file["seed"][:].tolist() == [7, 8]
        assert file["energy"].shape == file["enstrophy"].shape == (2, 65)
        assert file["time"][0] == 0
        assert file["time"][-1] == 0.5
        assert (np.diff(file["enstrophy"][:]) < 0).all()
        settings = json.loads(file.attrs["settings"])
        assert settings == {
            "mode": "decaying",
            "seed": 7,
            "count": 2,
            "size": 32,
            "cut": 24,
            "time": 0.5,
            "viscosity": 0.001,
            "amplitude": 10.0,
            "smoothing": 0.8,
            "cfl": 0.5,
            "float32": False,
        }
        assert set(json.loads(file.attrs["versions"])) == {"python", "torch", "h5py"}
        assert {"equation", "units", "command", "device", "license"} < set(file.attrs)
        # the stored field has the last enstrophy: 24 points hold every resolved mode of 32
        assert (file["fields"][:].astype(float) ** 2).mean((1, 2)) / 2 == pytest.approx(file["enstrophy"][:, -1])


def test_same_seed_same_field(tmp_path):
    for name, seed, count in (("a", 1, 2), ("b", 2, 1), ("c", 2, 1)):
        assert call("decaying", *FAST, "--seed", seed, "--count", count, "--out", tmp_path / name).exit_code == 0
    a, b, c = (fields(tmp_path / name) for name in "abc")
    assert np.array_equal(b, c)
    assert np.array_equal(a[1], b[0])
    assert not np.allclose(a[0], a[1], atol=0.1)


def test_forced_file(tmp_path):
    arguments = ["forced", *FAST, "--band", 3, 5, "--drag", 0.2, "--injection", 0.05]
    for name in "ab":
        assert call(*arguments, "--out", tmp_path / name).exit_code == 0
    assert np.array_equal(fields(tmp_path / "a"), fields(tmp_path / "b"))
    with h5py.File(tmp_path / "a") as file:
        assert json.loads(file.attrs["settings"])["band"] == [3.0, 5.0]
        assert file["energy"][0, 0] == 0
        assert 0.2 < file["energy"][0, -1] / (0.05 * 0.5) < 2


def test_interrupted_run_resumes(tmp_path, monkeypatch):
    out, whole = tmp_path / "out.h5", tmp_path / "whole.h5"
    arguments = ["decaying", *FAST, "--count", 3]
    solved = []

    def solve(equation, w, times, **options):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(1)
        return ns.solve(equation, w, times, **options)

    monkeypatch.setattr(script, "solve", solve)
    result = call(*arguments, "--out", out)
    assert result.exit_code == 4
    assert "interrupted: the finished fields are in" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5.partial"]
    assert len(fields(tmp_path / "out.h5.partial")) == 2

    other = call(*arguments, "--viscosity", 0.5, "--out", out)
    assert other.exit_code == 2
    assert "holds an interrupted run with other settings" in other.stderr

    solved[:] = [1]  # one more field is allowed: the other two must not be solved again
    assert call(*arguments, "--out", out).exit_code == 0
    monkeypatch.undo()
    assert call(*arguments, "--out", whole).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5", "whole.h5"]
    with h5py.File(out) as a, h5py.File(whole) as b:
        assert set(a) == set(b) == {"fields", "seed", "n_steps", "time", "energy", "enstrophy"}
        assert all(np.array_equal(a[name][:], b[name][:]) for name in a)


def test_interrupted_in_the_first_field(tmp_path, monkeypatch):
    def solve(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "solve", solve)
    result = call("decaying", *FAST, "--out", tmp_path / "out.h5")
    assert result.exit_code == 4
    assert "interrupted: no field was finished" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_save_leaves_no_half_file(tmp_path):
    path = tmp_path / "a.h5"
    script.save(path, {"fields": np.ones(3)}, {})
    with pytest.raises(TypeError):
        script.save(path, {"fields": np.zeros(3), "bad": np.array(object())}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert fields(path).tolist() == [1, 1, 1]


def test_existing_output_is_kept(tmp_path):
    out = tmp_path / "out.h5"
    out.write_text("precious")
    result = call("decaying", *FAST, "--out", out)
    assert result.exit_code == 2
    assert "exists: give another --out, or --overwrite" in result.stderr
    assert out.read_text() == "precious"
    assert call("decaying", *FAST, "--out", out, "--overwrite").exit_code == 0
    assert fields(out).shape == (1, 24, 24)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--count", 0], 2, "`count` must be an integer >= 1, got 0"),
        (["--seed", -1], 2, "`seed` must be an integer between 0 and"),
        (["--size", 33], 2, "`size` must be even, got 33"),
        (["--cut", 33], 2, "`cut` must be an integer between 8 and 32, got 33"),
        (["--time", 0], 2, "`time` must be finite and > 0, got 0.0"),
        (["--cfl", "nan"], 2, "`cfl` must be finite and > 0, got nan"),
        (["--smoothing", -1], 2, "`smoothing` must be finite and >= 0, got -1.0"),
        (["--viscosity", -1], 2, "`viscosity` must be finite and >= 0, got -1.0"),
        (["--device", "abacus"], 2, "`device` 'abacus' cannot be used"),
        (["--size", "many"], 2, "'--size'"),
        (["--cfl", 40, "--time", 50, "--amplitude", 1e4], 4, "did not stay finite: lower the CFL number"),
    ],
)
def test_command_errors(tmp_path, options, code, message):
    result = call("decaying", *FAST, "--out", tmp_path / "out.h5", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_command_needs_an_output():
    result = call("decaying")
    assert result.exit_code == 2
    assert "--out" in result.stderr


# ---------------------------------------------------------------- the embedded field


def test_embedded_field():
    with h5py.File(script.EMBEDDED) as file:
        field = torch.from_numpy(file["field"][:])
        settings, series = (
            json.loads(file.attrs["settings"]),
            {k: file[k][:] for k in ("energy", "enstrophy")},
        )
        assert file.attrs["license"] == "MIT"
        assert file.attrs["command"] == "python data_scripts/make_turbulence.py embedded --overwrite"
    assert field.shape == (256, 256)
    assert field.dtype == torch.float32
    assert settings["seed"] == 2026
    # it starts from the noise of its seed, and ends at the recorded energy and enstrophy
    equation = ns.NavierStokes(settings["size"], settings["viscosity"])
    w = script.initial_state(equation, settings, seeded(2026))
    assert series["energy"][0] == pytest.approx(ns.energy(equation, w), rel=1e-12)
    assert series["enstrophy"][0] == pytest.approx(ns.enstrophy(w), rel=1e-12)
    end = ns.resize(torch.fft.rfft2(field.double()), settings["size"])
    assert series["energy"][-1] == pytest.approx(ns.energy(equation, end), rel=1e-6)
    assert series["enstrophy"][-1] == pytest.approx(ns.enstrophy(end), rel=1e-3)


def test_embedded_command_runs_the_recorded_settings(tmp_path, monkeypatch):
    """Run here on a small grid; the settings it asks for are those of the shipped file."""
    asked = []
    run = script.run

    def small(settings, **options):
        asked.append(json.loads(json.dumps(settings)))
        run(settings | {"size": 32, "cut": 24, "time": 0.5}, **options)

    monkeypatch.setattr(script, "run", small)
    out = tmp_path / "field.h5"
    assert call("embedded", "--out", out).exit_code == 0
    with h5py.File(script.EMBEDDED) as shipped, h5py.File(out) as file:
        assert json.loads(shipped.attrs["settings"]) == asked[0]
        assert set(shipped) == set(file) == {"field", "seed", "n_steps", "time", "energy", "enstrophy"}
        assert set(shipped.attrs) == set(file.attrs)
        assert file["field"].shape == (24, 24)
        assert file["energy"].shape == shipped["energy"].shape
