"""One run on several processes: the ranks that torchrun starts, and the few things they tell each other."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from phasewave.checks import fail
from phasewave.runs.interrupt import StopRequest

T = TypeVar("T")

_MEETING = timedelta(minutes=10)
_WORK = timedelta(days=30)  # ranks wait for each other's work; torchrun ends them all if one dies
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run. Alone, it needs no communication.

    Parameters
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    local_rank : int
        Its number on this machine, which chooses the GPU.
    group : object
        The process group of ``torch.distributed``; None for a process alone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    group: Any = None

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which speaks and writes for all."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Return this rank's part of the numbers 0 .. count - 1: consecutive, as equal as can be, maybe none."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def agree(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0 and return its value on every rank; its error is raised on every rank."""
        if self.size == 1:
            return function()
        outcome = [_outcome(function) if self.first else None]
        dist.broadcast_object_list(outcome, src=0, group=self.group)
        return _value(outcome[0])

    def together(self, function: Callable[[], T]) -> T:
        """Call a function on every rank and return the rank's own value.

        If it fails on any rank, the error of the lowest such rank is raised on all: none waits for one that is
        gone.
        """
        if self.size == 1:
            return function()
        own = _outcome(function)
        errors: list[Any] = [None] * self.size
        dist.all_gather_object(errors, own[1], group=self.group)
        return _value((own[0], next((error for error in errors if error is not None), None)))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        if self.size == 1:
            return flag
        flags: list[Any] = [None] * self.size
        dist.all_gather_object(flags, flag, group=self.group)
        return any(flags)

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Return the sum over the ranks of tensors of one shape and dtype, the same to the last bit on all.

        Sums go by the group's backend: with gloo, tensors of a GPU travel by the CPU and come back.
        """
        if self.size == 1:
            return value
        away = dist.get_backend(self.group) == "gloo"
        result = value.detach().to("cpu" if away else value.device, copy=True)
        dist.all_reduce(result, group=self.group)
        return result.to(value.device)

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order, on rank 0; nothing on the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(value, values, dst=0, group=self.group)
        return [] if values is None else values


@contextmanager
def torchrun_ranks() -> Iterator[Ranks]:
    """Enter the group of processes that torchrun started; without torchrun, this process alone.

    The environment variables RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and LOCAL_RANK tell. Messages go by
    gloo, so tensors in them must be on the CPU, but for those of `Ranks.total`.

    Yields
    ------
    Ranks

    Raises
    ------
    ValueError
        If only some of the variables are set, or they are not numbers in range.
    """
    found = os.environ
    if not any(name in found for name in ("RANK", "WORLD_SIZE")):
        yield Ranks()
        return
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise ValueError(
            f"torchrun sets {', '.join(_NEEDED)}, and {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing: start with torchrun, or unset RANK and WORLD_SIZE"
        )
    size = _number(found, "WORLD_SIZE", minimum=1)
    rank = _number(found, "RANK", minimum=0)
    if rank >= size:
        fail("RANK", f"be below WORLD_SIZE = {size}", rank)
    local = _number(found, "LOCAL_RANK", minimum=0) if "LOCAL_RANK" in found else rank
    if size == 1:
        yield Ranks(local_rank=local)
        return
    _number(found, "MASTER_PORT", minimum=1)
    dist.init_process_group("gloo", timeout=_MEETING)
    try:
        yield Ranks(rank, size, local, dist.new_group(backend="gloo", timeout=_WORK))
    finally:
        dist.destroy_process_group()


@contextmanager
def stop_on_any_signal() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM within the block into a request to stop, however often they come.

    For ranks: torchrun passes a Ctrl-C on to processes that have had it from the terminal already, which must
    not end them before they have saved their work. The handlers of before are put back at the end.

    Yields
    ------
    StopRequest
        Poll it between steps.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _outcome(function: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # whatever it is, the other ranks must hear of it
        return None, error


def _value(outcome: Any) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def _number(found: Mapping[str, str], name: str, *, minimum: int) -> int:
    try:
        value = int(found[name])
    except ValueError:
        fail(name, "be an integer", found[name])
    if value < minimum:
        fail(name, f"be an integer >= {minimum}", value)
    return value
