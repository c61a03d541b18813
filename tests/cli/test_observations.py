"""The commands inpaint and denoise: what they leave, and a message and an exit code for what goes wrong."""

import json
import os

import numpy as np
import pytest
import typer

from phasewave.cli.errors import ErrorGroup
from phasewave.cli.observations import denoise_command, inpaint_command
from phasewave.turbulence import observation_runs

SMALL = ["--moments", "pywph", "--scales", "2", "--angles", "2", "--device", "cpu"]


def build():
    app = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
    app.command("inpaint")(inpaint_command)
    app.command("denoise")(denoise_command)
    return app


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(1)
    k = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32))
    smooth = np.fft.ifft2(np.fft.fft2(rng.normal(size=(32, 32))) * np.exp(-60 * k**2)).real
    truth = np.exp(smooth / smooth.std())
    mask = np.ones((32, 32), dtype=bool)
    mask[3:12, 5:14] = False
    np.save("truth.npy", truth)
    np.save("mask.npy", mask)
    np.save("holes.npy", np.where(mask, truth, np.nan))
    np.save("noisy.npy", truth + 0.3 * rng.normal(size=(32, 32)))
    np.save("noise.npy", 0.3 * rng.normal(size=(32, 32)))
    return tmp_path


@pytest.fixture
def quick_picture(monkeypatch):
    """Draw no pictures: that takes longer than all the rest."""
    for name in ("draw_inpainting", "draw_denoising"):
        monkeypatch.setattr(observation_runs, name, lambda *arguments, **options: None)


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    try:
        build()([str(word) for word in words], prog_name="phasewave")
        code = 0
    except SystemExit as stop:
        code = stop.code
    output = capsys.readouterr()
    return code, " ".join(output.out.split()), " ".join(output.err.split())


def test_inpaint_leaves_a_run(capsys, here):
    words = ["inpaint", "holes.npy", "--truth", "truth.npy", "--samples", "2", *SMALL]
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert "holes.npy: 32 x 32 float32, 7.9 % missing, 2 fills on cpu" in out
    assert "error in the missing pixels" in out
    assert sorted(os.listdir("run")) == ["figure.png", "metrics.json", "run.json", "samples.h5"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "--overwrite" in err


def test_a_mask_file_and_training_do_too(capsys, here, quick_picture):
    words = ["inpaint", "truth.npy", "--mask", "mask.npy", "--training", "truth.npy", "--samples", "1", *SMALL]
    assert run(capsys, *words, "--out", "a")[0] == 0


def test_inpaint_that_does_not_converge_is_code_4_and_goes_on(capsys, here, quick_picture):
    words = ["inpaint", "holes.npy", "--tolerance", "1e-9", "--samples", "1", *SMALL]
    code, out, _ = run(capsys, *words, "--max-evaluations", "2")
    assert code == 4
    assert "--resume" in out
    assert "checkpoint.h5" in os.listdir("run")
    assert run(capsys, *words, "--max-evaluations", "4", "--resume")[0] == 4
    assert json.loads((here / "run" / "metrics.json").read_text())["inpainting"]["n_evaluations"] == [4]


def test_denoise_leaves_a_run(capsys, here):
    words = ["denoise", "noisy.npy", "--noise-std", "0.3", "--truth", "truth.npy", "--tolerance", "1"]
    code, out, err = run(capsys, *words, *SMALL)
    assert (code, err) == (0, "")
    assert "root mean square error" in out
    assert sorted(os.listdir("run")) == ["figure.png", "metrics.json", "run.json", "samples.h5"]


def test_noise_from_a_file(capsys, here, quick_picture):
    code, out, _ = run(capsys, "denoise", "noisy.npy", "--noise", "noise.npy", "--max-evaluations", "1", *SMALL)
    assert code == 4
    assert "noise: 0." in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["inpaint", "truth.npy"], 2, "has no missing pixels (NaN) to fill: give a mask with --mask FILE"),
        (["inpaint", "nothing.npy"], 3, "there is no file nothing.npy"),
        (["inpaint", "holes.npy", "--mask", "nothing.npy"], 3, "there is no file nothing.npy"),
        (["inpaint", "truth.npy", "--mask", "truth.npy"], 2, "truth.npy must hold a mask with two values"),
        (["inpaint", "holes.npy", "--training", "holes.npy"], 2, "must be finite"),
        (["inpaint", "holes.npy", "--tolerance", "-1"], 2, "`tolerance` must be a number >= 0"),
        (["denoise", "noisy.npy"], 2, "give one of --noise-std S and --noise FILE"),
        (["denoise", "noisy.npy", "--noise-std", "1", "--noise", "noise.npy"], 2, "give one of --noise-std S"),
        (["denoise", "noisy.npy", "--noise-std", "0"], 2, "`noise` must be a standard deviation > 0, got 0.0"),
        (["denoise", "noisy.npy", "--noise-std", "-2"], 2, "`noise` must be a standard deviation > 0"),
        (["denoise", "noisy.npy", "--noise-std", "50"], 2, "`noise` must have less variance than the field"),
        (["denoise", "noisy.npy", "--noise", "nothing.npy"], 3, "there is no file nothing.npy"),
        (["denoise", "holes.npy", "--noise-std", "0.1"], 2, "must be finite"),
        (["denoise", "noisy.npy", "--noise-std", "0.3", "--draws", "5"], 2, "`n_draws` must be even, got 5"),
    ],
)
def test_what_goes_wrong_is_a_message(capsys, here, words, code, message):
    found, _, err = run(capsys, *words, *SMALL)
    assert found == code
    assert message in err
    assert "Traceback" not in err
    assert not (here / "run").exists()
