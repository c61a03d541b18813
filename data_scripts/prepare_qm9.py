"""Make one HDF5 file of QM9 (130,831 molecules) from a download: checked, in eV and Angstrom, with splits.

This is `phasewave molecules prepare`; its options are those of the command. Get one of these (the data are CC0,
doi 10.1038/sdata.2014.22):

(a) the wheel, 104 MB: `pip download --no-deps qm9pack==1.0.3`
(b) the original archive, 86 MB: https://ndownloader.figshare.com/files/3195389 as dsgdb9nsd.xyz.tar.bz2, and
    https://ndownloader.figshare.com/files/3195404 as uncharacterized.txt in the same folder
(c) https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/molnet_publish/qm9.zip, unpacked to gdb9.sdf and
    gdb9.sdf.csv, and uncharacterized.txt as in (b); its positions have 4 decimals only

Examples
--------
    python data_scripts/prepare_qm9.py qm9pack-1.0.3-py3-none-any.whl --out qm9.h5
    python data_scripts/prepare_qm9.py dsgdb9nsd.xyz.tar.bz2 --out qm9.h5
    python data_scripts/prepare_qm9.py gdb9.sdf --out qm9.h5

The 3,054 molecules that failed the authors' consistency check are left out. What the file holds is told in
phasewave.molecules.dataset_file; read it with phasewave.molecules.datasets.read_dataset.
Exit codes: 0 done, 2 wrong use or damaged data, 3 a file is missing, 4 interrupted or disk full; but for 0
nothing is written.
"""

import sys

from phasewave.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["molecules", "prepare", *sys.argv[1:]]))
