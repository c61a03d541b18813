"""Live progress of the training of a generator: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, TextColumn

from phasewave.cli.live_display import LiveDisplay
from phasewave.cli.progress import duration
from phasewave.images.live import RunProgress
from phasewave.images.stages import STAGES

_LINE_SECONDS = 15.0
_NAMES = {
    "encoder": "encoder: averages of wavelets, principal axes",
    "linear": "linear decoder",
    "decoder": "dictionary",
    "prior": "prior",
}


class TrainingDisplay(LiveDisplay):
    """Show stage, epoch, loss, PSNR, sparsity and the time that the stage can take at most.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"))
        super().__init__(console, *columns, seconds=_LINE_SECONDS)
        self._stage = ""

    def update(self, now: RunProgress) -> None:
        """Show a state."""
        state, training = now.state, now.state.training
        if state.stage != self._stage:
            self._stage, self._first, self._last_line = state.stage, None, float("-inf")
            number = STAGES.index(state.stage) + 1
            name = f"{number}/{len(STAGES)} {_NAMES[state.stage]}"
            self.say(name)
            self._bar.update(self._task, description=name, total=None, completed=0, text="")
        if training is None:
            return
        done = (training.epoch - 1) * training.n_batches + training.batch
        total = state.max_epochs * training.n_batches
        seconds, new = self._pace(done)
        text = f"epoch {training.epoch}, loss {training.loss:.4f}"
        if training.epoch > 1:
            text += f" (validation {training.validation:.4f})"
        if state.stage == "decoder" and now.psnr is not None and now.active is not None:
            text += f", PSNR {now.psnr:.2f} dB, {100 * now.active:.1f} % active"
        if new > 0 and seconds > 0:
            text += f", at most {duration((total - done) * seconds / new)} left"
        self._show(text, f"  {text}", completed=done, total=total)

    def told(self, words: str) -> None:
        """Show what is done after the training."""
        if self.console.is_terminal:
            self._bar.update(self._task, description=f"measuring: {words}", total=None, text="")
        else:
            self.say(f"measuring: {words}")

    def say(self, text: str) -> None:
        """Print a line, above the bar of a terminal."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
