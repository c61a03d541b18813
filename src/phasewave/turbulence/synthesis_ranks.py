"""Samples of several processes, put together as if one had made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from phasewave.turbulence.sampler import SamplerResult


def on_cpu(result: SamplerResult) -> SamplerResult:
    """Return a result whose samples are on the CPU."""
    return dataclasses.replace(result, samples=result.samples.cpu())


def merged(results: Sequence[SamplerResult]) -> SamplerResult:
    """Return the result of all samples, those of the ranks in their order.

    A finished sample keeps its loss while others go on: so does the history of a rank that finished first.

    Parameters
    ----------
    results : sequence of SamplerResult
        One or more, of the same target and moments.
    """
    first = results[0]
    n_rows = max(len(result.history) for result in results)
    histories = [
        torch.cat((result.history, result.history[-1:].expand(n_rows - len(result.history), -1)))
        for result in results
    ]
    return dataclasses.replace(
        first,
        samples=torch.cat([result.samples for result in results]),
        status=tuple(status for result in results for status in result.status),
        losses=torch.cat([result.losses for result in results]),
        history=torch.cat(histories, dim=1),
        n_evaluations=tuple(number for result in results for number in result.n_evaluations),
        class_losses={
            kind: torch.cat([result.class_losses[kind] for result in results]) for kind in first.class_losses
        },
        sample_moments=torch.cat([result.sample_moments for result in results]),
    )
