"""Two-sample test: a small convolutional network is told real patches from synthetic ones, then examined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.stats import norm
from scipy.stats import t as student
from torch import Tensor

from phasewave import checks
from phasewave.turbulence.judge import STRONG, WEAK, Judge, answers, train_judge

JudgeName = Literal["weak", "strong"]

_TRAIN_SHARE = 0.6


@dataclass(frozen=True)
class TwoSampleResult:
    """What a two-sample test found.

    Attributes
    ----------
    accuracy : float
        Balanced accuracy on held-out patches, the mean over judges: .5 is indistinguishable, 1 told every time.
    interval : (float, float)
        Confidence interval of it for other patches of the process and these judges; see `two_sample_test`.
    level : float
        Its probability.
    accuracies : tuple of float
        One for each judge.
    n_test : int
        Held-out patches judged, of both classes, overlapping ones included.
    n_blocks : int
        Blocks, taken for independent, that they lie in.
    n_real, n_synthetic : int
        Fields of each class.
    judge : Judge
    seed : int
    """

    accuracy: float
    interval: tuple[float, float]
    level: float
    accuracies: tuple[float, ...]
    n_test: int
    n_blocks: int
    n_real: int
    n_synthetic: int
    judge: Judge
    seed: int


def two_sample_test(
    real: Tensor,
    synthetic: Tensor,
    *,
    judge: JudgeName | Judge = "weak",
    seed: int | torch.Generator = 0,
    n_judges: int = 1,
    level: float = 0.95,
) -> TwoSampleResult:
    r"""Train a judge on patches of one part of the fields, and count its right answers on another part.

    Along the longer axis, of n pixels, every field is cut into a training part, 60 % of n - p, and a test part,
    the rest, with p / 2 pixels that nobody sees on both sides, across the periodic border as well; p is the side
    of a patch. The judge (see `train_judge`) is trained on random patches of the training parts, half of them
    real, standardised by the mean and the deviation of the real training pixels. It is examined on patches every
    p / 4 pixels of the test parts:

    .. math:: a = \tfrac12 (a_\text{real} + a_\text{synthetic}),

    each the share of right answers in its class. The confidence interval takes blocks of 3 p / 2 x 3 p / 2 pixels
    for independent, not patches: Student's t with the variance between block means. It is at least that of as
    many independent answers as there are disjoint patches, the share being (right + 1) / (number + 2), so that it
    is not empty where every answer was right. Judges of odd number hold out the other end of the fields.

    A high accuracy proves a difference; one near .5 proves that *this* judge found none, so state which it was.
    Fields of one process differ, too, in what their finite size leaves to chance: put a test of real fields
    against other real fields beside it. A copy of the real field is not caught: see `max_cross_correlation`.

    Parameters
    ----------
    real : Tensor (r, H, W) or (H, W), real, finite
        Fields of the process. The strong judge deserves its name with two or more.
    synthetic : Tensor (s, H', W') or (H', W'), real, finite
        Fields of the model.
    judge : {"weak", "strong"} or Judge
        Weak: 32 x 32 patches, 300 steps. Strong: 48 x 48, 900 steps.
    seed : int >= 0, or torch.Generator
        Of initial weights and training patches; judge i is a function of (seed, i). A generator gives the
        integer: one draw from it.
    n_judges : int >= 1
        Judges trained one after the other; two hold out both ends of the fields in turn.
    level : float
        Probability of the confidence interval.

    Returns
    -------
    TwoSampleResult

    Raises
    ------
    TypeError
        If the fields are not real floating tensors, or a number is no integer.
    ValueError
        If fields are not finite, too small for the patches (the longer side below about 4 p), real fields are
        constant, or an argument is out of range.

    Notes
    -----
    A judge costs about 10 s of one CPU core if weak and 85 s if strong, whatever the number of fields. The
    classifier test is that of Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    """
    rules = judge_of(judge)
    groups = [_stack("real", real, rules), _stack("synthetic", synthetic, rules)]
    count = checks.integer("n_judges", n_judges, minimum=1)
    if not 0 < level < 1:
        checks.fail("level", "be between 0 and 1", level)
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    root = checks.integer("seed", seed, minimum=0)
    exams = [_examine(groups, rules, seed=root, number=i) for i in range(count)]
    blocks = [_pool([exam.blocks[c] for exam in exams]) for c in (0, 1)]
    disjoint = [sum(exam.disjoint[c] for exam in exams[:2]) for c in (0, 1)]
    accuracies = tuple(sum(float(scores.mean()) for scores in exam.blocks) / 2 for exam in exams)
    accuracy = sum(accuracies) / count
    reach = _reach(blocks, disjoint, level)
    return TwoSampleResult(
        accuracy=accuracy,
        interval=(max(0.0, accuracy - reach), min(1.0, accuracy + reach)),
        level=level,
        accuracies=accuracies,
        n_test=sum(exam.n_test for exam in exams[:2]),
        n_blocks=sum(map(len, blocks)),
        n_real=len(groups[0]),
        n_synthetic=len(groups[1]),
        judge=rules,
        seed=root,
    )


def judge_of(judge: JudgeName | Judge) -> Judge:
    """Return the judge of that name, or the one given.

    Raises
    ------
    ValueError
        If there is no judge of the name.
    """
    if isinstance(judge, Judge):
        return judge
    return {"weak": WEAK, "strong": STRONG}[checks.choice("judge", judge, get_args(JudgeName))]


def fits(name: str, shape: Sequence[int], judge: JudgeName | Judge) -> None:
    """Check that fields are large enough for a judge's patches in the training and in the test part.

    Parameters
    ----------
    name : str
        How the message names the fields.
    shape : (H, W)
    judge : {"weak", "strong"} or Judge

    Raises
    ------
    ValueError
        If they are not.
    """
    patch = judge_of(judge).patch_size
    short, long = sorted(shape)
    train, test = _parts(long, patch, reverse=False)
    if min(short, train.stop - train.start, test.stop - test.start) < patch:
        raise ValueError(
            f"`{name}` must hold a training part and a test part of at least {patch} x {patch} pixels (about "
            f"{round(3.5 * patch)} x {patch} in all), got {tuple(shape)}: take larger fields, or a judge of "
            "a smaller patch_size"
        )


class _Exam(NamedTuple):
    """One judge's shares of right answers by block, real and synthetic, and the numbers of patches."""

    blocks: tuple[Tensor, Tensor]
    disjoint: tuple[int, int]
    n_test: int


def _stack(name: str, x: Tensor, judge: Judge) -> Tensor:
    """Return fields as (n, H, W) with the longer axis first, checked."""
    checks.real_field(name, x)
    if x.ndim not in (2, 3) or x.shape[0] == 0:
        checks.fail(name, "have axes (H, W) or (n, H, W)", tuple(x.shape))
    checks.finite(name, x)
    fits(name, x.shape[-2:], judge)
    fields = x.detach().reshape(-1, *x.shape[-2:])
    if fields.shape[2] > fields.shape[1]:
        fields = fields.transpose(1, 2)
    return fields


def _parts(n: int, patch: int, *, reverse: bool) -> tuple[slice, slice]:
    """Return the training and the test rows of n, with patch // 2 unseen rows on both sides."""
    guard = patch // 2
    n_train = round(_TRAIN_SHARE * (n - 2 * guard))
    train, test = (0, n_train), (n_train + guard, n - guard)
    if reverse:
        train, test = (n - n_train, n), (guard, n - n_train - guard)
    return slice(*train), slice(*test)


def _examine(groups: list[Tensor], judge: Judge, *, seed: int, number: int) -> _Exam:
    """Train judge ``number`` and return its answers on the held-out patches."""
    state = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state))
    reverse = number % 2 == 1
    parts = [[x[:, rows] for rows in _parts(x.shape[1], judge.patch_size, reverse=reverse)] for x in groups]
    known = parts[0][0].to(torch.float64)
    mean, scale = known.mean(), known.std(correction=0)
    if float(scale) == 0:
        checks.fail("real", "vary over space", "constant fields")
    train, test = ([((x[i] - mean) / scale).float().contiguous() for x in parts] for i in (0, 1))
    network = train_judge(train[0], train[1], judge, generator=generator)
    blocks, n_test = [], 0
    for x, sign in zip(test, (1.0, -1.0), strict=True):
        found, rows, columns = answers(network, x, judge.patch_size)
        right = torch.heaviside(sign * found.double(), found.new_tensor(0.5).double()).cpu()
        blocks.append(_block_means(right, rows, columns, x.shape[1:], judge.patch_size))
        n_test += right.numel()
    disjoint = [len(x) * math.prod(n // judge.patch_size for n in x.shape[1:]) for x in test]
    return _Exam((blocks[0], blocks[1]), (disjoint[0], disjoint[1]), n_test)


def _block_means(right: Tensor, rows: Tensor, columns: Tensor, shape: torch.Size, patch: int) -> Tensor:
    """Return the means of (n, rows, columns) over blocks of 1.5 x 1.5 patches of each field, by centre."""
    counts = [max(1, 2 * n // (3 * patch)) for n in shape]
    row, column = (
        ((begin + patch / 2) * count / n).long()
        for begin, count, n in zip((rows, columns), counts, shape, strict=True)
    )
    block = (torch.arange(len(right))[:, None, None] * counts[0] + row[:, None]) * counts[1] + column
    n_blocks = len(right) * math.prod(counts)
    sums, sizes = (
        torch.zeros(n_blocks, dtype=torch.float64).index_add_(0, block.flatten(), x.flatten())
        for x in (right, torch.ones_like(right))
    )
    return sums / sizes


def _pool(scores: list[Tensor]) -> Tensor:
    """Return the scores of all blocks: the mean of the judges that saw them, even and odd judges' blocks apart."""
    return torch.cat([torch.stack(same).mean(0) for same in (scores[::2], scores[1::2]) if same])


def _reach(blocks: list[Tensor], disjoint: list[int], level: float) -> float:
    """Return half the width of the confidence interval of the balanced accuracy."""
    least = 0.0
    for scores, n in zip(blocks, disjoint, strict=True):
        smoothed = (float(scores.mean()) * n + 1) / (n + 2)
        least += smoothed * (1 - smoothed) / n
    reach = float(norm.ppf((1 + level) / 2)) * math.sqrt(least) / 2
    freedom = sum(len(scores) - 1 for scores in blocks)
    if min(map(len, blocks)) < 2:
        return reach
    between = sum(float(scores.var()) / len(scores) for scores in blocks)
    return max(reach, float(student.ppf((1 + level) / 2, freedom)) * math.sqrt(between) / 2)
