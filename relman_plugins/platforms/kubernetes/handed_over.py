"""What a collector has printed → the reports of a suite, without trusting any of it."""

from __future__ import annotations

import io
import tarfile
import zlib
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from relman_plugins.platforms.kubernetes.job_object import BEGIN, END, MOST_BYTES

LONGEST = MOST_BYTES * 3 // 2
"""Bytes of a collector's log that are read: base64 makes 4 of 3, and has line breaks."""

MOST_UNPACKED = 64 * 1024 * 1024
"""How large the reports of one try may be together."""


def unpack(log: str, files: Sequence[str], into: Path) -> str:
    """Write the reports in a collector's log into a folder; return why they can't be had, if so.

    Only files that were asked for are written, and only ordinary ones: a link, a device, a name that leads
    elsewhere is as if it were not there.
    """
    _, begun, rest = log.partition(f"{BEGIN}\n")
    text, ended, _ = rest.partition(END)
    if not begun:
        return "its reports were not handed over: the pod was ended before it could"
    if not ended:
        return "its reports are not whole: the cluster has not kept all of the log"
    try:
        packed = b64decode("".join(text.split()), validate=True)
        if len(packed) > MOST_BYTES:
            return f"its reports are larger than {MOST_BYTES >> 20} MiB, compressed; split the suite"
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = unpacker.decompress(packed, MOST_UNPACKED)
        if unpacker.unconsumed_tail:
            return f"its reports are larger than {MOST_UNPACKED >> 20} MiB; split the suite"
        if not unpacker.eof:
            return "its reports are not whole: the archive is cut off"
        _write(data, {str(PurePosixPath(name)) for name in files}, into)
    except Exception as error:
        # Whoever wrote the suite may have made the archive, and tarfile meets such with errors of many kinds:
        # of sizes, of headers that are cut, of headers in headers.
        return f"its reports can't be unpacked: {type(error).__name__}: {error}"
    return ""


def _write(data: bytes, wanted: set[str], into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        last = -1
        for member in tar:
            # A negative size leads tarfile back to a header that it has read, without end.
            if member.size < 0 or member.offset <= last:
                raise tarfile.ReadError(f"a header at {member.offset} gives a size that can't be")
            last = member.offset
            name = str(PurePosixPath(member.name))
            if name not in wanted or not member.isreg() or member.issparse():
                continue
            source = tar.extractfile(member)
            if source is None:
                continue
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.write(source.read(MOST_UNPACKED))
