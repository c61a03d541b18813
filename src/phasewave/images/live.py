"""What is kept and drawn of a training as it goes: PSNR and sparsity by epoch, and a sheet of images."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasewave.images.decoder import CORRECTIONS_OF_NEW, SparseDecoder
from phasewave.images.flow import FlowPrior
from phasewave.images.image_batches import as_float
from phasewave.images.metrics import psnr
from phasewave.images.sheets import Row, draw_sheet
from phasewave.images.stages import StageProgress
from phasewave.runs.record import read_json, write_json

_MEASURED = 128  # validation images
_SHOWN = 16


@dataclass(frozen=True)
class RunProgress:
    """What a run's progress callback is told.

    Attributes
    ----------
    state : StageProgress
    psnr, active : float or None
        PSNR (dB) of validation images and share of active patterns, when they were last measured.
    """

    state: StageProgress
    psnr: float | None
    active: float | None


class LiveRecord:
    """Measures validation images after each epoch, writes what it finds, and draws a sheet.

    Nothing of it touches the training: it works on copies of the networks.

    Parameters
    ----------
    history, sheet : Path
        The JSON file of the epochs, taken up if it is there, and the picture.
    validation : torch.Tensor (n, C, H, W)
    sheet_seconds : float
        Draw also within an epoch, after so many seconds.
    """

    def __init__(self, history: Path, sheet: Path, validation: torch.Tensor, *, sheet_seconds: float) -> None:
        self.history, self.sheet, self.sheet_seconds = history, sheet, sheet_seconds
        self.images = as_float(validation[:_MEASURED]).float()
        self.epochs: list[dict[str, Any]] = read_json(history)["epochs"] if history.exists() else []
        last = [entry for entry in self.epochs if entry["psnr"] is not None]
        self.psnr: float | None = last[-1]["psnr"] if last else None
        self.active: float | None = last[-1]["active"] if last else None
        self._drawn = time.monotonic()
        self._codes: torch.Tensor | None = None

    def __call__(self, state: StageProgress) -> RunProgress:
        """Take notice of a state of the training."""
        training = state.training
        whole = training is not None and training.batch == training.n_batches
        late = training is not None and time.monotonic() - self._drawn >= self.sheet_seconds
        begins = training is None and state.stage == "decoder"
        if whole or late or begins:
            self._look(state)
        if whole and training is not None:
            entry = {
                "stage": state.stage,
                "epoch": training.epoch,
                "loss": training.loss,
                "psnr": self.psnr if state.stage == "decoder" else None,
                "active": self.active if state.stage == "decoder" else None,
            }
            key = (state.stage, training.epoch)
            self.epochs = [old for old in self.epochs if (old["stage"], old["epoch"]) != key] + [entry]
            write_json(self.history, {"epochs": self.epochs})
        return RunProgress(state, self.psnr, self.active)

    @torch.no_grad()
    def _look(self, state: StageProgress) -> None:
        """Measure the decoder and draw it; in the stage of the prior, draw new images too."""
        if state.decoder is None or (state.stage == "prior" and not self._due()):
            return
        decoder: SparseDecoder = copy.deepcopy(state.decoder).eval()
        if self._codes is None:
            self._codes = decoder.encoder.encode(self.images)
        codes = self._codes
        made = decoder.decode(codes).cpu().clamp(0, 1)
        if state.stage == "decoder":
            self.psnr = float(psnr(made, self.images).mean())
            self.active = float((decoder.sparse_codes(codes) != 0).float().mean())
        shown = min(_SHOWN, 16 * 64 // self.images.shape[-1])
        bands = [[Row("validation image", self.images[:shown]), Row("reconstruction", made[:shown])]]
        if state.prior is not None:
            prior: FlowPrior = copy.deepcopy(state.prior).eval()
            noise = torch.randn(2 * shown, codes.shape[1], generator=torch.Generator().manual_seed(0))
            new = decoder.decode(prior.codes(noise.to(codes)), n_corrections=CORRECTIONS_OF_NEW).cpu().clamp(0, 1)
            bands.append([Row("new, from noise", new[:shown]), Row("", new[shown:])])
        where = "before" if state.training is None else f"epoch {state.training.epoch} of"
        note = "" if self.psnr is None or self.active is None else _words(self.psnr, self.active)
        draw_sheet(self.sheet, bands, title=f"{where} the training of the {state.stage}", note=note)
        self._drawn = time.monotonic()

    def _due(self) -> bool:
        return time.monotonic() - self._drawn >= min(10.0, self.sheet_seconds)


def _words(psnr_: float, active: float) -> str:
    return f"PSNR {psnr_:.2f} dB on validation images, {100 * active:.1f} % of the patterns active"
