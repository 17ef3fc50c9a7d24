"""The evidence store: bytes on disk, one file per tenant and content, named by its SHA-256.

A file arrives under a temporary name on the same file system, is hashed while it is written, made durable and renamed:
a name that is a hash is always a whole file. Files are never changed; the sweep alone removes those that no record
names. Nothing a caller typed becomes part of a path.
"""

import asyncio
import errno
import os
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

import structlog

from domain.media_types import HEAD_BYTES

INCOMING = ".incoming"
SHA256 = re.compile(r"[0-9a-f]{64}")
BLOCK_BYTES = 1024 * 1024  # handed to a thread at once: writing and hashing of less costs more to hand over than to do
VERIFIED_FOR_SECONDS = 60.0
VERIFIED_MAX = 1_000
log = structlog.get_logger("holdfast.evidence")


class StoreFull(Exception):
    """There is no room for the file. Nothing was kept."""


class StoreFailed(Exception):
    """The file system refused to write or read. Nothing was acknowledged."""


class FileDamaged(Exception):
    """The file is missing or is not what its hash says. Its bytes must not leave."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A received file. `sha256` is lower-case hex, `size` in bytes, `head` its first HEAD_BYTES."""

    sha256: str
    size: int
    head: bytes


class Receiving:
    """A file that is arriving. Bytes go through `write`; `keep` makes it durable under its hash."""

    def __init__(self, store: "EvidenceStore", tenant_id: UUID, path: Path, file: BinaryIO) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._path = path
        self._file = file
        self._hash = sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._head = b""
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Raises StoreFull and StoreFailed."""
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self.size += len(data)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= BLOCK_BYTES:
            await self._flush()

    async def keep(self) -> Stored:
        """Make the file durable and give it its name: bytes and folder are on disk before this returns.

        Raises StoreFull and StoreFailed; then nothing is kept.
        """
        await self._flush()
        found = Stored(self._hash.hexdigest(), self.size, self._head)
        target = self._store.path(self._tenant_id, found.sha256)
        with _failures():
            await asyncio.to_thread(_name, self._file, self._path, target)
        return found

    @property
    def head(self) -> bytes:
        """The first bytes, as far as they have arrived."""
        return self._head

    async def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            with _failures():
                await asyncio.to_thread(self._put, waiting)

    def _put(self, parts: list[bytes]) -> None:
        block = parts[0] if len(parts) == 1 else b"".join(parts)
        self._hash.update(block)
        rest = memoryview(block)
        while rest:  # a disk that is nearly full takes a part and refuses the next
            rest = rest[self._file.write(rest) :]


class EvidenceStore:
    """The folder of an installation's evidence. API processes that share it may run anywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, tenant_id: UUID, digest: str) -> Path:
        """Where the file with this hash lies."""
        assert SHA256.fullmatch(digest), "a SHA-256 in hex"
        return self.folder / str(UUID(int=tenant_id.int)) / digest

    @asynccontextmanager
    async def receive(self, tenant_id: UUID) -> AsyncIterator[Receiving]:
        """A file to be written; what was not kept is gone when the block ends, however it ends."""
        path = self.folder / INCOMING / uuid4().hex
        with _failures():
            file = await asyncio.to_thread(_create, path)
        try:
            yield Receiving(self, tenant_id, path, file)
        finally:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)  # a file that was kept has another name by now

    async def has(self, tenant_id: UUID, digest: str) -> bool:
        """Whether the file is there."""
        return await asyncio.to_thread(self.path(tenant_id, digest).exists)

    async def open(self, tenant_id: UUID, digest: str, size: int, *, in_part: bool = False) -> BinaryIO:
        """The file, open for reading at its beginning, its bytes verified against the hash.

        With `in_part` a verification of the same unchanged file within the last minute counts, so that asking for many
        ranges does not read the whole file each time. Raises FileDamaged (and sounds the alarm) and StoreFailed.
        """
        path = self.path(tenant_id, digest)
        try:
            with _failures():
                return await asyncio.to_thread(_open_verified, path, digest, size, in_part)
        except FileDamaged as damage:
            log.critical("evidence damaged", tenant=str(tenant_id), sha256=digest, found=str(damage))
            raise

    def names(self, tenant_id: UUID, *, older_than_seconds: float) -> list[str]:
        """Hashes of the tenant's files that were named longer ago than that."""
        try:
            return [name for name in _old(self.folder / str(tenant_id), older_than_seconds) if SHA256.fullmatch(name)]
        except FileNotFoundError:
            return []

    def is_older(self, tenant_id: UUID, digest: str, seconds: float) -> bool:
        """Whether the file is there and was named longer ago than that."""
        try:
            return self.path(tenant_id, digest).stat().st_mtime < time.time() - seconds
        except FileNotFoundError:
            return False

    def tenants(self) -> list[UUID]:
        """The tenants that have files."""
        found = []
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                with suppress(ValueError):
                    found.append(UUID(entry.name))
        return found

    def remove(self, tenant_id: UUID, digest: str) -> None:
        """Remove a file that no record names; the caller holds the lock on its hash."""
        with suppress(FileNotFoundError):
            self.path(tenant_id, digest).unlink()

    def remove_incoming(self, *, older_than_seconds: float) -> int:
        """Remove what broken uploads left behind; how many there were."""
        count = 0
        folder = self.folder / INCOMING
        with suppress(FileNotFoundError):
            for name in list(_old(folder, older_than_seconds)):
                with suppress(FileNotFoundError):
                    (folder / name).unlink()
                    count += 1
        return count


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)


def _name(file: BinaryIO, path: Path, target: Path) -> None:
    """Durable first, named second: a crash in between leaves an unnamed file, never a broken one."""
    os.fsync(file.fileno())
    os.fchmod(file.fileno(), 0o400)
    if not target.parent.exists():
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(target.parent.parent)
    path.replace(target)  # the same content where the name exists: its age starts anew, so no sweep takes it
    os.utime(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _old(folder: Path, seconds: float) -> Iterator[str]:
    before = time.time() - seconds
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before:
                    yield entry.name


_verified: OrderedDict[tuple[int, ...], float] = OrderedDict()


def _open_verified(path: Path, digest: str, size: int, in_part: bool) -> BinaryIO:
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)
    except FileNotFoundError:
        raise FileDamaged("nothing") from None
    try:
        stat = os.fstat(file.fileno())
        if stat.st_size != size:
            raise FileDamaged(f"{stat.st_size} bytes instead of {size}")
        mark = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        if not in_part or time.monotonic() - _verified.get(mark, -VERIFIED_FOR_SECONDS) >= VERIFIED_FOR_SECONDS:
            found = sha256()
            while block := file.read(BLOCK_BYTES):
                found.update(block)
            if found.hexdigest() != digest:
                raise FileDamaged(found.hexdigest())
            _verified[mark] = time.monotonic()
            while len(_verified) > VERIFIED_MAX:
                _verified.popitem(last=False)
        file.seek(0)
        return file
    except BaseException:
        file.close()
        raise


@contextmanager
def _failures() -> Iterator[None]:
    """Says which way the file system failed."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull("the evidence store is full") from error
        log.error("evidence store failed", errno=error.errno)
        raise StoreFailed("the evidence store failed") from error
