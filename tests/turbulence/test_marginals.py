import pytest
import torch

from phasewave.turbulence.marginals import Marginals


def field(seed: int = 0) -> torch.Tensor:
    return torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).exp()


def marginals() -> Marginals:
    return Marginals((32, 32), n_scales=2, widths=(1.5,), n_bins=32, dtype=torch.float64)


def test_quantiles_of_the_field_are_means_of_its_sorted_values() -> None:
    x, module = field(), marginals().standardized(field(1))
    at = [i for i, row in enumerate(module.table) if row.source == "field"]
    expected = x.flatten().sort().values.view(32, -1).mean(-1) / (field(1).std(correction=0) * 32**0.5)
    torch.testing.assert_close(module(x)[at], expected)


def test_the_squared_gradient_is_spectral() -> None:
    u = 2 * torch.pi / 32 * torch.arange(32, dtype=torch.float64)
    x = (3 * u)[:, None].sin() + (2 * u).cos()
    gradient = ((3 * u).cos()[:, None] ** 2 * 9 + (2 * u).sin() ** 2 * 4) * (2 * torch.pi / 32) ** 2
    module = marginals()
    at = [i for i, row in enumerate(module.table) if row.source == "squared gradient"]
    expected = gradient.flatten().sort().values.view(32, -1).mean(-1) / 32**0.5
    torch.testing.assert_close(module(x)[at], expected, rtol=0, atol=1e-12)


def test_shifts_change_nothing_and_the_table_names_every_moment() -> None:
    module, x = marginals(), field()
    assert module(x).shape == (len(module.table),)
    torch.testing.assert_close(module(torch.roll(x, (16, 16), (0, 1))), module(x), rtol=0, atol=1e-12)


def test_gradients_are_those_of_differences() -> None:
    module = Marginals((16, 16), n_scales=1, widths=(), n_bins=4, dtype=torch.float64)
    x = field()[:16, :16].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: (module(x) ** 2).sum(), x, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("options", [{"n_scales": 0}, {"n_bins": 0}, {"widths": (0.0,)}])
def test_wrong_arguments_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Marginals((32, 32), **{"n_scales": 2, **options})
