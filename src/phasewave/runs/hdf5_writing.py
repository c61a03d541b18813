"""HDF5 files that appear whole or not at all, also when the disk is full while HDF5 has data in its caches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import h5py

from phasewave.runs.atomic import replacing


@contextmanager
def writing_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file to write that becomes ``path`` when the block ends without an error.

    HDF5 keeps chunks and metadata in caches and writes them when it closes; a close that fails leaves objects
    behind that crash the process later. So it is never told of a failed write: the first error is kept, further
    writes are dropped, and the error is raised when the file has been closed.

    Parameters
    ----------
    path : path-like
        The file to make or replace; its folder must exist.

    Yields
    ------
    h5py.File
        Open to write.

    Raises
    ------
    OSError
        If writing fails; for a full disk or quota the message says so and names the file. The old file, if any,
        is untouched.
    """
    with replacing(path) as stream:
        patient = _Patient(stream)
        try:
            with h5py.File(patient, "w") as file:
                yield file
        except Exception:
            if patient.error is not None:  # what HDF5 says of what could not be written does not matter
                raise patient.error from None
            raise
        if patient.error is not None:
            raise patient.error


class _Patient:
    """A binary stream whose writes never fail; the first error is kept in ``error``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, content: memoryview) -> int:
        if self.error is None:
            try:
                self._stream.write(content)
                self._stream.flush()
            except OSError as error:
                self.error = error
        return len(content)

    def read(self, size: int = -1) -> bytes:  # h5py knows a stream by this
        return bytes(max(size, 0)) if self.error is not None else self._stream.read(size)

    def readinto(self, buffer: memoryview) -> int:
        if self.error is not None:  # the file is lost, and seeking would write what is still in its buffer
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        read: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        return read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return offset if self.error is not None else self._stream.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self.error is not None else self._stream.tell()

    def truncate(self, size: int) -> int:
        if self.error is None:
            try:
                return self._stream.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Do nothing: each write is flushed."""
