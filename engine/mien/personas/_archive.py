"""Reads and writes the ZIP around a persona without trusting a byte of it.

The writer is deterministic: the same parts give the same bytes. The reader takes only
archives shaped like the writer's: exactly the named members, once each, stored or
deflated, nothing before, between or after, every size bounded before inflating.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

_END_RECORD = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_MAX_DIRECTORY_BYTES = 4096
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE_MODE = 0o100644 << 16
_ALLOWED_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveError(ValueError):
    """The bytes are not an archive of the expected shape."""


def pack_archive(parts: Mapping[str, bytes], *, stored: frozenset[str] = frozenset()) -> bytes:
    """A ZIP of ``parts`` in their order, deflated except for those in ``stored``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            info = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            info.create_system = _UNIX
            info.external_attr = _PLAIN_FILE_MODE
            info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(info, data, compresslevel=9)
    return buffer.getvalue()


def unpack_archive(data: bytes, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The members of ``data``: all of ``limits``, and no other.

    Args:
        data: a whole archive; its size has been bounded by the caller.
        limits: largest inflated size in bytes of each member, by name.

    Raises:
        ArchiveError: saying what is wrong.
    """
    _check_end_record(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), limits)
            return {
                info.filename: _inflate(archive, info, limits[info.filename])
                for info in archive.infolist()
            }
    except ArchiveError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        IndexError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ArchiveError("its ZIP structure is damaged") from error


def _check_end_record(data: bytes) -> None:
    """Bound the directory before ``zipfile`` builds objects from it; forbid ZIP64 and comments."""
    if len(data) < _END_RECORD.size:
        raise ArchiveError("it is empty or cut short")
    magic, _, _, _, count, size, offset, comment = _END_RECORD.unpack(data[-_END_RECORD.size :])
    if magic != _END_MAGIC or comment:
        raise ArchiveError("it is not a ZIP file, or it is cut short")
    if size > _MAX_DIRECTORY_BYTES or offset + size + _END_RECORD.size != len(data) or count > 16:
        raise ArchiveError("its ZIP directory is not that of a persona")


def _check_members(members: list[zipfile.ZipInfo], limits: Mapping[str, int]) -> None:
    names = [info.filename for info in members]
    if sorted(names) != sorted(limits):
        unknown = sorted(set(names) - set(limits))
        missing = sorted(set(limits) - set(names))
        if unknown:
            raise ArchiveError(f"it holds {unknown[0][:60]!r}, which is no part of a persona")
        if missing:
            raise ArchiveError(f"it lacks {missing[0]!r}")
        raise ArchiveError("it holds a part twice")
    for info in members:
        if info.orig_filename != info.filename or info.is_dir():
            raise ArchiveError("it holds a part with a misleading name")
        if info.flag_bits & 0x1:
            raise ArchiveError(f"its part {info.filename!r} is encrypted")
        if info.compress_type not in _ALLOWED_COMPRESSION:
            raise ArchiveError(f"its part {info.filename!r} is compressed in an unknown way")
        if info.file_size > limits[info.filename]:
            raise ArchiveError(
                f"its part {info.filename!r} claims {info.file_size} bytes, "
                f"at most {limits[info.filename]} are allowed"
            )


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    # Reading one byte more than is claimed makes zipfile reach the end and check the CRC;
    # it never inflates more than that.
    with archive.open(info) as member:
        content = member.read(min(info.file_size, limit) + 1)
    if len(content) != info.file_size:
        raise ArchiveError(f"its part {info.filename!r} is cut short")
    return content
