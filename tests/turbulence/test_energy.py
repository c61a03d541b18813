import pytest
import torch

from phasewave.turbulence.energy import MomentMatching, spread_weights


class Moments(torch.nn.Module):
    """Some real and complex moments of a field, each of its own scale."""

    def __init__(self, *, complex_valued: bool = True) -> None:
        super().__init__()
        self.complex_valued = complex_valued
        self.calls = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        shifted = torch.fft.fft2(x)[..., :3, 1] / 8 + 2j * x.square().mean((-2, -1))[..., None]
        powers = torch.stack([(x**k).mean((-2, -1)) for k in (1, 2, 3)], dim=-1)
        return torch.cat([shifted, powers + 0j], dim=-1) if self.complex_valued else powers


def fields(n=4, dtype=torch.float64):
    return torch.randn(n, 8, 8, generator=torch.Generator().manual_seed(0), dtype=dtype)


def target(moments, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return moments(torch.randn(1, 8, 8, generator=generator, dtype=torch.float64) + 0.5)[0]


@pytest.mark.parametrize("complex_valued", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_loss_is_its_formula(complex_valued, weighted):
    moments = Moments(complex_valued=complex_valued)
    wanted = target(moments)
    weights = torch.linspace(0.0, 2.0, len(wanted), dtype=torch.float64) if weighted else None
    matching = MomentMatching(moments, wanted, weights=weights)
    for x, loss in zip(fields(), matching(fields()), strict=True):
        numerator = denominator = 0.0
        for i, (phi, t) in enumerate(zip(moments(x[None])[0].tolist(), wanted.tolist(), strict=True)):
            w = 1.0 if weights is None else weights[i].item()
            numerator += w * abs(phi - t) ** 2
            denominator += w * abs(t) ** 2
        assert loss.item() == pytest.approx(numerator / denominator, rel=1e-13)


def test_the_loss_of_the_target_is_zero_and_of_nothing_is_one():
    moments = Moments()
    x = fields(1)
    assert MomentMatching(moments, moments(x)[0])(x).item() == 0.0
    silent = MomentMatching(lambda x: 0.0 * moments(x), moments(x)[0])
    assert silent(x).item() == pytest.approx(1.0, rel=1e-15)


def test_the_gradient_is_exact():
    moments = Moments()
    matching = MomentMatching(moments, target(moments), weights=torch.linspace(0.1, 2.0, 6))
    x = fields(2).requires_grad_()
    assert torch.autograd.gradcheck(matching, (x,))
    losses, gradient = matching.value_and_gradient(x)
    assert not losses.requires_grad
    assert not gradient.requires_grad
    torch.testing.assert_close(losses, matching(x).detach(), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(gradient, torch.autograd.grad(matching(x).sum(), x)[0], rtol=1e-12, atol=1e-16)


def test_it_works_where_gradients_are_switched_off():
    matching = MomentMatching(Moments(), target(Moments()))
    wanted = matching.value_and_gradient(fields())[1]
    with torch.no_grad():
        assert torch.equal(matching.value_and_gradient(fields())[1], wanted)


def test_chunks_bound_the_calls_and_change_nothing():
    moments = Moments()
    wanted = target(moments)
    moments.calls.clear()
    results = {}
    for chunk, calls in ((1, [1] * 5), (2, [2, 2, 1]), (7, [5]), (None, [5])):
        results[chunk] = MomentMatching(moments, wanted, chunk=chunk).value_and_gradient(fields(5))
        assert moments.calls == calls
        moments.calls.clear()
    for losses, gradient in results.values():
        torch.testing.assert_close(losses, results[1][0], rtol=1e-14, atol=0.0)
        torch.testing.assert_close(gradient, results[1][1], rtol=1e-12, atol=1e-16)


def test_with_chunk_1_a_sample_does_not_know_its_batch():
    matching = MomentMatching(Moments(), target(Moments()))
    losses, gradient = matching.value_and_gradient(fields(5))
    one_loss, one_gradient = matching.value_and_gradient(fields(5)[3:4])
    assert torch.equal(losses[3:4], one_loss)
    assert torch.equal(gradient[3:4], one_gradient)


def test_float32_fields_have_float64_losses_and_float32_gradients():
    moments = Moments()
    losses, gradient = MomentMatching(moments, target(moments).to(torch.complex64)).value_and_gradient(
        fields(dtype=torch.float32)
    )
    exact, exact_gradient = MomentMatching(moments, target(moments)).value_and_gradient(
        fields(dtype=torch.float32).double()
    )
    assert losses.dtype == torch.float64
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(losses, exact, rtol=1e-5, atol=0.0)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"statistics": 3}, TypeError, r"`statistics` must be a module or a function, got int"),
        ({"target": [1.0]}, TypeError, r"`target` must be a real or complex tensor, got list"),
        ({"target": torch.ones(3, dtype=torch.int64)}, TypeError, r"`target` must be a real or complex tensor"),
        ({"target": torch.ones(2, 6)}, ValueError, r"`target` must have one axis \(n_moments,\), got \(2, 6\)"),
        ({"target": torch.zeros(6)}, ValueError, r"`target` must hold finite moments, one at least"),
        ({"target": torch.full((6,), torch.nan)}, ValueError, r"`target` must hold finite moments"),
        ({"weights": torch.zeros(6)}, ValueError, r"one at least of non-zero weight"),
        ({"weights": torch.ones(5)}, ValueError, r"`weights` must be real, of shape \(6,\), got \(5,\)"),
        ({"weights": -torch.ones(6)}, ValueError, r"`weights` must be >= 0, got -1.0"),
        ({"chunk": 0}, ValueError, r"`chunk` must be an integer >= 1, got 0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    arguments = {"statistics": Moments(), "target": torch.ones(6)} | arguments
    with pytest.raises(error, match=message):
        MomentMatching(arguments.pop("statistics"), arguments.pop("target"), **arguments)


def test_statistics_of_a_wrong_shape_are_named():
    matching = MomentMatching(lambda x: x.mean((-2, -1)), torch.ones(6))
    with pytest.raises(ValueError, match=r"`statistics` must return moments \(1, 6\), got \(1,\)"):
        matching.value_and_gradient(fields())


def test_the_losses_of_classes_are_their_formula():
    moments = Moments()
    wanted, kinds = target(moments), ["a", "b", "a", "c", "c", "b"]
    weights = torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
    matching = MomentMatching(moments, wanted, weights=weights, kinds=kinds)
    found = matching.class_losses(moments(fields()))
    assert list(found) == ["a", "b", "c"]
    squares = weights * (moments(fields()) - wanted).abs().square()
    for kind, losses in found.items():
        rows = [i for i, name in enumerate(kinds) if name == kind]
        scale = (weights * wanted.abs().square())[rows].sum()
        torch.testing.assert_close(losses, squares[:, rows].sum(1) / scale, rtol=1e-12, atol=0.0)


def test_a_class_of_zeros_is_relative_to_its_share():
    matching = MomentMatching(lambda x: x, torch.tensor([3.0, 4.0, 0.0, 0.0]), kinds=["a", "a", "b", "b"])
    losses = matching.class_losses(torch.tensor([[3.0, 5.0, 0.5, 0.0]]))
    assert losses["a"].item() == pytest.approx(1 / 25)
    assert losses["b"].item() == pytest.approx(0.25 / (2 * 25 / 4))


def test_the_balanced_loss_is_the_sum_over_classes_in_their_tolerances():
    moments = Moments()
    wanted, kinds = target(moments), ["a", "b", "a", "c", "c", "b"]
    matching = MomentMatching(moments, wanted, kinds=kinds)
    balanced, goal = matching.balanced({"a": 1e-2, "rest": 3.0})
    classes = matching.class_losses(moments(fields()))
    total = classes["a"] / 1e-2 + classes["b"] / 3.0 + classes["c"] / 3.0
    torch.testing.assert_close(balanced(fields()) / goal, total, rtol=1e-12, atol=0.0)
    # the classes' own losses do not depend on the balance
    for kind, losses in balanced.class_losses(moments(fields())).items():
        torch.testing.assert_close(losses, classes[kind], rtol=1e-12, atol=0.0)


def test_weights_of_a_spread_by_hand():
    rows = torch.tensor([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0]], dtype=torch.float64)
    # variances 2, 1/2, 0; the median 1/2
    wanted = torch.tensor([1 / 2.5, 1 / 1.0, 1 / 0.5], dtype=torch.float64)
    torch.testing.assert_close(spread_weights(rows), wanted / wanted.mean())
    # of complex moments, both parts count
    torch.testing.assert_close(spread_weights(rows * 1j), wanted / wanted.mean())
    assert spread_weights(rows[:1].expand(2, -1)).tolist() == [1.0, 1.0, 1.0]
