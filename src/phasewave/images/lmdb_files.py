"""LMDB databases of pictures, as LSUN is distributed: read by their published layout, nothing is written.

A database is one file data.mdb of pages, a B+ tree. Pages 0 and 1 say where the root is (the one of the later
transaction counts); branch pages name other pages, leaf pages hold keys with values; a value too large for its
page stands on pages of its own. All numbers are little-endian. LSUN's values are WebP pictures.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from phasewave.images.picture_files import Listed

FILE = "data.mdb"
_MAGIC = 0xBEEFC0DE
_HEADER = 16  # page number 8, pad 2, flags 2, lower 2, upper 2
_BRANCH, _LEAF = 0x01, 0x02  # flags of pages
_BIG = 0x01  # flag of a leaf's node: the value stands on pages of its own
_NONE = 2**64 - 1  # the root of an empty tree


@contextmanager
def open_lmdb(path: Path) -> Iterator[list[Listed]]:
    """List the values of a database, in the order of their keys; the file stays open in the block.

    Parameters
    ----------
    path : Path
        data.mdb, or the folder that holds it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such database, is truncated, or holds several.
    """
    file = path / FILE if path.is_dir() else path
    with open(file, "rb") as stream:
        if file.stat().st_size < 2 * 512:
            raise ValueError(f"{file} is empty or truncated: get it again")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            try:
                found = list(_entries(view))
            except (struct.error, IndexError, RecursionError, ValueError) as error:
                raise ValueError(
                    f"{file} is truncated, or no LMDB database that is read: {error}; get it again"
                ) from error
            yield [
                Listed(key.decode("ascii", "backslashreplace"), partial(_value, view, start, length))
                for key, start, length in found
            ]


def _value(view: mmap.mmap, start: int, length: int) -> bytes:
    return view[start : start + length]


def _entries(view: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Yield key, offset and length of each value."""
    metas = []
    size = _meta(view, 0)[0]
    for at in (0, size):
        page_size, root, entries, transaction = _meta(view, at)
        metas.append((transaction, page_size, root, entries))
    _, size, root, entries = max(metas)
    if root == _NONE:
        return
    stack, n_found = [root], 0
    while stack:
        page = stack.pop()
        base = page * size
        flags, lower = struct.unpack_from("<HH", view, base + 10)
        nodes = struct.unpack_from(f"<{(lower - _HEADER) // 2}H", view, base + _HEADER)
        if flags & _BRANCH:
            below = []
            for node in nodes:
                low, high, top = struct.unpack_from("<HHH", view, base + node)
                below.append(low | high << 16 | top << 32)
            stack.extend(reversed(below))
        elif flags & _LEAF:
            for node in nodes:
                yield _leaf(view, base + node, size)
                n_found += 1
        else:
            raise ValueError(f"page {page} is neither branch nor leaf (flags {flags})")
        if n_found > entries:
            raise ValueError(f"more than its {entries} entries are found")
    if n_found != entries:
        raise ValueError(f"{entries} entries expected, got {n_found}")


def _meta(view: mmap.mmap, at: int) -> tuple[int, int, int, int]:
    """Return page size, root of the main tree, its entries, and the transaction."""
    magic, version = struct.unpack_from("<II", view, at + _HEADER)
    if magic != _MAGIC or version != 1:
        raise ValueError(
            f"the magic number and the version must be {_MAGIC:#x} and 1, got {magic:#x} and {version}"
        )
    free = at + _HEADER + 24  # after magic, version, address and map size
    (size,) = struct.unpack_from("<I", view, free)
    if size < 512 or size & (size - 1):
        raise ValueError(f"the page size must be a power of two, got {size}")
    entries, root = struct.unpack_from("<QQ", view, free + 48 + 32)
    (transaction,) = struct.unpack_from("<Q", view, free + 2 * 48 + 8)
    return size, root, entries, transaction


def _leaf(view: mmap.mmap, at: int, page_size: int) -> tuple[bytes, int, int]:
    low, high, flags, key_size = struct.unpack_from("<HHHH", view, at)
    length, start = low | high << 16, at + 8 + key_size
    if flags & ~_BIG:
        raise ValueError("it holds several databases, or several values a key")
    if flags & _BIG:
        (page,) = struct.unpack_from("<Q", view, start)
        start = page * page_size + _HEADER
    if start + length > len(view):
        raise ValueError(f"a value ends at byte {start + length} of {len(view)}")
    return view[at + 8 : at + 8 + key_size], start, length
