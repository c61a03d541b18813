import json

import h5py
import pytest
import torch

from phasewave.runs.hdf5 import read_samples
from phasewave.solve.result import Status
from phasewave.turbulence import synthesis_files
from phasewave.turbulence.fields import Field, as_field
from phasewave.turbulence.gaussian import GaussianModel
from phasewave.turbulence.inputs import SynthesisInput
from phasewave.turbulence.moments import PhaseHarmonicMoments
from phasewave.turbulence.report import compare
from phasewave.turbulence.sampler import MaxEntropySampler
from phasewave.turbulence.settings import SynthesisSettings
from phasewave.turbulence.synthesis import SynthesisOutcome, synthesize
from phasewave.turbulence.synthesis_ranks import merged

SETTINGS = SynthesisSettings(moments="pywph", n_scales=2, n_angles=2, tolerance=1e-4, max_evaluations=150)
FINISHED = ["figure.png", "metrics.json", "moments.h5", "run.json", "samples.h5"]


def lognormal(dtype=torch.float32) -> Field:
    noise = torch.randn(32, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(32)[:, None], torch.fft.fftfreq(32)).double()
    smooth = torch.fft.ifft2(torch.fft.fft2(noise) / (radius + 0.05) ** 1.5).real
    return as_field(40.0 + 3.0 * torch.exp(0.7 * smooth / smooth.std()), dtype=dtype)


def run(out, *, settings=SETTINGS, field=None, **arguments) -> SynthesisOutcome:
    field = lognormal() if field is None else field
    return synthesize(field, **({"n_samples": 2, "seed": 3, "out": out, "settings": settings} | arguments))


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def limited(n: int, settings: SynthesisSettings = SETTINGS) -> SynthesisSettings:
    return SynthesisSettings(**(vars(settings) | {"max_evaluations": n}))


def stop_after(n: int):
    return lambda progress: max(progress.n_evaluations) >= n


@pytest.fixture(autouse=True)
def quick_picture(monkeypatch):
    """Draw the true picture in `finished` only, which is made before this takes effect."""

    def write(target, gaussian, samples, metrics, path):
        path.write_bytes(b"a picture")

    monkeypatch.setattr(synthesis_files, "draw_synthesis", write)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("finished") / "deep" / "run")


def test_the_folder_of_a_finished_run(finished):
    assert finished.converged
    assert names(finished.folder) == FINISHED
    with h5py.File(finished.folder / "samples.h5") as file:
        assert file["samples"].shape == (2, 32, 32)
        assert file["samples"].dtype == "float32"
        assert file.attrs["seed"] == 3
        assert json.loads(file.attrs["settings"])["n_scales"] == 2
        assert json.loads(file.attrs["source"])["sha256"] == lognormal().source.sha256
        assert set(json.loads(file.attrs["versions"])) >= {"phasewave", "torch", "python"}
    stored = read_samples(finished.folder / "samples.h5")
    assert torch.equal(stored.samples, finished.samples)
    assert torch.equal(stored.extra["target"], lognormal().values)
    assert torch.equal(stored.extra["gaussian"], GaussianModel(lognormal().values).sample(2, seed=3))
    assert torch.equal(stored.extra["history"][-1], finished.losses)
    assert (finished.folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_samples_have_the_moments_of_the_field(finished):
    field = lognormal().values
    units = [(x - field.mean()) / field.std(correction=0) for x in (field[None], finished.samples)]
    moments = SETTINGS.build((32, 32), torch.float32)
    assert isinstance(moments, PhaseHarmonicMoments)
    wanted, found = (moments.standardized(units[0][0])(x) for x in units)
    loss = (found - wanted).abs().square().sum(-1) / wanted.abs().square().sum()
    assert (loss <= 1.01e-4).all()
    torch.testing.assert_close(loss.double(), finished.losses, rtol=1e-2, atol=0.0)


def test_the_record_and_the_report(finished):
    record = json.loads((finished.folder / "run.json").read_text())
    assert record["status"] == "converged"
    assert record["seed"] == 3
    assert record["device"] == "cpu"
    assert record["dtype"] == "float32"
    assert record["settings"]["n_samples"] == 2
    assert record["settings"]["tolerance"] == 1e-4
    assert record["settings"]["source"]["path"] == "array in memory"
    assert record["wall_seconds"] > 0
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    assert metrics == finished.metrics
    assert metrics["synthesis"]["status"] == ["converged", "converged"]
    assert metrics["synthesis"]["losses"] == finished.losses.tolist()
    assert metrics["synthesis"]["n_evaluations"] == list(finished.n_evaluations)
    assert metrics["synthesis"]["n_pixels"] == 32 * 32
    assert metrics["synthesis"]["n_moments"] == 2 * SETTINGS.build((32, 32), torch.float32).n_moments
    assert metrics["definitions"]["kurtosis"]["in_loss"]
    assert metrics["definitions"]["spectrum_error"]["in_loss"]
    assert not metrics["definitions"]["minkowski_error"]["in_loss"]
    # the skewness is a moment of the loss: the samples have it, the Gaussian model has not
    target = metrics["target"]["skewness"]
    assert abs(metrics["samples"]["skewness"]["mean"] - target) < 0.15 * target
    assert abs(metrics["gaussian"]["skewness"]["mean"] - target) > 0.5 * target


def test_same_seed_same_samples_whatever_the_number(finished, tmp_path):
    one = run(tmp_path / "one", n_samples=1)
    assert torch.equal(one.samples, finished.samples[:1])
    other = run(tmp_path / "other", n_samples=1, seed=4)
    assert not torch.equal(one.samples, other.samples)


@pytest.mark.parametrize("n_before", [1, 14])
def test_a_resumed_run_is_the_uninterrupted_one(finished, tmp_path, n_before):
    first = run(tmp_path / "run", progress=stop_after(n_before))
    assert first.status == (Status.INTERRUPTED,) * 2
    assert first.n_evaluations == (n_before,) * 2
    assert names(first.folder) == ["checkpoint.h5", *FINISHED]
    assert json.loads((first.folder / "run.json").read_text())["status"] == "interrupted"
    assert read_samples(first.folder / "samples.h5").extra["history"].shape == (n_before, 2)
    second = run(tmp_path / "run", resume=True)
    assert torch.equal(second.samples, finished.samples)
    assert torch.equal(second.losses, finished.losses)
    assert second.n_evaluations == finished.n_evaluations
    assert names(second.folder) == FINISHED
    record = json.loads((second.folder / "run.json").read_text())
    assert record["status"] == "converged"
    assert 0.0 < record["earlier_seconds"] < record["wall_seconds"]


def test_a_killed_run_resumes_from_its_last_checkpoint(finished, tmp_path):
    class Killed(BaseException):
        """What no part of the program expects."""

    def die(progress):
        if max(progress.n_evaluations) == 10:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, progress=die, checkpoint_seconds=0.0)
    assert names(tmp_path) == ["checkpoint.h5", "run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"
    seen = []
    second = run(tmp_path, resume=True, progress=lambda progress: seen.append(max(progress.n_evaluations)))
    assert seen[:2] == [10, 11]
    assert torch.equal(second.samples, finished.samples)


def test_ctrl_c_in_an_evaluation_saves_everything(finished, tmp_path, monkeypatch):
    forward, calls = PhaseHarmonicMoments.forward, []

    def interrupted(self, x):
        calls.append(len(x))
        if len(calls) == 20:
            raise KeyboardInterrupt
        return forward(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(PhaseHarmonicMoments, "forward", interrupted)
        first = run(tmp_path)
    assert first.status == (Status.INTERRUPTED,) * 2
    assert names(tmp_path) == ["checkpoint.h5", *FINISHED]
    assert torch.equal(run(tmp_path, resume=True).samples, finished.samples)


def test_ctrl_c_before_anything_is_reached_leaves_a_record(tmp_path, monkeypatch):
    def interrupted(self, x):
        raise KeyboardInterrupt

    monkeypatch.setattr(PhaseHarmonicMoments, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    assert names(tmp_path / "run") == ["run.json"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"


def test_a_run_that_does_not_converge_says_so_and_can_be_given_more(finished, tmp_path):
    first = run(tmp_path, settings=limited(8))
    assert first.status == (Status.MAX_EVALUATIONS,) * 2
    assert not first.converged
    assert names(tmp_path) == ["checkpoint.h5", *FINISHED]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "max_evaluations"
    assert json.loads((tmp_path / "metrics.json").read_text())["synthesis"]["status"][0] == "max_evaluations"
    second = run(tmp_path, settings=SETTINGS, resume=True)
    assert torch.equal(second.samples, finished.samples)


def test_an_earlier_run_is_not_overwritten_without_being_told(tmp_path):
    first = run(tmp_path / "run", settings=limited(2))
    before = {name: (first.folder / name).read_bytes() for name in names(first.folder)}
    with pytest.raises(FileExistsError, match=r"is not empty \(it holds .*\): choose another folder"):
        run(tmp_path / "run")
    assert before == {name: (first.folder / name).read_bytes() for name in names(first.folder)}
    (tmp_path / "run" / "notes.txt").write_text("mine")
    again = run(tmp_path / "run", settings=limited(3), overwrite=True, seed=8)
    assert again.n_evaluations == (3, 3)
    assert read_samples(again.folder / "samples.h5").seed == 8
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_bad_input_leaves_an_earlier_run_alone(tmp_path):
    run(tmp_path, settings=limited(2))
    too_many_scales = SynthesisSettings(n_scales=9)
    with pytest.raises(ValueError, match=r"scales|shape"):
        run(tmp_path, settings=too_many_scales, overwrite=True)
    assert names(tmp_path) == ["checkpoint.h5", *FINISHED]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, r"seed was 3, now 4"),
        ({"n_samples": 3}, r"n_samples was 2, now 3"),
        ({"field": lognormal(torch.float64)}, r"dtype was 'float32', now 'float64'"),
        ({"field": as_field(lognormal().values + 1)}, r"field.sha256 was"),
        ({"settings": SynthesisSettings(**(vars(SETTINGS) | {"n_angles": 3}))}, r"n_angles was 2, now 3"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, change, message):
    run(tmp_path, settings=limited(2))
    with pytest.raises(ValueError, match=message):
        run(tmp_path, resume=True, **change)
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "max_evaluations"


def test_nothing_to_resume(finished, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no run to resume"):
        run(tmp_path / "none", resume=True)
    with pytest.raises(FileNotFoundError, match="there is no run to resume"):
        run(finished.folder, resume=True)


def test_float64(tmp_path):
    outcome = run(tmp_path, field=lognormal(torch.float64), settings=limited(3))
    assert outcome.samples.dtype == torch.float64
    assert json.loads((tmp_path / "run.json").read_text())["dtype"] == "float64"
    assert run(tmp_path, field=lognormal(torch.float64), settings=limited(4), resume=True).n_evaluations == (4, 4)


def test_a_full_disk_is_named_and_leaves_no_half_file(tmp_path, small_disk):
    with small_disk(), pytest.raises(OSError, match=r"no space left to write .*checkpoint.h5|File too large"):
        run(tmp_path, settings=limited(40), checkpoint_seconds=0.0)
    assert names(tmp_path) == ["run.json"] or names(tmp_path) == ["checkpoint.h5", "run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"field": torch.ones(32, 32)}, TypeError, r"`field` must be a Field \(see read_field, as_field\)"),
        ({"n_samples": 0}, ValueError, r"`n_samples` must be an integer >= 1, got 0"),
        ({"seed": -1}, ValueError, r"`seed` must be an integer >= 0, got -1"),
        ({"checkpoint_seconds": -1.0}, ValueError, r"`checkpoint_seconds` must be >= 0, got -1.0"),
        ({"resume": True, "overwrite": True}, ValueError, r"`overwrite` and `resume` exclude each other"),
        ({"settings": limited(0)}, ValueError, r"`max_evaluations` must be an integer >= 1, got 0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_the_circular_set_is_the_default_and_its_covariances_stay_under_half_of_the_pixels():
    settings = SynthesisSettings()
    assert settings.moments == "circular"
    circular = settings.build((256, 256), torch.float32).parts[0]
    assert circular.covariances.smoothings == (0.0, 2.0, 5.0)
    assert circular.n_moments < 256**2 / 2


def test_the_circular_set_reaches_its_moments(tmp_path):
    settings = SynthesisSettings(n_scales=2, n_angles=2, tolerance=5e-3, max_evaluations=100)
    outcome = synthesize(lognormal(), n_samples=1, seed=0, out=tmp_path / "run", settings=settings)
    assert outcome.converged
    assert outcome.metrics["definitions"]["wasserstein"]["in_loss"]
    distance = {name: outcome.metrics[name]["wasserstein"]["mean"] for name in ("samples", "gaussian")}
    assert distance["samples"] < distance["gaussian"] / 3


def stack(n, shape=(32, 32)):
    """Realisations, or fields of one sky."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(n, *shape, generator=generator)
    return tuple(as_field(torch.exp(0.5 * (x + x.roll(1, 0) + x.roll(1, 1)))) for x in noise)


def test_the_moments_are_stored_beside_the_samples(finished):
    with h5py.File(finished.folder / "moments.h5") as file:
        kinds = file["kind"].asstr()[()].tolist()
        target, samples = file["target"][()], file["samples"][()]
        assert json.loads(file.attrs["settings"])["moments"] == "pywph"
    table = SETTINGS.build((32, 32), torch.float32).table
    assert kinds == [row.kind for row in table]
    assert samples.shape == (2, len(table))
    assert abs(samples - target).max() < 0.1 * abs(target).max()
    losses = finished.metrics["synthesis"]["class_losses"]
    rows = [kind == "S11" for kind in kinds]
    wanted = (abs(samples[:, rows] - target[rows]) ** 2).sum(1) / (abs(target[rows]) ** 2).sum()
    assert losses["S11"] == pytest.approx(wanted.tolist(), rel=1e-3)
    assert set(losses) == set(kinds)


def test_samples_of_another_size(tmp_path):
    outcome = run(tmp_path / "run", shape=(48, 64), settings=limited(3))
    assert outcome.samples.shape == (2, 48, 64)
    assert read_samples(tmp_path / "run" / "samples.h5").extra["gaussian"].shape == (2, 48, 64)
    assert outcome.metrics["fields"]["samples"] == [2, 48, 64]
    assert outcome.metrics["synthesis"]["n_pixels"] == 32 * 32
    with pytest.raises(ValueError, match=r"shape was \[48, 64\], now \[32, 32\]"):
        run(tmp_path / "run", resume=True)


def test_an_ensemble_is_judged_by_its_first_and_the_others(tmp_path):
    outcome = run(tmp_path / "run", field=SynthesisInput(stack(3)), settings=limited(5))
    assert outcome.metrics["fields"]["reference"] == [2, 32, 32]
    assert len(outcome.metrics["synthesis"]["realisation_losses"]) == 3
    assert (
        json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["source"]["others"][1]["index"] is None
    )


def test_a_field_with_gaps_is_judged_by_its_largest_whole_part(tmp_path):
    mask = torch.ones(32, 32, dtype=torch.bool)
    mask[:2, :4] = False
    field = lognormal()
    outcome = run(tmp_path / "run", field=SynthesisInput((field,), mask=mask), settings=limited(2))
    assert outcome.metrics["fields"]["target"] == [1, 30, 32]
    assert outcome.samples.shape == (2, 32, 32)
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:15] = True
    coarse = SynthesisSettings("pywph", n_scales=1, n_angles=2, max_evaluations=2)
    outcome = run(tmp_path / "none", field=SynthesisInput((field,), mask=mask), settings=coarse)
    assert set(outcome.metrics) == {"synthesis"}
    assert names(outcome.folder) == ["checkpoint.h5", *FINISHED[1:]]


def test_a_field_that_is_not_periodic(tmp_path):
    outcome = run(tmp_path / "run", field=SynthesisInput((lognormal(),), periodic=False), settings=limited(2))
    assert outcome.samples.shape == (2, 32, 32)
    with pytest.raises(ValueError, match=r"field.periodic was False, now absent"):
        run(tmp_path / "run", resume=True)


def test_ranks_that_finished_apart_look_as_if_one_process_had_done_it_all():
    field = lognormal().values
    sampler = MaxEntropySampler(SETTINGS.build((32, 32), torch.float32), tolerance=1e-3, max_evaluations=60)
    whole = sampler.sample(field, n_samples=3, seed=3)
    parts = [sampler.sample(field, n_samples=n, seed=3, first_sample=first) for first, n in ((0, 1), (1, 2))]
    together = merged(parts)
    assert len({len(part.history) for part in parts}) > 1  # or the test shows nothing
    for name in ("samples", "losses", "history", "sample_moments", "target_moments"):
        assert torch.equal(getattr(together, name), getattr(whole, name)), name
    assert together.status == whole.status
    assert together.n_evaluations == whole.n_evaluations
    assert together.class_losses.keys() == whole.class_losses.keys()


def test_unknown_moments_are_named():
    with pytest.raises(ValueError, match=r"`moments` must be one of .circular., .pywph.*, got .wph."):
        SynthesisSettings(moments="wph")


def test_a_jump_at_the_borders_is_not_in_the_report(tmp_path):
    ramp = torch.linspace(-10.0, 10.0, 32)
    field = as_field(ramp + torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))
    settings = SynthesisSettings("pywph", n_scales=2, n_angles=2, max_evaluations=1)
    true, false = (
        run(tmp_path / str(periodic), field=SynthesisInput((field,), periodic=periodic), settings=settings).metrics
        for periodic in (True, False)
    )
    # columns that are no neighbours make the gradients' tail
    assert true["target"]["gradient_kurtosis"] > 5.0
    assert false["target"]["gradient_kurtosis"] == pytest.approx(3.0, abs=0.5)
    assert false["fields"] == true["fields"]


def test_fields_of_one_sky_have_a_report_and_a_picture_each(tmp_path):
    given = SynthesisInput(stack(2), channels=True)
    outcome = run(tmp_path / "run", field=given, settings=limited(2))
    assert outcome.samples.shape == (2, 2, 32, 32)
    assert names(outcome.folder) == ["checkpoint.h5", "figure.png", "figure_1.png", *FINISHED[1:]]
    stored = read_samples(outcome.folder / "samples.h5")
    assert torch.equal(stored.samples, outcome.samples[:, 0])
    assert torch.equal(stored.extra["samples_1"], outcome.samples[:, 1])
    assert torch.equal(stored.extra["target_1"], given.fields[1].values)
    assert outcome.metrics["channels"]["1"]["target"]["skewness"] == pytest.approx(
        compare(outcome.samples[:, 1], given.fields[1].values)["target"]["skewness"]
    )
    again = run(tmp_path / "run", field=given, settings=limited(4), resume=True)
    once = run(tmp_path / "once", field=given, settings=limited(4))
    assert torch.equal(again.samples, once.samples)
