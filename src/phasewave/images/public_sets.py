"""Public sets of images: where their files are to be had, and the checksums that are known for certain.

Nothing is downloaded by the package: get the files, then `phasewave images prepare SOURCE --expect NAME`.

============== ============================================================================================
name           files
============== ============================================================================================
fashion-mnist  {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz in one folder, from
               http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/ or
               https://github.com/zalandoresearch/fashion-mnist (data/fashion); also Debian's package
               dataset-fashion-mnist. MIT licence. SOURCE is the folder.
celeba         img_align_celeba.zip (not unpacked), list_eval_partition.txt and, for ``--attribute``,
               list_attr_celeba.txt in one folder, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html
               (links to Google Drive). Non-commercial research only. SOURCE is the zip. 178x218, colour.
lsun-bedroom   http://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip (43 GB) or bedroom_val_lmdb.zip,
               unpacked; see https://www.yf.io/p/lsun. No checksum is known. SOURCE is the folder with
               data.mdb, or a folder or zip of pictures exported from it; ``--limit`` bounds how many.
cifar10        https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, the binary version. SOURCE is the
               archive.
============== ============================================================================================

The checksums of FashionMNIST are those of the files as published and of what is in them, so that files unpacked or
packed again are known too.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Literal

PublicSet = Literal["fashion-mnist", "celeba", "lsun-bedroom", "cifar10"]

# MD5 by set and by the file's name without .gz.
CHECKSUMS: dict[str, dict[str, tuple[str, ...]]] = {
    "fashion-mnist": {
        "train-images-idx3-ubyte": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        "train-labels-idx1-ubyte": ("25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"),
        "t10k-images-idx3-ubyte": ("bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"),
        "t10k-labels-idx1-ubyte": ("bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"),
    },
    "celeba": {
        "img_align_celeba.zip": ("00d2c5bc6d35e252742224ab0c1e8fcb",),
        "list_eval_partition.txt": ("d32c9cbf5e040fd4025c592c306e6668",),
        "list_attr_celeba.txt": ("75e246fa4810816ffd6ee81facbd244c",),
    },
    "cifar10": {"cifar-10-binary.tar": ("c32a1d4ab5d03f1284b67883e8d87530",)},
    "lsun-bedroom": {},
}
CITATIONS = {
    "fashion-mnist": "Xiao, Rasul, Vollgraf, arXiv:1708.07747 (2017); MIT licence",
    "celeba": "Liu, Luo, Wang, Tang, ICCV 2015; non-commercial research only",
    "cifar10": "Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    "lsun-bedroom": "Yu, Seff, Zhang, Song, Funkhouser, Xiao, arXiv:1506.03365 (2015)",
}
_OPTIONAL = ("list_attr_celeba.txt",)
_BLOCK = 1 << 20


def checksum_md5(path: Path, *, unpacked: bool = False) -> str:
    """Return the MD5 of a file, or of what a gzipped file holds.

    Raises
    ------
    ValueError
        If what should be gzipped is not, or is truncated.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with gzip.open(path) if unpacked else open(path, "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}; get it again") from error
    return digest.hexdigest()


def check_public(path: Path, name: PublicSet) -> dict[str, str]:
    """Check the files of a public set against their known checksums, and return those found.

    Parameters
    ----------
    path : Path
        The folder of the files, or one of them with the others beside it.
    name : str
        Which set.

    Returns
    -------
    dict of str to str
        File name -> MD5.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a checksum differs.
    """
    folder, found = path if path.is_dir() else path.parent, {}
    for plain, known in CHECKSUMS[name].items():
        file = next((folder / other for other in (f"{plain}.gz", plain) if (folder / other).is_file()), None)
        if file is None:
            if plain in _OPTIONAL:
                continue
            raise FileNotFoundError(
                f"there is no {plain} in {folder}, a file of {name}: see phasewave.images.public_sets"
            )
        got = checksum_md5(file)
        inside = checksum_md5(file, unpacked=True) if got not in known and file.suffix == ".gz" else got
        if got not in known and inside not in known:
            raise ValueError(
                f"{file} must have the MD5 {known[0]}, got {got}: it is damaged or another file, get it again (or "
                "leave out --expect)"
            )
        found[file.name] = got
    return found
