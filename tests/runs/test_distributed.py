import os
import signal
import socket
import subprocess
import sys

import pytest
import torch

from phasewave.runs.distributed import Ranks, stop_on_any_signal, torchrun_ranks

FULL = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(("count", "size"), [(4, 2), (5, 2), (3, 4), (1, 3), (7, 3), (0, 2)])
def test_the_shares_are_all_numbers_once_in_order_and_nearly_equal(count, size):
    shares = [Ranks(rank, size).share(count) for rank in range(size)]
    assert [number for share in shares for number in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.fixture
def variables(monkeypatch):
    """Set exactly these of torchrun's variables."""

    def change(values):
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return change


def test_a_process_alone_needs_no_group(variables):
    variables({"MASTER_ADDR": "a.cluster"})
    with torchrun_ranks() as ranks:
        assert ranks == Ranks()
        assert ranks.first
        assert ranks.agree(lambda: 3) == 3
        assert ranks.together(lambda: 4) == 4
        assert ranks.gather("a") == ["a"]
        assert ranks.total(torch.ones(2)).tolist() == [1, 1]
        assert ranks.any(True)
        assert not ranks.any(False)
    variables(FULL | {"WORLD_SIZE": "1", "LOCAL_RANK": "0"})
    with torchrun_ranks() as ranks:
        assert ranks.size == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"WORLD_SIZE": None}, "and WORLD_SIZE is missing: start with torchrun, or unset RANK and WORLD_SIZE"),
        ({"RANK": None, "MASTER_PORT": None}, "and RANK, MASTER_PORT are missing"),
        ({"RANK": "one"}, "`RANK` must be an integer, got 'one'"),
        ({"RANK": "2"}, "`RANK` must be below WORLD_SIZE = 2, got 2"),
        ({"RANK": "-1"}, "`RANK` must be an integer >= 0, got -1"),
        ({"WORLD_SIZE": "0"}, "`WORLD_SIZE` must be an integer >= 1, got 0"),
        ({"MASTER_PORT": "http"}, "`MASTER_PORT` must be an integer, got 'http'"),
    ],
)
def test_variables_half_set_are_named(variables, change, message):
    variables(FULL | change)
    with pytest.raises(ValueError, match=message), torchrun_ranks():
        pass


def test_signals_only_ask_however_often_they_come():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_any_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGINT) is before


SCRIPT = """
import os, sys
import torch
from phasewave.runs.distributed import torchrun_ranks

with torchrun_ranks() as ranks:
    assert (ranks.rank, ranks.size) == (int(os.environ["RANK"]), 2)
    assert ranks.agree(lambda: ("from", ranks.rank)) == ("from", 0)
    parts = ranks.gather(torch.arange(5)[ranks.share(5).start : ranks.share(5).stop])
    assert (torch.equal(torch.cat(parts), torch.arange(5)) if ranks.first else parts == [])
    assert ranks.any(ranks.rank == 1) and not ranks.any(False)
    assert ranks.together(lambda: ranks.rank) == ranks.rank
    own = torch.arange(3.0) + ranks.rank
    assert ranks.total(own).tolist() == [1, 3, 5] and own[0] == ranks.rank

    def broken():
        if ranks.rank == 1:
            raise FileNotFoundError(2, "missing", "f.npy")

    def nowhere():
        raise FileExistsError("taken")

    calls = {FileNotFoundError: lambda: ranks.together(broken), FileExistsError: lambda: ranks.agree(nowhere)}
    for kind, call in calls.items():
        try:
            call()
        except kind as error:
            assert str(error) in ("[Errno 2] missing: 'f.npy'", "taken"), str(error)
        else:
            sys.exit("the error did not reach this rank")
    print("rank", ranks.rank, "done")
"""


def test_two_ranks_share_values_and_errors():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
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
