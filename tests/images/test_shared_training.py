"""Training on several processes: the curve of one."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from phasewave.images.convolutional_decoder import ConvolutionalDecoder
from phasewave.images.flow import FlowPrior
from phasewave.images.variational import VariationalAutoencoder
from phasewave.runs.distributed import Ranks
from phasewave.runs.network_training import train_network
from phasewave.runs.shared_batches import BatchNoise, per_sample
from phasewave.runs.trainable import TrainableNetwork
from phasewave.runs.training_records import TrainingEnd, TrainingSettings

SCRIPT = """
import sys
from pathlib import Path

import torch
from phasewave.images.flow import FlowPrior
from phasewave.runs.trainable import TrainableNetwork
from phasewave.runs.network_training import train_network
from phasewave.runs.shared_batches import per_sample
from phasewave.runs.training_records import TrainingSettings
from phasewave.runs.distributed import torchrun_ranks


class Noisy(TrainableNetwork):
    '''Denoises, with a weight that only some samples use and a buffer that follows the samples' mean.'''

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        draw = lambda *shape: torch.nn.Parameter(0.3 * torch.randn(*shape, generator=generator))
        self.first, self.second, self.rare = draw(16, 5), draw(5, 16), draw(5)
        self.unused = draw(3)
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("fixed", torch.ones(4))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def losses(self, *parts, noise):
        (x,) = parts
        white = per_sample(lambda n: torch.randn(n, 5, generator=noise), len(x), noise=noise).to(x)
        found = torch.tanh((x + 0.3 * white) @ self.first.T) @ self.second.T
        picked = x[:, 0] > 1
        if picked.any():
            found = torch.where(picked[:, None], found + self.rare, found)
        losses = (found - x).square().mean(1) * (1 + 0.1 * self.level)
        if self.training:
            self.level.add_(0.1 * (losses.detach().mean() - self.level))
            self.count.add_(1)
        return losses


def data():
    x = torch.randn(107, 5, generator=torch.Generator().manual_seed(3))
    return [x[:90]], [x[90:]]


def settings(**changes):
    return TrainingSettings(**{"batch_size": 16, "max_epochs": 4, "learning_rate": 0.01, **changes})


def worker(folder):
    torch.set_num_threads(1)
    with torchrun_ranks() as ranks:
        def kept(name, network, result):
            values = {"result": [result.end.value, *result.history], **network.state_dict()}
            torch.save(values, folder / f"{name}-{ranks.rank}.pt")

        # weights of rank 0 count, whatever the others start from
        network = Noisy(seed=ranks.rank)
        kept("whole", network, train_network(network, *data(), settings=settings(), ranks=ranks))

        # rank 1 alone is asked to stop
        told = []
        stop = lambda: ranks.rank == 1 and len(told) == 7
        path = folder / "training.h5"
        network = Noisy()
        stopped = train_network(
            network, *data(), settings=settings(), checkpoint=path, progress=told.append, stop=stop, ranks=ranks
        )
        assert (stopped.end.value, len(told)) == ("interrupted", 7)
        # one process's checkpoint, resumed by both
        network = Noisy(seed=5)
        begun = folder / "begun.h5"
        result = train_network(network, *data(), settings=settings(), checkpoint=begun, ranks=ranks)
        kept("resumed", network, result)

        class Broken(Noisy):
            def losses(self, *parts, noise):
                if ranks.rank == 1 and self.count == 3:
                    raise MemoryError("no room on rank 1")
                return super().losses(*parts, noise=noise)

        class Overflowing(Noisy):
            def losses(self, *parts, noise):
                return super().losses(*parts, noise=noise) / (0 if ranks.rank == 1 else 1)

        x, y = data()
        for call, error, message in (
            (lambda: train_network(Broken(), x, y, settings=settings(), ranks=ranks), MemoryError, "no room"),
            (
                lambda: train_network(Overflowing(), x, y, settings=settings(), ranks=ranks),
                FloatingPointError,
                "the training loss is inf in epoch 1, batch 1",
            ),
            (
                lambda: train_network(Noisy(), x, y, settings=settings(seed=ranks.rank), ranks=ranks),
                ValueError,
                "every rank needs the data and settings of rank 0",
            ),
            (
                lambda: train_network(
                    Noisy(), x, y, settings=settings(), checkpoint=folder / "none" / "training.h5", ranks=ranks
                ),
                FileNotFoundError,
                "none",
            ),
        ):
            try:
                call()
            except error as found:
                assert message in str(found), found
            else:
                sys.exit("no error on this rank")
        print("rank", ranks.rank, "done")


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def noisy():
    """The script's names: the network that both the ranks and this process train."""
    names = {"__name__": "noisy"}
    exec(compile(SCRIPT, "noisy", "exec"), names)
    return names


@pytest.fixture(scope="module")
def alone(noisy):
    network = noisy["Noisy"]()
    result = train_network(network, *noisy["data"](), settings=noisy["settings"]())
    return network, result


@pytest.fixture(scope="module")
def ranks_folder(noisy, tmp_path_factory):
    """What two ranks left."""
    folder = tmp_path_factory.mktemp("ranks")
    told = []
    train_network(
        noisy["Noisy"](),
        *noisy["data"](),
        settings=noisy["settings"](),
        checkpoint=folder / "begun.h5",
        progress=told.append,
        stop=lambda: len(told) == 8,
    )
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder)],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for rank, process in enumerate(processes):
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert f"rank {rank} done" in out
    return folder


def curve(history):
    return torch.tensor(history, dtype=torch.float64)


@pytest.mark.parametrize("name", ["whole", "resumed"])
def test_two_ranks_have_the_curve_of_one_process(name, alone, ranks_folder):
    network, expected = alone
    ours, theirs = (torch.load(ranks_folder / f"{name}-{rank}.pt") for rank in range(2))
    end, *history = ours.pop("result")
    assert theirs.pop("result") == [end, *history]
    assert end == expected.end.value
    torch.testing.assert_close(curve(history), curve(expected.history), rtol=2e-6, atol=0)
    for key, value in network.state_dict().items():
        assert torch.equal(ours[key], theirs[key]), key
        torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=1e-5)
    assert float(ours["level"]) > 0.1


def test_one_process_goes_on_where_two_stopped(noisy, alone, ranks_folder):
    network = noisy["Noisy"](seed=8)
    result = train_network(
        network, *noisy["data"](), settings=noisy["settings"](), checkpoint=ranks_folder / "training.h5"
    )
    torch.testing.assert_close(curve(result.history), curve(alone[1].history), rtol=2e-6, atol=0)


def test_samples_have_the_noise_of_the_whole_batch():
    def drawn(noise, n):
        first = per_sample(lambda m: torch.randn(m, 3, generator=noise), n, noise=noise)
        return torch.cat([first, per_sample(lambda m: torch.rand(m, 1, generator=noise), n, noise=noise)], 1)

    whole = drawn(torch.Generator().manual_seed(7), 11)
    shares = [Ranks(rank, 3).share(11) for rank in range(3)]
    parts = [drawn(BatchNoise(7, n_samples=11, rows=share), len(share)) for share in shares]
    assert torch.equal(torch.cat(parts), whole)
    with pytest.raises(ValueError, match="`n` must be 3, the rows of this process, got 11"):
        drawn(BatchNoise(7, n_samples=11, rows=range(3)), 11)


NETWORKS = {
    "autoencoder": lambda: (VariationalAutoencoder(3, 8, width=2, seed=1), (6, 1, 8, 8)),
    "flow": lambda: (FlowPrior(5, width=8, depth=1, seed=1), (6, 5)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_draws_by_sample(name):
    network, shape = NETWORKS[name]()
    network.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():  # some start at zero
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    x = torch.rand(*shape, generator=generator)
    whole = network.losses(x, noise=torch.Generator().manual_seed(5))
    part = network.losses(x[4:], noise=BatchNoise(5, n_samples=6, rows=range(4, 6)))
    torch.testing.assert_close(part, whole[4:], rtol=1e-5, atol=0)


def test_more_ranks_than_samples_are_refused():
    network = ConvolutionalDecoder(2, 8, width=1)
    parts = [torch.zeros(4, 2), torch.zeros(4, 1, 8, 8)]
    with pytest.raises(ValueError, match="`ranks` must be at most the 3 samples of a batch, got 5"):
        train_network(network, parts, parts, settings=TrainingSettings(batch_size=3), ranks=Ranks(0, 5))


def test_half_precision_trains_and_leaves_float32_weights():
    class Watched(TrainableNetwork):
        def __init__(self):
            super().__init__()
            self.map = torch.nn.Linear(4, 4)
            torch.nn.init.zeros_(self.map.weight)
            self.seen = set()

        def losses(self, *parts, noise):
            found = self.map(parts[0])
            self.seen.add(found.dtype)
            return (found - parts[0]).square().mean(1)

    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    curves = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        network = Watched()
        settings = TrainingSettings(batch_size=16, max_epochs=5, learning_rate=0.03, precision=precision)
        result = train_network(network, [x[:48]], [x[48:]], settings=settings)
        assert result.end is TrainingEnd.MAX_EPOCHS
        assert network.seen == {getattr(torch, precision)}
        assert network.map.weight.dtype is torch.float32
        curves[precision] = curve(result.history)
    assert not torch.equal(curves["float32"], curves["bfloat16"])
    torch.testing.assert_close(curves["bfloat16"], curves["float32"], rtol=0.03, atol=0)
    assert curves["bfloat16"][-1, 1] < 0.5 * curves["bfloat16"][0, 1]
    with pytest.raises(ValueError, match="`precision` must be one of 'float32', 'bfloat16', got 'float16'"):
        TrainingSettings(precision="float16")
