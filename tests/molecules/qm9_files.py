"""Write a handful of molecules in the three public forms of QM9, the same content in each."""

import csv
import io
import tarfile
import zipfile

import numpy as np
from ase.build import molecule

NAMES = ("A", "B", "C", "mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "U0", "U", "H", "G", "Cv")
WHEEL_COLUMNS = (
    "RotA_GHz,RotB_GHz,RotC_GHz,Dipole_debye,Polarizability_bohr3,HOMO_au,LUMO_au,HOMO_LUMO_gap_au,R2_bohr2,ZPVE_au,"
    "InternalEnergy_0K_au,InternalEnergy_298K_au,Enthalphy_298K_au,GibbsFreeEnergy_298K_au,Heatcapacity_Cv_cal_mol_K"
).split(",")
CSV_COLUMNS = "A,B,C,mu,alpha,homo,lumo,gap,r2,zpve,u0,u298,h298,g298,cv".split(",")
_ATOMS = {1: -0.500273, 6: -37.846772, 7: -54.583861, 8: -75.064579, 9: -99.718730}
UNCHARACTERIZED = 21


def samples():
    """Return {index: (symbols, positions with 4 decimals, values)}; the values obey the relations of QM9's."""
    rows = {}
    for index, name in (
        (1, "CH4"),
        (2, "NH3"),
        (3, "H2O"),
        (5, "HCN"),
        (7, "CH3CH2OH"),
        (21, "CH3CN"),
        (40, "HCF3"),
    ):
        atoms = molecule(name)
        z = atoms.numbers
        energy = sum(_ATOMS[int(k)] for k in z) - 0.13 * (len(z) - 1)
        u0 = -40.47893 if index == 1 else round(energy, 6)
        homo, lumo = -0.3 + 0.001 * index, 0.05 + 0.002 * index
        u = u0 + 0.002868
        values = [157.7, 3.5 + index, 2.25, 0.1 * index, 13.21, homo, lumo, lumo - homo, 35.36, 0.0447]
        values += [u0, u, u + 0.000944, u - 0.0225, 6.469]
        positions = np.round(atoms.positions + 0.0001, 4)
        rows[index] = (atoms.get_chemical_symbols(), positions, [round(v, 6) for v in values])
    return rows


def mathematica(x):
    """Write a number as the original files do: ``1.*^-4`` for 0.0001."""
    if x != 0 and abs(x) < 1e-3:
        digits, exponent = f"{x:.10e}".split("e")
        return f"{digits.rstrip('0')}*^{int(exponent)}"
    return f"{x:.10f}"


def xyz_text(index, rows):
    symbols, positions, values = rows[index]
    lines = [str(len(symbols)), "\t".join([f"gdb {index}", *map(mathematica, values)]) + "\t"]
    for symbol, position in zip(symbols, positions, strict=True):
        lines.append("\t".join([symbol, *map(mathematica, position), "0.133921"]))
    return "\n".join([*lines, "1341.307\t1341.3284", "C\tC\t", "InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4", ""])


def write_archive(path, texts):
    """Write {index: text} as the original archive; the suffix says the compression."""
    mode = {".bz2": "w:bz2", ".gz": "w:gz", ".tar": "w"}[path.suffix]
    with tarfile.open(path, mode) as archive:
        for index, text in texts.items():
            content = text.encode()
            info = tarfile.TarInfo(f"dsgdb9nsd_{index:06d}.xyz")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def table_rows(rows):
    """Return the header and rows of the wheel's tables."""
    header = ["XYZ_file", "Index", "SMILES", "N_atoms", "Elements", "XYZ_Ang", *WHEEL_COLUMNS]
    table = []
    for index, (symbols, positions, values) in rows.items():
        elements = "[" + ",".join(f"'{s}'" for s in symbols) + "]"
        xyz = "[" + ",".join("[" + ",".join(map(repr, p)) + "]" for p in positions.tolist()) + "]"
        table.append([f"dsgdb9nsd_{index:06d}.xyz", index, "C", len(symbols), elements, xyz, *values])
    return header, table


def table_texts(rows):
    """Return the three tables of the wheel as texts, by name."""
    header, table = table_rows(rows)
    texts = {}
    for part, chunk in enumerate((table[:2], table[2:3], table[3:]), start=1):
        stream = io.StringIO()
        csv.writer(stream).writerows([header, *chunk])
        texts[f"qm9_part{part}.csv"] = stream.getvalue()
    return texts


def write_wheel(path, texts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(f"qm9pack/data/{name}", text)
    return path


def write_unpacked(folder, texts):
    data = folder / "qm9pack" / "data"
    data.mkdir(parents=True)
    for name, text in texts.items():
        (data / name).write_text(text)
    return folder


def sdf_text(index, rows):
    symbols, positions, _ = rows[index]
    lines = [f"gdb_{index}", " -OEChem-03231823253D", "", f"{len(symbols):3d}  0  0     0  0  0  0  0  0999 V2000"]
    for symbol, (x, y, z) in zip(symbols, positions, strict=True):
        lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol:<3} 0  0  0  0  0  0  0  0  0  0  0  0")
    return "\n".join([*lines, "M  END", "$$$$", ""])


def write_sdf(path, rows):
    """Write ``path`` and the table of properties beside it."""
    path.write_text("".join(sdf_text(index, rows) for index in rows))
    with open(f"{path}.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["mol_id", *CSV_COLUMNS, "u0_atom"])
        writer.writerows([f"gdb_{index}", *values, -1.0] for index, (_, _, values) in rows.items())
    return path


def write_excluded(path, indices):
    """Write the list of molecules to leave out, laid out as the published one."""
    lines = ["List of molecules among the 133885 GDB9 molecules for which the SMILES differ.", "", "=" * 60]
    lines += [
        "# Index      GDB17 SMILES     SMILES for B3LYP XYZ   SMILES for Corina generated XYZ   D_IJ",
        "=" * 60,
    ]
    lines += [f"{index:8d}  NC(=N)C#N   NC(=N)C#N    [NH]C(=[NH2])C#N    6.036217" for index in indices]
    path.write_text("\n".join([*lines, f"{len(indices)} compounds", ""]))
    return path


def write_all(folder, rows=None):
    """Write all forms; the wheel without the uncharacterised molecule, the others with it and the list."""
    rows = samples() if rows is None else rows
    kept = {index: row for index, row in rows.items() if index != UNCHARACTERIZED}
    write_excluded(folder / "uncharacterized.txt", [UNCHARACTERIZED])
    return {
        "wheel": write_wheel(folder / "qm9pack-1.0.3-py3-none-any.whl", table_texts(kept)),
        "folder": write_unpacked(folder / "unpacked", table_texts(kept)),
        "xyz": write_archive(folder / "dsgdb9nsd.xyz.tar.bz2", {i: xyz_text(i, rows) for i in rows}),
        "sdf": write_sdf(folder / "gdb9.sdf", rows),
    }
