"""The command: help, version, what it leaves, and an exit code and a message for everything that goes wrong."""

import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

import phasewave
from phasewave.cli import live_display, turbulence
from phasewave.cli.devices import choose_device
from phasewave.cli.errors import exit_code
from phasewave.cli.main import main
from phasewave.cli.progress import EvaluationProgress, duration
from phasewave.runs.hdf5 import read_samples

SYNTHESIZE = ["turbulence", "synthesize"]
SMALL = ["--scales", "2", "--angles", "2", "--samples", "2", "--device", "cpu"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with a small field in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    np.save("field.npy", np.random.default_rng(0).normal(size=(32, 32)))
    return tmp_path


def run(capsys, *words):
    """Return exit code, standard output and standard error of a command."""
    code = main([str(word) for word in words])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_version_is_that_of_the_package(capsys):
    assert run(capsys, "--version") == (0, f"phasewave {phasewave.__version__}\n", "")
    command = [sys.executable, "-m", "phasewave", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"phasewave {phasewave.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["turbulence", "-h"], [*SYNTHESIZE, "--help"]])
def test_help_is_help(capsys, words):
    code, out, err = run(capsys, *words)
    assert code == 0
    assert "Usage: phasewave" in out
    assert err == ""


def test_help_names_every_option_once(capsys, here):
    _, out, _ = run(capsys, *SYNTHESIZE, "--help")
    for option in (
        *("--samples", "--seed", "--out", "--scales", "--angles", "--tolerance", "--max-evaluations"),
        *("--device", "--dtype", "--overwrite", "--resume", "--dataset", "--index", "--threads"),
        *("--size", "--ensemble", "--channel", "--mask", "--non-periodic", "--moments"),
    ):
        assert out.count(f"{option} ") == 1 + (option == "--resume"), option  # the text above names --resume


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["turbulense"], "No such command"),
        (["turbulence", "synthesise"], "No such command"),
        ([*SYNTHESIZE, "--sample", "3"], "No such option: --sample"),
        ([*SYNTHESIZE, "--samples", "0"], "Invalid value for '--samples'"),
        ([*SYNTHESIZE, "--samples", "many"], "Invalid value for '--samples'"),
        ([*SYNTHESIZE, "--dtype", "float16"], "'float16' is not one of"),
        ([*SYNTHESIZE, "--threads", "0"], "Invalid value for '--threads'"),
        ([*SYNTHESIZE, "--device", "tpu"], "`device` must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ([*SYNTHESIZE, "--device", "cuda:99"], "`device` must exist, got 'cuda:99'"),
        ([*SYNTHESIZE, "a.npy", "b.npy"], "unexpected extra argument"),
        ([*SYNTHESIZE, "field.npy", "--scales", "9"], "`n_scales` must"),
        ([*SYNTHESIZE, "field.npy", "--scales", "0"], "`n_scales` must"),
        ([*SYNTHESIZE, "field.npy", "--tolerance", "-1"], "`tolerance` must"),
        ([*SYNTHESIZE, "field.npy", "--max-evaluations", "0"], "`max_evaluations` must"),
        ([*SYNTHESIZE, "field.npy", "--index", "0"], "`index` must not be given"),
        ([*SYNTHESIZE, "field.npy", "--dataset", "w"], "holds no array 'w'; it holds array (32, 32) float64"),
        ([*SYNTHESIZE, "field.npy", "--tolerance", "small"], "`tolerance` must be a number, or CLASS=NUMBER"),
        ([*SYNTHESIZE, "field.npy", "--tolerance", "S11=1e-3,2"], "`tolerance` must be a number, or CLASS=NUMBER"),
        ([*SYNTHESIZE, "field.npy", "--size", "8", "64"], "`shape` must be 2 integers >= 16, got (8, 64)"),
        ([*SYNTHESIZE, "field.npy", "--size", "64"], "Option '--size' requires 2 arguments"),
        ([*SYNTHESIZE, "field.npy", "--ensemble"], "must hold a stack of fields with axes (N, H, W)"),
        ([*SYNTHESIZE, "--ensemble"], "`ensemble` must be given with a file"),
        ([*SYNTHESIZE, "field.npy", "--mask", "field.npy"], "field.npy must hold a mask with two values"),
        ([*SYNTHESIZE, "field.npy", "--overwrite", "--resume"], "`overwrite` and `resume` exclude each other"),
    ],
)
def test_wrong_use_is_code_2(capsys, here, words, message):
    code, _, err = run(capsys, *words)
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert os.listdir(here) == ["field.npy"], "a refused command makes nothing"


BAD_FIELDS = {
    "nan.npy": (np.where(np.eye(32) > 0, np.nan, 1.0), "must be finite, got 32 NaN of 1024 values"),
    "infinite.npy": (np.where(np.eye(32) > 0, np.inf, 1.0), "must be finite, got 32 infinite"),
    "constant.npy": (np.ones((32, 32)), "must vary, got the constant 1"),
    "complex.npy": (np.ones((32, 32), complex), "must be real, got complex128"),
    "line.npy": (np.arange(32.0), "must have the axes (H, W)"),
    "stack.npy": (np.random.default_rng(0).normal(size=(3, 32, 32)), "choose one with --index"),
    "tiny.npy": (np.random.default_rng(0).normal(size=(8, 32)), "at least 16 x 16 pixels"),
    "objects.npy": (np.array([[None]]), "Python objects, which are never loaded"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_bad_field_is_code_2(capsys, here, name):
    array, message = BAD_FIELDS[name]
    np.save(name, array)
    code, _, err = run(capsys, *SYNTHESIZE, name)
    assert code == 2
    assert f"error: {name}" in err
    assert message in err
    assert "Traceback" not in err
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("field.xyz", b"", "has the suffix '.xyz'; a field is read from .npy"),
        ("broken.npy", b"not an array", "broken.npy cannot be read as .npy"),
        ("broken.h5", b"not HDF5", "broken.h5 cannot be read as .h5"),
        ("broken.png", b"not an image", "broken.png cannot be read as .png"),
    ],
)
def test_an_unreadable_file_is_code_2(capsys, here, name, content, message):
    (here / name).write_bytes(content)
    code, _, err = run(capsys, *SYNTHESIZE, name)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_missing_file_is_code_3(capsys, here):
    code, _, err = run(capsys, *SYNTHESIZE, "none.npy")
    assert code == 3
    assert "error: there is no file none.npy" in err
    code, _, err = run(capsys, *SYNTHESIZE, "field.npy", *SMALL, "--resume", "--out", "nowhere")
    assert code == 3
    assert "there is no run to resume in nowhere: the folder does not exist" in err
    assert not (here / "nowhere").exists()


def test_a_folder_with_files_is_refused_and_kept(capsys, here):
    (here / "results").mkdir()
    (here / "results" / "thesis.tex").write_text("years of work")
    code, _, err = run(capsys, *SYNTHESIZE, "field.npy", *SMALL, "--out", "results")
    assert code == 2
    assert "the folder results is not empty (it holds thesis.tex)" in err
    assert os.listdir(here / "results") == ["thesis.tex"]


def test_debug_shows_where(capsys, here):
    code, _, err = run(capsys, "--debug", *SYNTHESIZE, "none.npy")
    assert code == 3
    assert "Traceback" in err
    assert err.rstrip().splitlines()[-1].startswith("error: there is no file none.npy")


def test_a_run_leaves_its_files_and_goes_on(capsys, here):
    base = [*SYNTHESIZE, "field.npy", *SMALL, "--out", "run", "--seed", "5"]
    code, out, err = run(capsys, *base, "--tolerance", "1e-30", "--max-evaluations", "3")
    assert code == 4
    assert "Not converged. Go on with a larger --max-evaluations" in out
    assert "figure: run/figure.png" in out
    assert "largest correlation with the field: " in out
    assert "largest loss of a class of moments: " in out
    assert "copies of the field" not in out
    assert err == ""
    files = set(os.listdir(here / "run"))
    assert {"samples.h5", "moments.h5", "metrics.json", "run.json", "figure.png"} <= files
    first = read_samples(here / "run" / "samples.h5")
    assert first.samples.shape == (2, 32, 32)
    assert first.seed == 5
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "max_evaluations"

    code, _, err = run(capsys, *base, "--tolerance", "1e-30", "--max-evaluations", "6", "--resume")
    assert (code, err) == (4, "")
    resumed = read_samples(here / "run" / "samples.h5").samples
    once = [word if word != "run" else "once" for word in base]
    run(capsys, *once, "--tolerance", "1e-30", "--max-evaluations", "6")
    assert torch.equal(resumed, read_samples(here / "once" / "samples.h5").samples)

    code, _, err = run(capsys, *base, "--angles", "3", "--max-evaluations", "9", "--resume")
    assert code == 2
    assert "n_angles was 2, now 3" in err


def test_a_small_field_gets_a_small_set_and_is_told_so(capsys, here):
    base = [*SYNTHESIZE, "field.npy", "--samples", "1", "--max-evaluations", "1", "--overwrite"]
    code, out, _ = run(capsys, *base)
    assert code == 4
    assert "2 scales, 2 angles, about " in out
    assert "no more than the 1024 pixels" in out
    assert "copies of the field" not in out
    # what is asked for is done, with a warning
    _, out, _ = run(capsys, *base, "--scales", "4", "--angles", "8")
    assert "4 scales, 8 angles, about" in out
    assert "as few as can be for 1024 pixels" in out
    assert "moments for 1024 pixels can make the samples copies of the field" in out


def test_another_size_and_tolerances_by_class(capsys, here):
    words = [*SYNTHESIZE, "field.npy", *SMALL, "--moments", "pywph", "--size", "48", "32", "--out", "run"]
    code, out, err = run(capsys, *words, "--tolerance", "S11=0.9,rest=2.0")
    assert (code, err) == (0, "")
    assert "2 samples on cpu, float32, of 48 x 32" in out
    assert read_samples(here / "run" / "samples.h5").samples.shape == (2, 48, 32)
    metrics = json.loads((here / "run" / "metrics.json").read_text())
    assert metrics["synthesis"]["tolerance"] == {"S11": 0.9, "rest": 2.0}
    assert max(metrics["synthesis"]["class_losses"]["S11"]) <= 0.9
    code, _, err = run(capsys, *words, "--tolerance", "S12=0.9,rest=2.0", "--overwrite")
    assert code == 2
    assert "`tolerance` must name classes among S11, S00, S01, C01, Cphase, L, one_point or 'rest'" in err


def test_an_ensemble_two_channels_and_a_mask(capsys, here):
    rng = np.random.default_rng(1)
    np.save("stack.npy", rng.normal(size=(2, 32, 32)))
    np.save("q.npy", rng.normal(size=(32, 32)))
    np.save("mask.npy", np.arange(32)[:, None] + np.zeros(32) < 28)
    base = [*SYNTHESIZE, *SMALL, "--moments", "pywph", "--max-evaluations", "2"]
    code, out, err = run(capsys, *base, "stack.npy", "--ensemble", "--out", "a")
    assert (code, err) == (4, "")
    assert "stack.npy: 32 x 32, 2 realisations, 2 samples on cpu" in out
    code, out, err = run(capsys, *base, "field.npy", "--channel", "q.npy", "--out", "b")
    assert (code, err) == (4, "")
    assert "field.npy: 32 x 32, 2 fields of one sky" in out
    assert (here / "b" / "figure_1.png").exists()
    code, out, err = run(capsys, *base, "field.npy", "--mask", "mask.npy", "--non-periodic", "--out", "c")
    assert (code, err) == (4, "")
    assert "field.npy: 32 x 32, 87.5% observed, 2 samples on cpu" in out
    assert json.loads((here / "c" / "metrics.json").read_text())["fields"]["target"] == [1, 28, 32]


def test_two_processes_make_the_samples_of_one(capsys, here):
    words = [*SYNTHESIZE, "field.npy", *SMALL, "--samples", "3", "--moments", "pywph", "--tolerance", "1e-30"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "phasewave", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    arguments = {"capture_output": True, "text": True, "timeout": 200, "env": environment}
    done = subprocess.run([*command, "--max-evaluations", "3", "--out", "two"], **arguments)
    assert "3 samples on cpu, float32, 2 processes" in done.stdout, done.stderr
    assert (
        done.stdout.count("Not converged. Go on with a larger --max-evaluations: torchrun --nproc-per-node 2") == 1
    )
    assert {"checkpoint-0-of-2.h5", "checkpoint-1-of-2.h5", "run.json"} <= set(os.listdir(here / "two"))
    subprocess.run([*command, "--max-evaluations", "6", "--out", "two", "--resume"], **arguments)
    code, _, _ = run(capsys, *words, "--max-evaluations", "6", "--out", "one", "--threads", "1")
    assert code == 4
    one, two = (read_samples(here / name / "samples.h5") for name in ("one", "two"))
    assert torch.equal(one.samples, two.samples)
    assert torch.equal(one.extra["history"], two.extra["history"])
    # the folder of the two is refused by one process, without being asked
    code, _, err = run(capsys, *words, "--out", "two")
    assert code == 2
    assert "the folder two is not empty" in err
    assert run(capsys, *words, "--out", "two", "--max-evaluations", "1", "--overwrite")[0] == 4
    assert not list((here / "two").glob("checkpoint-*"))


def test_torchruns_variables_half_set_are_code_2(capsys, here, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    code, _, err = run(capsys, *SYNTHESIZE, "field.npy")
    assert code == 2
    assert "WORLD_SIZE, MASTER_ADDR, MASTER_PORT are missing: start with torchrun, or unset RANK" in err


def test_a_converged_run_is_code_0_and_needs_overwrite_to_be_done_again(capsys, here):
    words = [*SYNTHESIZE, "field.npy", *SMALL, "--tolerance", "0.5", "--out", "run"]
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert out.count("converged") == 2
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "converged"
    before = {path.name: path.stat().st_mtime_ns for path in (here / "run").iterdir()}
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "the folder run is not empty" in err
    assert "--overwrite" in err
    assert {path.name: path.stat().st_mtime_ns for path in (here / "run").iterdir()} == before
    (here / "run" / "notes.txt").write_text("mine")
    code, _, err = run(capsys, *words, "--overwrite")
    assert (code, err) == (0, "")
    assert (here / "run" / "notes.txt").read_text() == "mine"


def test_a_stack_and_a_named_array_are_chosen_by_option(capsys, here):
    stack = np.random.default_rng(1).normal(size=(3, 32, 32))
    np.savez("fields.npz", u=stack, v=-stack)
    code, _, err = run(
        *(capsys, *SYNTHESIZE, "fields.npz", *SMALL, "--tolerance", "0.5"),
        *("--dataset", "v", "--index", "2", "--dtype", "float64", "--out", "a/b"),
    )
    assert (code, err) == (0, "")
    source = read_samples(here / "a" / "b" / "samples.h5").source
    assert (source["path"], source["dataset"], source["index"]) == ("fields.npz", "v", 2)


def test_ctrl_c_saves_and_resumes(here):
    """Interrupt a real process: the first Ctrl-C ends it at the next step with everything saved."""
    words = [*SYNTHESIZE, "field.npy", *SMALL, "--moments", "pywph", "--tolerance", "1e-30"]
    words += ["--max-evaluations", "100000"]
    script = (
        "import os, signal, sys\n"
        "from phasewave.cli import turbulence\n"
        "from phasewave.cli.main import main\n"
        "update = turbulence.EvaluationProgress.update\n"
        "def press(self, n_evaluations, losses, status):\n"
        "    update(self, n_evaluations, losses, status)\n"
        "    if max(n_evaluations) == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "turbulence.EvaluationProgress.update = press\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 4, done.stderr
    assert "Interrupted; all is saved. Go on with: phasewave turbulence synthesize field.npy" in done.stdout
    assert json.loads((here / "run" / "run.json").read_text())["status"] == "interrupted"
    assert read_samples(here / "run" / "samples.h5").samples.shape == (2, 32, 32)
    assert main([*words[:-1], "4", "--resume"]) == 4


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError(), 2),
        (TypeError(), 2),
        (FileExistsError(), 2),
        (PermissionError(), 2),
        (MemoryError(), 2),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2),
        (FileNotFoundError(), 3),
        (OSError(errno.ENOSPC, "no space left"), 4),
        (KeyboardInterrupt(), 4),
        (RuntimeError("a defect"), None),
        (BrokenPipeError(), None),
    ],
    ids=repr,
)
def test_exit_codes_of_errors(error, code):
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "no space left to write run/samples.h5"), "no space left to write run/samples.h5"),
        (PermissionError(errno.EACCES, "Permission denied", "run"), "run: Permission denied"),
        (KeyboardInterrupt(), "interrupted; a checkpoint, if there is one, is kept"),
        (MemoryError(), "out of memory: ask for fewer samples"),
    ],
    ids=repr,
)
def test_messages_of_system_errors(capsys, here, monkeypatch, error, message):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(turbulence, "synthesize", fail)
    code, _, err = run(capsys, *SYNTHESIZE, "field.npy")
    assert code == exit_code(error)
    assert err.startswith(f"error: {message}")


def test_a_defect_is_not_hidden(here, monkeypatch):
    monkeypatch.setattr(turbulence, "synthesize", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([*SYNTHESIZE, "field.npy"])


def test_a_device_is_chosen_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_progress_tells_rate_and_time_left(monkeypatch):
    # The loss falls as 1.6 / n^2, so 1e-3 is reached at n = 40; 0.25 evaluations a second.
    clock = iter([0.0, 4.0, 12.0, 24.0, 36.0])
    monkeypatch.setattr(live_display.time, "monotonic", lambda: next(clock))
    console = Console(record=True, width=200, force_terminal=False, file=io.StringIO())
    with EvaluationProgress(console, max_evaluations=100, tolerance=1e-3) as live:
        for n_evaluations, loss in ((1, 1.6), (2, 0.4), (4, 0.1), (7, 0.2), (10, 9e-4)):
            live.update([n_evaluations, 1], [loss, 1e-4], [None, "converged"])
        text = console.export_text()
    assert text.splitlines() == [
        "evaluation 1/100: loss 1.60e+00 (goal 0.001), 1 of 2 samples open",
        "evaluation 4/100: loss 1.00e-01 (goal 0.001), 1 of 2 samples open, 0.25/s, about 2 min 24 s left",
        "evaluation 7/100: loss 2.00e-01 (goal 0.001), 1 of 2 samples open, 0.25/s, about 6 min 12 s left",
        "evaluation 10/100: loss 9.00e-04 (goal 0.001), 1 of 2 samples open, 0.25/s, about 0 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
