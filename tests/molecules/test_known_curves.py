"""Published errors and other runs' learning curves."""

import pytest

from phasewave.molecules.known_curves import OtherCurve, curve_label, read_curves

HEAD = "label,n_train,mae,unit,source\n"


def test_a_table_is_read_in_ev(tmp_path):
    path = tmp_path / "known.csv"
    path.write_text(HEAD + "a,1000,20,meV,here\nb,5,2.0,Debye,\na,10,0.5,eV,there\nc,7,23.060548,kcal/mol,\n")
    assert read_curves(path) == [
        OtherCurve("a", (10, 1000), (0.5, 0.02), "eV"),
        OtherCurve("b", (5,), (2.0,), "Debye"),
        OtherCurve("c", (7,), (pytest.approx(1.0, rel=1e-6),), "eV"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,n_train,mae\n", "must have the columns label, n_train, mae, unit, got none named 'unit'"),
        (HEAD, "must have a row at least"),
        (HEAD + "a,ten,1,eV,\n", "line 2 of .* must have numbers, got invalid literal"),
        (HEAD + "a,10,1,eV,\na,10,-1,eV,\n", "line 3 of .* must have positive numbers, got 10, -1.0"),
        (HEAD + "a,10,nan,eV,\n", "line 2 of .* must have positive numbers"),
    ],
)
def test_bad_tables_are_told(tmp_path, text, message):
    path = tmp_path / "known.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_curves(path)


def test_neither_run_nor_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder or file"):
        read_curves(tmp_path / "none")
    with pytest.raises(ValueError, match="must be the folder of a finished learning curve"):
        read_curves(tmp_path)


def test_a_curve_says_where_its_features_are_read():
    assert curve_label({"model": "kernel", "features": None}) == "kernel"
    assert curve_label({"model": "ridge", "features": {"n_scales": 3}}) == "ridge"
    at_atoms = {"model": "ridge", "features": {"at_atoms": {"n_scales": 6}}}
    assert curve_label(at_atoms) == "ridge, moduli at the atoms"
