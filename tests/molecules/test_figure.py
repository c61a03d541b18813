"""Pictures: they show what the report says, whatever the numbers, and appear whole or not at all."""

import numpy as np
import pytest
from ase.build import molecule
from matplotlib.figure import Figure
from PIL import Image

from phasewave.molecules import figure
from phasewave.molecules.figure import draw_errors, draw_learning_curve
from phasewave.molecules.known_curves import OtherCurve
from phasewave.molecules.report import error_report
from phasewave.molecules.structures import as_molecules

NAMES = ("H2", "CH4", "NH3", "C2H6", "CO", "H2O", "C2H4", "C3H8")


@pytest.fixture
def drawn(monkeypatch):
    """The figures made, before they are written."""
    made, save = [], figure.save_figure

    def keep(one, path):
        made.append(one)
        save(one, path)

    monkeypatch.setattr(figure, "save_figure", keep)
    return made


def draw(path, errors, *, unit="eV", std=None, names=NAMES):
    molecules = as_molecules([molecule(name) for name in names])
    y = -np.arange(1.0, len(names) + 1)
    report = error_report(molecules, y, y + errors, y + 0.5, unit=unit, std=std)
    draw_errors(path, y, y + errors, y + 0.5, report, title="G2, kernel", quantity="energy")
    return report


def test_panels_and_their_titles(drawn, tmp_path):
    errors = 0.1 * np.cos(np.arange(8.0))
    report = draw(tmp_path / "a.png", errors, std=np.full(8, 0.1))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (1950, 615)
    titles = [axes.get_title("left") for axes in drawn[0].axes]
    assert titles == [
        "Predicted against known [eV]",
        "Share of molecules [%]",
        "Mean absolute error [kcal/mol]",
        "Errors within interval [%]",
    ]
    baseline, model = drawn[0].axes[2].lines
    assert model.get_xdata().tolist() == [row["heavy_atoms"] for row in report["by_heavy_atoms"]] == [0, 1, 2, 3]
    shown = [row["model"]["mae_kcal_mol"] for row in report["by_heavy_atoms"]]
    np.testing.assert_allclose(model.get_ydata(), shown)
    np.testing.assert_allclose(baseline.get_ydata(), report["baseline"]["mae_kcal_mol"])
    words = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert words[1] == "composition alone: mean absolute error 11.5 kcal/mol"
    known, predicted = drawn[0].axes[0].lines[2].get_data()
    np.testing.assert_allclose(predicted - known, errors)


def test_without_deviations_there_is_no_calibration(drawn, tmp_path):
    draw(tmp_path / "a.png", np.ones(8), unit="Debye")
    assert [axes.get_title("left") for axes in drawn[0].axes][2:] == ["Mean absolute error [Debye]"]


@pytest.mark.parametrize("errors", [0.0, 1e3])
def test_any_size_of_error_can_be_drawn(tmp_path, errors):
    draw(tmp_path / "a.png", np.full(8, errors))
    draw(tmp_path / "b.png", np.full(1, errors), names=("CH4",), unit="")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}


def points(scale):
    return [
        {"n_train": n, "draw": k, "mae": scale * n**-0.5 * (1 + 0.1 * k), "baseline_mae": 1.0}
        for n in (10, 100, 1000)
        for k in range(3)
    ]


def test_a_learning_curve_shows_the_means(drawn, tmp_path):
    others = [OtherCurve("other", (50, 500), (0.3, 0.1), ""), OtherCurve("dipoles", (9,), (1.0,), "Debye")]
    draw_learning_curve(tmp_path / "c.png", points(2.0), unit="", title="QM9", label="kernel", beside=others)
    axes = drawn[0].axes[0]
    line = next(line for line in axes.lines if line.get_label() == "kernel")
    assert line.get_xdata().tolist() == [10, 100, 1000]
    np.testing.assert_allclose(line.get_ydata(), 2.2 * np.array([10, 100, 1000]) ** -0.5)
    assert [text.get_text() for text in axes.texts] == ["0.696", "0.22", "0.0696"]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["composition alone", "kernel", "other"]
    drawn[0].canvas.draw()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "100", "1,000"]
    assert len([tick for tick in axes.get_yticklabels() if tick.get_text()]) >= 2


def test_many_curves_have_names_that_cover_nothing(drawn, tmp_path):
    others = [OtherCurve(f"other {k}", (50, 500), (0.3, 0.1), "") for k in range(5)]
    draw_learning_curve(tmp_path / "c.png", points(2.0), unit="", title="QM9", label="kernel", beside=others)
    axes = drawn[0].axes[0]
    drawn[0].canvas.draw()
    heading = next(
        text for text in axes.get_children() if getattr(text, "get_text", str)() == "Mean absolute error"
    )
    assert not axes.get_legend().get_window_extent().overlaps(heading.get_window_extent())


def test_a_picture_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(self, stream, **settings):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="no space left to write"):
        draw_learning_curve(tmp_path / "c.png", points(1.0), unit="eV", title="", label="")
    assert list(tmp_path.iterdir()) == []
