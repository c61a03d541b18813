import pytest
import torch

from phasewave.images.convolutional_decoder import ConvolutionalDecoder
from phasewave.images.network_parts import halved_sizes, matching_width
from phasewave.runs.trainable import n_parameters


@pytest.mark.parametrize(
    ("size", "channels"), [(16, 1), (28, 1), (32, 3), (64, 3), ((20, 30), 1), (8, 1), (128, 1)]
)
def test_shapes(size, channels):
    decoder = ConvolutionalDecoder(5, size, n_channels=channels, width=2)
    images = decoder.decode(torch.zeros(3, 5))
    sides = (size, size) if isinstance(size, int) else size
    assert images.shape == (3, channels, *sides)
    assert images.dtype is torch.float32
    assert 0 <= float(images.min()) <= float(images.max()) <= 1


def test_sizes_halve_to_four_or_less():
    assert halved_sizes((64, 64)) == [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]
    assert halved_sizes((28, 28)) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert halved_sizes((20, 33))[-1] == (2, 3)


def test_the_number_of_weights_is_as_described():
    # 64 pixels: linear to 4 x 4 x 16 c, four 5 x 5 convolutions 16c -> 8c -> 4c -> 2c -> c, one to 3 planes
    c, d = 4, 10
    convolutions = 25 * (16 * 8 + 8 * 4 + 4 * 2 + 2) * c * c
    normalisations = 2 * (16 + 8 + 4 + 2 + 1) * c
    expected = d * 16 * 16 * c + convolutions + normalisations + 25 * c * 3 + 3
    assert n_parameters(ConvolutionalDecoder(d, 64, n_channels=3, width=c)) == expected


def test_a_seed_fixes_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    codes = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    first, same, other = (ConvolutionalDecoder(5, 16, width=2, seed=s).decode(codes) for s in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_decode_uses_running_statistics_and_keeps_the_mode():
    decoder = ConvolutionalDecoder(5, 16, width=2)
    codes = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    decoder.train()
    together = decoder.decode(codes)
    assert decoder.training
    assert torch.allclose(together[:1], decoder.decode(codes[:1]), atol=1e-6)
    assert not decoder.decode(codes[:0]).numel()


def test_matching_width_is_the_nearest():
    def make(width):
        return ConvolutionalDecoder(16, 32, width=width)

    counts = {width: n_parameters(make(width)) for width in range(1, 20)}
    for target in (counts[7], round((counts[11] * counts[12]) ** 0.5) - 5, 1):
        found = matching_width(make, target, largest=19)
        near = {width: max(count / target, target / count) for width, count in counts.items()}
        assert near[found] == min(near.values())


def test_bad_input():
    with pytest.raises(ValueError, match="`n_channels` must be 1 or 3, got 2"):
        ConvolutionalDecoder(5, 16, n_channels=2)
    with pytest.raises(ValueError, match="`size` must be an integer >= 8, got 4"):
        ConvolutionalDecoder(5, 4)
    with pytest.raises(ValueError, match="over 4 times the other"):
        ConvolutionalDecoder(5, (8, 64))
    with pytest.raises(ValueError, match=r"`codes` must have the shape \(n, 5\)"):
        ConvolutionalDecoder(5, 16, width=2)(torch.zeros(5))
