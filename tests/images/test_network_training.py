import math

import pytest
import torch

from phasewave.images.convolutional_decoder import ConvolutionalDecoder
from phasewave.images.variational import VariationalAutoencoder
from phasewave.runs.network_training import hold_out, train_network
from phasewave.runs.trainable import TrainableNetwork
from phasewave.runs.training_records import TrainingEnd, TrainingSettings

N, D = 96, 4


@pytest.fixture(scope="module")
def data():
    """Codes, and the images that they move two bars of."""
    codes = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
    at = torch.linspace(-2, 2, 16)
    rows = torch.exp(-((at - codes[:, :1]) ** 2))[:, :, None] * (1 + codes[:, 1:2, None].tanh())
    images = (0.5 * (rows + torch.exp(-((at - codes[:, 2:3]) ** 2))[:, None])).clamp(0, 1)[:, None]
    return codes, (images * 255).to(torch.uint8)


def split(parts):
    return [part[:80] for part in parts], [part[80:] for part in parts]


def settings(**changes):
    return TrainingSettings(**{"batch_size": 16, "max_epochs": 6, "learning_rate": 3e-3, **changes})


MAKERS = {
    "decoder": lambda: ConvolutionalDecoder(D, 16, width=2, seed=1),
    "autoencoder": lambda: VariationalAutoencoder(D, 16, width=2, seed=1),
}


def parts_of(name, data):
    return data if name == "decoder" else data[1:]


@pytest.mark.parametrize("name", MAKERS)
def test_the_loss_falls_and_the_best_weights_are_kept(name, data):
    network = MAKERS[name]()
    train, validation = split(parts_of(name, data))
    told = []
    result = train_network(network, train, validation, settings=settings(), progress=told.append)
    training, held_out = zip(*result.history, strict=True)
    assert training[-1] < training[0] - 0.03
    assert result.end is TrainingEnd.MAX_EPOCHS
    assert result.validation == min(held_out)
    assert held_out[result.best_epoch - 1] == result.validation
    assert not network.training
    assert [(one.epoch, one.batch) for one in told] == [(e, b) for e in range(1, 7) for b in range(1, 6)]
    assert told[4].loss == pytest.approx(training[0])
    assert math.isinf(told[4].validation)
    assert told[-1].validation == min(held_out[:5])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("batches", [3, 10])
def test_a_resumed_training_is_the_unbroken_one(name, batches, data, tmp_path):
    train, validation = split(parts_of(name, data))
    whole = MAKERS[name]()
    expected = train_network(whole, train, validation, settings=settings(max_epochs=3))
    done = []
    path = tmp_path / "training.h5"
    first = train_network(
        MAKERS[name](),
        train,
        validation,
        settings=settings(max_epochs=3),
        checkpoint=path,
        progress=done.append,
        stop=lambda: len(done) == batches,
    )
    assert first.end is TrainingEnd.INTERRUPTED
    assert first.history == expected.history[: batches // 5]
    again = MAKERS[name]()
    result = train_network(
        again, train, validation, settings=settings(max_epochs=3), checkpoint=path, progress=done.append
    )
    assert result == expected
    assert len(done) == 15
    for key, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_a_resumed_training_with_averages_and_falling_rates_is_the_unbroken_one(data, tmp_path):
    train, validation = split(data)
    chosen = settings(max_epochs=3, averaging=0.9, schedule="cosine")
    whole, again = MAKERS["decoder"](), MAKERS["decoder"]()
    done = []
    expected = train_network(whole, train, validation, settings=chosen, progress=done.append)
    rates = [1.5e-3 * (1 + math.cos(math.pi * k / 15)) for k in range(15)]
    assert [one.learning_rate for one in done] == pytest.approx(rates)
    path = tmp_path / "training.h5"
    seen = []
    train_network(
        MAKERS["decoder"](),
        train,
        validation,
        settings=chosen,
        checkpoint=path,
        progress=seen.append,
        stop=lambda: len(seen) == 8,
    )
    assert train_network(again, train, validation, settings=chosen, checkpoint=path) == expected
    for key, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_the_average_of_the_weights_is_what_is_validated_and_kept():
    class Line(TrainableNetwork):
        """One weight, that each step moves by the learning rate (Adam, a gradient of one sign)."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def losses(self, *parts, noise):
            return 10 - self.weight.expand(len(parts[0]))

    network = Line()
    data = torch.zeros(4, 1)
    chosen = TrainingSettings(batch_size=1, learning_rate=0.1, max_epochs=3, averaging=0.5)
    result = train_network(network, [data], [data], settings=chosen)
    mean = 0.0
    means = []
    for k in range(12):
        kept = min(0.5, (1 + k) / (10 + k))
        mean = kept * mean + (1 - kept) * 0.1 * (k + 1)
        means.append(mean)
    assert [row[1] for row in result.history] == pytest.approx([10 - value for value in means[3::4]], rel=1e-5)
    assert [row[0] for row in result.history] == pytest.approx([10 - 0.15, 10 - 0.55, 10 - 0.95], rel=1e-5)
    assert float(network.weight.detach()) == pytest.approx(means[-1], rel=1e-5)


def test_an_exception_in_an_epoch_costs_that_epoch_alone(data, tmp_path):
    train, validation = split(data)
    whole, broken = MAKERS["decoder"](), MAKERS["decoder"]()
    expected = train_network(whole, train, validation, settings=settings(max_epochs=2))
    path = tmp_path / "training.h5"

    def press_twice(told):
        if (told.epoch, told.batch) == (2, 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(
            broken, train, validation, settings=settings(max_epochs=2), checkpoint=path, progress=press_twice
        )
    again = MAKERS["decoder"]()
    assert train_network(again, train, validation, settings=settings(max_epochs=2), checkpoint=path) == expected
    assert torch.equal(again.decode(data[0]), whole.decode(data[0]))


def test_a_finished_training_is_not_done_again(data, tmp_path):
    train, validation = split(data)
    path = tmp_path / "training.h5"
    first = MAKERS["decoder"]()
    expected = train_network(first, train, validation, settings=settings(max_epochs=2), checkpoint=path)
    told = []
    second = ConvolutionalDecoder(D, 16, width=2, seed=7)
    result = train_network(
        second, train, validation, settings=settings(max_epochs=2), checkpoint=path, progress=told.append
    )
    assert result == expected
    assert not told
    assert torch.equal(first.decode(data[0]), second.decode(data[0]))


class Planned(TrainableNetwork):
    """A network whose validation losses are given beforehand."""

    def __init__(self, plan):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.plan = iter(plan)
        self.rates = []

    def losses(self, *parts, noise):
        if self.training:
            return self.weight + 0 * parts[0]
        return torch.full((len(parts[0]),), next(self.plan))


def test_the_rate_falls_on_each_plateau_and_training_ends_after_the_last():
    network = Planned([5.0, 4.0, 4.0, 4.5, 3.0, 3.0, 3.0, 3.0, 3.0, 0.0])
    rates = {}
    result = train_network(
        network,
        [torch.zeros(4)],
        [torch.zeros(2)],
        settings=settings(patience=2, n_falls=1, max_epochs=100),
        progress=lambda told: rates.__setitem__(told.epoch, told.learning_rate),
    )
    # plateau at epochs 3, 4: the rate falls; 3.0 in epoch 5 is new; plateau at 6, 7: the end
    assert result.end is TrainingEnd.SETTLED
    assert result.best_epoch == 5
    assert len(result.history) == 7
    assert rates == pytest.approx({**dict.fromkeys(range(1, 5), 3e-3), **dict.fromkeys(range(5, 8), 6e-4)})


def test_a_loss_that_is_not_finite_is_an_error():
    class Broken(Planned):
        def losses(self, *parts, noise):
            return (self.weight - 1).log() + 0 * parts[0]

    with pytest.raises(FloatingPointError, match="the training loss is nan in epoch 1, batch 1"):
        train_network(Broken([]), [torch.zeros(4)], [torch.zeros(2)], settings=settings())
    with pytest.raises(FloatingPointError, match="the validation loss is nan in epoch 2"):
        train_network(Planned([1.0, math.nan]), [torch.zeros(4)], [torch.zeros(2)], settings=settings())


def test_seeds_decide(data):
    train, validation = split(data)
    histories = [
        train_network(MAKERS["decoder"](), train, validation, settings=settings(max_epochs=1, seed=seed)).history
        for seed in (1, 1, 2)
    ]
    assert histories[0] == histories[1] != histories[2]


def test_a_checkpoint_of_another_training_is_refused(data, tmp_path):
    train, validation = split(data)
    path = tmp_path / "training.h5"
    train_network(MAKERS["decoder"](), train, validation, settings=settings(max_epochs=1), checkpoint=path)
    with pytest.raises(ValueError, match="max_epochs was 1, now 6"):
        train_network(MAKERS["decoder"](), train, validation, settings=settings(), checkpoint=path)
    other = ConvolutionalDecoder(D, 16, width=3)
    with pytest.raises(ValueError, match="weights was"):
        train_network(other, train, validation, settings=settings(max_epochs=1), checkpoint=path)
    flipped = [train[0], train[1].flip(-1) // 2]
    with pytest.raises(ValueError, match="data was"):
        train_network(MAKERS["decoder"](), flipped, validation, settings=settings(max_epochs=1), checkpoint=path)


def test_bad_input(data):
    train, validation = split(data)
    with pytest.raises(ValueError, match=r"`train` must be tensors of one number of rows >= 1, got \[80, 79\]"):
        train_network(MAKERS["decoder"](), [train[0], train[1][:79]], validation, settings=settings())
    with pytest.raises(ValueError, match=r"`validation` must be tensors .* got \[0, 0\]"):
        train_network(MAKERS["decoder"](), train, [part[:0] for part in validation], settings=settings())
    with pytest.raises(ValueError, match="`patience` must be an integer >= 1, got 0"):
        TrainingSettings(patience=0)
    with pytest.raises(ValueError, match="`learning_rate` must lie between 0 and 1, got 3"):
        TrainingSettings(learning_rate=3)


def test_bad_settings():
    with pytest.raises(ValueError, match="`averaging` must lie between 0 and 1, got 1"):
        TrainingSettings(averaging=1)
    with pytest.raises(ValueError, match="`schedule` must be one of 'plateau', 'cosine', got 'linear'"):
        TrainingSettings(schedule="linear")


def test_hold_out_parts_all():
    inside, out = hold_out(50, fraction=0.2, seed=3)
    assert len(out) == 10
    assert sorted([*inside, *out]) == list(range(50))
    assert (hold_out(50, fraction=0.2, seed=3)[1] == out).all()
    assert (hold_out(50, fraction=0.2, seed=4)[1] != out).any()
    assert [len(part) for part in hold_out(3, fraction=0.9)] == [2, 1]
