"""Runs that fill and denoise: the folder, its figures, resumption, and the metrics against known answers."""

import json
from pathlib import Path

import pytest
import torch

from phasewave.runs.hdf5 import read_samples
from phasewave.solve.result import Status
from phasewave.turbulence import observation_runs
from phasewave.turbulence.fields import as_field
from phasewave.turbulence.gaussian import white_noise
from phasewave.turbulence.observation_folder import RunOptions
from phasewave.turbulence.observation_metrics import denoising_metrics, region_statistics
from phasewave.turbulence.observation_runs import denoise, inpaint
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.wiener import as_noise

SETTINGS = SynthesisSettings(moments="pywph", n_scales=2, n_angles=2)
FINISHED = ["figure.png", "metrics.json", "run.json", "samples.h5"]


def smooth(seed=0, n=32):
    k = torch.hypot(torch.fft.fftfreq(n)[:, None], torch.fft.fftfreq(n)).double()
    field = torch.fft.ifft2(torch.fft.fft2(white_noise(1, (n, n), seed=seed)[0]) * torch.exp(-60 * k**2)).real
    return (5.0 + torch.exp(0.7 * field / field.std())).float()


TRUTH = smooth()
MASK = torch.ones(32, 32, dtype=torch.bool)
MASK[4:12, 10:20] = False
NOISY = as_field(TRUTH + 0.3 * white_noise(1, (32, 32), seed=4)[0].float())


def fill(out, *, max_evaluations=100, truth=None, **options):
    return inpaint(
        as_field(torch.where(MASK, TRUTH, TRUTH.mean())),
        MASK,
        RunOptions(out, **options),
        n_samples=2,
        seed=3,
        settings=SETTINGS,
        tolerance=2.5e-3,
        max_evaluations=max_evaluations,
        truth=truth,
    )


def clean(out, *, truth=None, **options):
    return denoise(
        NOISY,
        0.3,
        RunOptions(out, **options),
        seed=3,
        settings=SETTINGS,
        tolerance=1.0,
        truth=truth,
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def quick_picture(monkeypatch):
    """Draw the true pictures in `filled` and `cleaned` only, which are made before this takes effect."""

    def write(*arguments, **options):
        next(part for part in arguments if isinstance(part, Path)).write_bytes(b"a picture")

    monkeypatch.setattr(observation_runs, "draw_inpainting", write)
    monkeypatch.setattr(observation_runs, "draw_denoising", write)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("filled") / "deep" / "run", truth=TRUTH)


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory):
    return clean(tmp_path_factory.mktemp("cleaned") / "run", truth=TRUTH)


def test_the_folder_of_a_filled_field(filled):
    assert names(filled.folder) == FINISHED
    assert set(filled.status) == {Status.CONVERGED}
    stored = read_samples(filled.folder / "samples.h5")
    assert torch.equal(stored.samples, filled.samples)
    assert all(torch.equal(sample[MASK], TRUTH[MASK]) for sample in stored.samples)
    assert torch.equal(stored.extra["mask"], MASK)
    assert torch.equal(stored.extra["observed"].isnan(), ~MASK)
    assert set(stored.extra) == {"mask", "observed", "gaussian", "mean", "history"}
    metrics = json.loads((filled.folder / "metrics.json").read_text())
    assert metrics == filled.metrics
    assert metrics["missing"] == pytest.approx(80 / 1024)
    assert metrics["inpainting"]["tolerance"] == 2.5e-3
    assert set(metrics["regions"]) == {"observed", "samples", "gaussian", "mean", "truth"}
    assert 0 < metrics["error"]["mean"] < metrics["error"]["gaussian"]
    assert metrics["spread"] > 0.05
    record = json.loads((filled.folder / "run.json").read_text())
    assert record["status"] == "converged"
    assert record["settings"]["task"] == "inpainting"
    assert (filled.folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_folder_of_a_denoised_field(cleaned):
    assert names(cleaned.folder) == FINISHED
    stored = read_samples(cleaned.folder / "samples.h5")
    assert torch.equal(stored.samples, cleaned.samples)
    assert set(stored.extra) == {"observed", "wiener", "noise_spectrum", "history"}
    metrics = json.loads((cleaned.folder / "metrics.json").read_text())
    assert metrics == cleaned.metrics
    assert metrics["noise_share"] == pytest.approx(0.3 / float(NOISY.values.std(correction=0)), rel=1e-5)
    assert metrics["error"]["wiener"] < min(metrics["error"]["samples"], metrics["error"]["observed"])
    assert set(metrics["reports"]) == {"observed", "samples", "wiener"}
    assert (cleaned.folder / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("work", [fill, clean])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(work, filled, cleaned, tmp_path):
    whole = filled if work is fill else cleaned
    out = tmp_path / "run"
    stopped = work(out, progress=lambda progress: max(progress.n_evaluations) >= 2)
    assert Status.INTERRUPTED in stopped.status
    assert "checkpoint.h5" in names(out)
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    with pytest.raises(FileExistsError, match="resume"):
        work(out)
    resumed = work(out, resume=True)
    assert torch.equal(resumed.samples, whole.samples)
    assert names(out) == FINISHED


def test_limits_that_are_reached_can_be_raised(filled, tmp_path):
    out = tmp_path / "run"
    short = fill(out, max_evaluations=2)
    assert Status.MAX_EVALUATIONS in short.status
    assert torch.equal(fill(out, resume=True).samples, filled.samples)


def test_another_mask_is_another_run(tmp_path):
    fill(tmp_path / "run", max_evaluations=1)
    field = as_field(torch.where(MASK, TRUTH, TRUTH.mean()))
    options = RunOptions(tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="mask was"):
        inpaint(field, MASK.roll(1, 0), options, n_samples=2, seed=3, settings=SETTINGS, tolerance=2.5e-3)


def test_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="False everywhere"):
        inpaint(NOISY, torch.zeros_like(MASK), RunOptions(tmp_path / "run"))
    with pytest.raises(ValueError, match="`noise` must have less variance"):
        denoise(NOISY, 10.0, RunOptions(tmp_path / "run"), settings=SETTINGS)
    with pytest.raises(ValueError, match="`checkpoint_seconds` must be >= 0"):
        clean(tmp_path / "run", checkpoint_seconds=-1.0)
    assert not (tmp_path / "run").exists()


def test_region_statistics_are_those_of_the_region():
    """A ramp along one axis: increments of r pixels are r there, 0 along the other."""
    ramp = torch.arange(32.0).expand(32, 32)
    region = torch.zeros(32, 32, dtype=torch.bool)
    region[5:25, 5:25] = True
    found = region_statistics(ramp[None], region)
    assert found["mean"] == pytest.approx(14.5)
    assert found["structure"] == [pytest.approx(r**2 / 2) for r in (1, 2, 4, 8, 16)]
    assert found["flatness"] == [pytest.approx(2.0)] * 5
    small = torch.zeros(32, 32, dtype=torch.bool)
    small[5:9, 5:9] = True
    assert region_statistics(ramp[None], small)["structure"][3:] == [None, None]


def test_the_spectra_of_the_denoising_metrics():
    noise = as_noise(0.3, (32, 32))
    metrics = denoising_metrics(TRUTH[None], NOISY.values, NOISY.values, noise, TRUTH)
    assert all(abs(value - 0.09) < 1e-6 for value in metrics["spectrum"]["noise"])
    assert max(metrics["spectrum"]["error"]["samples"]) < 1e-9
    assert metrics["error"]["samples"] == 0.0
    residual = torch.tensor(metrics["spectrum"]["residual"])
    assert 0.07 < float(residual[-4:].mean()) < 0.11
    without = denoising_metrics(TRUTH[None], NOISY.values, NOISY.values, noise, None)
    assert without["error"] is None
    assert "truth" not in without["spectrum"]
