"""What a collector hands over is believed in nothing; and what the real one does with large reports."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from relman_plugins.platforms.kubernetes import handed_over
from relman_plugins.platforms.kubernetes.handed_over import unpack
from relman_plugins.platforms.kubernetes.job_object import BEGIN, END
from tests.kubernetes.suites import ended, job

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"<testsuite/>", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def printed(*members: Member, change: Callable[[bytes], bytes] = lambda packed: packed) -> str:
    """Return the log of a collector."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    packed = change(gzip.compress(raw.getvalue()))
    return f"{BEGIN}\n{base64.encodebytes(packed).decode()}{END}\n"


def test_files_that_were_asked_for_are_written(tmp_path: Path) -> None:
    log = printed(file("./out/a.xml"), file("./b.xml", b"b"), file("./else.xml"))
    assert unpack(log, ("out/a.xml", "b.xml", "absent.xml"), tmp_path) == ""
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.xml")) == ["b.xml", "out/a.xml"]


@pytest.mark.parametrize(
    "member",
    [
        file("../a.xml"),
        file("/a.xml"),
        file("a.xml/../../a.xml"),
        file("a.xml", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        file("a.xml", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        file("a.xml", b"", type=tarfile.FIFOTYPE),
        file("a.xml", b"", type=tarfile.CHRTYPE),
    ],
)
def test_what_leads_elsewhere_is_as_if_it_were_not_there(tmp_path: Path, member: Member) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    assert unpack(printed(member), ("a.xml",), inside) == ""
    assert [p for p in tmp_path.rglob("*") if p != inside] == []


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "were not handed over"),
        (printed(file("a.xml")).partition(END)[0], "are not whole: the cluster has not kept all of the log"),
        (printed(file("a.xml"), change=lambda p: p[:-9]), "are not whole: the archive is cut off"),
        (printed(file("a.xml"), change=lambda p: p[:30] + b"x" + p[31:]), "can't be unpacked: error"),
        (f"{BEGIN}\nno base 64!\n{END}\n", "can't be unpacked: Error"),
        (printed(file("a.xml", b"0" * 30_000)), "are larger than 0 MiB; split the suite"),
        (
            printed(file("a.xml", Random(1).randbytes(900))),
            "are larger than 0 MiB, compressed; split the suite",
        ),
    ],
)
def test_what_is_not_whole_or_too_large_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, said: str
) -> None:
    monkeypatch.setattr(handed_over, "MOST_BYTES", 400)
    monkeypatch.setattr(handed_over, "MOST_UNPACKED", 20_000)
    assert said in unpack(log, ("a.xml",), tmp_path)
    assert list(tmp_path.iterdir()) == []


def header(name: str, type_: bytes = tarfile.REGTYPE, **fields: bytes) -> bytes:
    """Return a header with fields as they are given, however wrong."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    at = {"size": 124, "sparse": 386, "extended": 482, "real": 483}
    for key, value in ({"type": type_} | fields).items():
        start = at.get(key, 156)
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def number(value: int) -> bytes:
    return (b"\xff" if value < 0 else b"\x80") + (value % 256**11).to_bytes(11, "big")


OF_512 = {"size": b"%011o\0" % 512}
A_NESTED = header("a.xml", tarfile.XHDTYPE, **OF_512) + b"12 path=abc\n".ljust(512, b"\0")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (header("else") + header("a.xml", size=number(-512)), "ReadError"),
        (header("else") + header("a.xml", size=number(-1024)), "ReadError"),
        # Says a size that can be, after it has led back to itself.
        (
            header("else") + header("a.xml", b"S", size=number(-512), real=b"%011o\0" % 5),
            "ReadError",
        ),
        (header("else") + header("other", size=number(2**80)), "OverflowError"),
        (header("else") + header("a.xml", b"S", extended=b"\1"), "IndexError"),
        (header("else") + A_NESTED * 2000 + header("a.xml"), "RecursionError"),
    ],
)
def test_an_archive_made_to_harm_is_one_that_can_not_be_unpacked(
    tmp_path: Path, raw: bytes, said: str
) -> None:
    log = f"{BEGIN}\n{base64.encodebytes(gzip.compress(raw)).decode()}{END}\n"
    assert f"its reports can't be unpacked: {said}" in unpack(log, ("a.xml",), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "said"), [(4_100_000, ""), (4_300_000, "its reports are larger than 4 MiB, compressed")]
)
def test_the_real_collector_hands_over_as_much_as_is_taken(jobs, tmp_path, size, said):
    write = f"import os; open(os.environ['RELMAN_REPORTS'] + '/-a.xml', 'wb').write(os.urandom({size}))"
    one = job(write, files=("-a.xml", "absent; touch ../x"))
    ended(jobs, one)
    assert jobs.reports(one, tmp_path).startswith(said)
    if not said:
        assert (tmp_path / "-a.xml").stat().st_size == size
