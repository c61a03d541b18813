import pytest
import torch

from phasewave.turbulence.marginals import Marginals
from phasewave.turbulence.masks import LEAK


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


def hole() -> torch.Tensor:
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[3:9, 20:26] = False
    return mask


def smooth() -> torch.Tensor:
    """A skewed field without power near the Nyquist frequency."""
    x = field().log().repeat(3, 3)[None]
    for _ in range(3):
        x = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    return (2 * x[0, 32:64, 32:64]).exp()


def test_a_mask_without_gaps_changes_nothing() -> None:
    module, x = marginals().standardized(field(1)), field()
    masked = module.masked(torch.ones(32, 32, dtype=torch.bool))
    torch.testing.assert_close(masked(x), module(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(masked.standardized(x).deviations, module.standardized(x).deviations)


def test_quantiles_under_a_mask_are_those_of_the_observed_pixels() -> None:
    module, x = marginals().masked(hole()), field()
    values = module(torch.where(hole(), x, torch.nan))
    assert torch.equal(values, module(x))
    observed = x[hole()].sort().values
    at = [i for i, row in enumerate(module.table) if row.source == "field"]
    bins = torch.arange(len(observed)) * 32 // len(observed)
    expected = torch.stack([observed[bins == b].mean() for b in range(32)]) / 32**0.5
    torch.testing.assert_close(values[at], expected)
    (gradient,) = torch.autograd.grad(module(x.requires_grad_()).sum(), x)
    assert bool((gradient[~hole()] == 0).all())


def test_band_passes_and_gradients_are_taken_far_from_gaps() -> None:
    """Where the filter sees no gap, its response is that of the whole field, to the leak."""
    whole, masked, x = marginals(), marginals().masked(hole()), smooth()
    for number, (full, kept) in enumerate(zip(whole._fields(x), masked._fields(x), strict=True)):
        window = masked.get_buffer(f"window_{number}")
        error = (kept - full)[:, window].square().mean() / full.var()
        assert float(error) < LEAK, masked.sources[number]
        assert int(window.sum()) < window.numel()


def test_a_mask_that_leaves_too_few_values_is_named() -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:4, :4] = True
    with pytest.raises(ValueError, match=r"at least 32 values of field 0 far from gaps, got 16: use fewer scales"):
        marginals().masked(mask)
    mask[:16, :16] = True
    with pytest.raises(ValueError, match=r"of band-pass [4-6] far"):
        Marginals((32, 32), n_scales=4, n_bins=64).masked(mask)
    with pytest.raises(TypeError, match="boolean"):
        marginals().masked(mask.float())
