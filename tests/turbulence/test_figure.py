import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from phasewave.turbulence.figure import draw_synthesis
from phasewave.turbulence.gaussian import GaussianModel, white_noise
from phasewave.turbulence.judge import Judge
from phasewave.turbulence.report import compare


def fields(shape, n, seed=0):
    x = white_noise(n, shape, seed=seed)
    return x + x.roll(1, -1) + x.roll(1, -2)


def draw(path, shape=(32, 32), n_samples=2, *, gaussian=True, reference=0, mean=0.0):
    target, samples = fields(shape, 1)[0] + mean, fields(shape, n_samples, seed=1) + mean
    model = GaussianModel(target).sample(2, seed=0) if gaussian else None
    real = fields(shape, reference, seed=2) + mean if reference else None
    metrics = compare(samples, target, gaussian=model, reference=real, in_loss=["wasserstein"])
    draw_synthesis(target, model, samples, metrics, path)
    return imread(path)[..., :3]


def panels(picture):
    """Runs of columns that are not white in a row through the fields."""
    inked = (picture[120] < 0.999).any(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inked, [False]]).astype(int)))
    return [int(stop - start) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop - start > 60]


@pytest.mark.parametrize(
    ("options", "n_panels"),
    [
        ({"n_samples": 5, "reference": 3}, 4),
        ({"n_samples": 1, "gaussian": False}, 2),
        ({"shape": (64, 16), "n_samples": 9}, 11),
        ({"shape": (17, 60), "n_samples": 1, "mean": 5.0}, 3),
    ],
)
def test_the_picture_has_the_fields_asked_for(tmp_path, options, n_panels):
    picture = draw(tmp_path / "figure.png", **options)
    assert picture.shape[1] == 13 * 150
    widths = panels(picture)
    assert len(widths) == n_panels
    assert max(widths) - min(widths) <= 2
    assert (picture[:6] > 0.999).all()  # nothing is cut off at the borders
    assert (picture[-6:] > 0.999).all()
    assert (picture[:, :6] > 0.999).all()
    assert (picture[:, -6:] > 0.999).all()


def test_fields_of_other_sizes_are_drawn_at_the_same_scale_of_pixels(tmp_path):
    target, samples = fields((32, 32), 1)[0], fields((48, 64), 2, seed=1)
    draw_synthesis(target, None, samples, compare(samples, target), tmp_path / "a.png")
    picture = imread(tmp_path / "a.png")[..., :3]
    own, *others = panels(picture)
    assert others == pytest.approx([2 * own] * 2, abs=2)


def test_the_table_has_a_row_for_the_two_sample_test(tmp_path):
    target = fields((72, 32), 1)[0]
    judge = Judge(patch_size=20, n_steps=1, batch_size=2)
    metrics = compare(target, target, two_sample=judge)
    accuracy = metrics["two_sample"]["samples"]["accuracy"]
    draw_synthesis(target, None, target, metrics, tmp_path / "with.svg")
    draw_synthesis(target, None, target, {**metrics, "two_sample": None}, tmp_path / "without.svg")
    text = "<!-- two-sample test -->"  # Matplotlib's own comment beside the outlines of a text
    assert text in (tmp_path / "with.svg").read_text()
    assert f"<!-- {accuracy:.3f} -->".replace("0.", ".") in (tmp_path / "with.svg").read_text()
    assert text not in (tmp_path / "without.svg").read_text()


def test_the_same_input_gives_the_same_picture_and_no_global_state(tmp_path):
    before = dict(mpl.rcParams)
    first, second = draw(tmp_path / "a.png"), draw(tmp_path / "b.png")
    assert np.array_equal(first, second)
    assert dict(mpl.rcParams) == before


def test_other_formats_by_ending(tmp_path):
    target = fields((16, 16), 1)[0]
    metrics = compare(target, target)
    draw_synthesis(target, None, target, metrics, tmp_path / "figure.svg")
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_bad_input(tmp_path):
    target = fields((16, 16), 1)[0]
    metrics = compare(target, target)
    with pytest.raises(ValueError, match=r"`metrics` must be the report that `compare` returns, got \['loss'\]"):
        draw_synthesis(target, None, target, {"loss": 1}, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"`samples` must have axes \(H, W\) or \(n, H, W\), got \(16,\)"):
        draw_synthesis(target, None, torch.zeros(16), metrics, tmp_path / "a.png")
