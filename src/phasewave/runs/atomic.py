"""Files that appear whole or not at all: a temporary file beside the target, then one rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def partial_path(path: Path) -> Path:
    """Return the temporary name under which ``path`` is written by this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def is_partial_of(path: Path, name: str) -> bool:
    """Say whether ``path`` is a temporary file that some process left while writing ``name``."""
    return path.name.startswith(f".{name}.") and path.name.endswith(".part")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that becomes ``path`` when the block ends without an error.

    Until then the bytes go to a temporary file in the same folder; the rename is atomic, so a reader
    (or a process killed half-way) sees the old file or the new one, never a part. If the block or the
    disk fails, the temporary file is removed and the old file, if any, is untouched.

    Parameters
    ----------
    path : path-like
        The file to make or replace; its folder must exist.

    Yields
    ------
    BinaryIO
        Readable, writable and seekable.

    Raises
    ------
    OSError
        If writing fails; for a full disk or quota the message says so and names the file.
    """
    target = Path(path)
    temporary = partial_path(target)
    try:
        with open(temporary, "wb+") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise OSError(
                error.errno, f"no space left to write {target}: nothing was changed there; free some space"
            ) from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
