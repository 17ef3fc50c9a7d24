"""The embedded PostgreSQL: started from packaged programs, shared by processes, healed when it dies.

It listens on a Unix socket in a private folder only, and asks everybody for a password. `postgres.lock` is held
through an open file that all processes of the server inherit: the lock tells whether any of them still lives, even
across containers, where a process id tells nothing. A second holdfast process on the same data folder cannot take the
lock, so it attaches; when the server ends together with the process that started it, the second one takes over.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import structlog

from app.postgres_programs import PostgresFailed, Programs, ServerUser, find_programs, server_user
from app.settings import keep_secret

log = structlog.get_logger("holdfast.postgres")

SUPERUSER = "postgres"
PORT = 5432  # names the socket file; nothing listens on TCP
START_SECONDS_MAX = 120.0  # crash recovery replays the log since the last checkpoint
STOP_SECONDS_MAX = 30.0
ORPHAN_SECONDS_MAX = 1.0  # a backend busy with a statement outlives a killed postmaster; after this it is ended too
WATCH_SECONDS = 0.2
RETRY_SECONDS = 1.0
LOG_BYTES_MAX = 8 * 1024 * 1024
SOCKET_PATH_BYTES_MAX = 100  # sun_path holds 107 bytes on Linux, 103 on macOS

OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and row contents hold personal data: the log tells of the server's life, not of queries.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """One server on one data folder, run by this process or attached to."""

    def __init__(
        self,
        data_dir: Path,
        *,
        bindir: Path | None = None,
        options: Mapping[str, str] | None = None,
        all_cores: bool = False,
    ) -> None:
        """`options` are server settings that win over OPTIONS; `all_cores` lifts this process's CPU affinity for it."""
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "postgres"
        self.log_path = self.data_dir / "postgres.log"
        self._bindir = bindir
        self._options = {**OPTIONS, **(options or {})}
        self._all_cores = all_cores
        self._tools: tuple[Programs, ServerUser] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._waiting_since: float | None = None

    @property
    def runs_here(self) -> bool:
        """Whether this process started the server that runs."""
        return self._process is not None

    @property
    def superuser_dsn(self) -> str:
        """Address of the maintenance database as the superuser, whom row-level security does not bind."""
        return self.dsn(SUPERUSER, self.password_of(SUPERUSER), "postgres")

    def dsn(self, role: str, password: str, dbname: str) -> str:
        """Address of `dbname` as `role` on this server's socket."""
        who = f"{quote(role, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{who}@/{quote(dbname, safe='')}?host={quote(str(self._socket_dir()), safe='/')}"

    def password_of(self, role: str) -> str:
        """The password of `role`, derived from the one secret in the data folder so that no other need be kept."""
        secret = keep_secret(self.data_dir / "postgres-password")
        return secret if role == SUPERUSER else hmac.digest(secret.encode(), role.encode(), hashlib.sha256).hex()

    def start(self) -> str:
        """Start the server or attach to the one that runs; the superuser's dsn once it accepts connections.

        Call it from the main thread: the server ends with the thread that started it. Raises PostgresFailed.
        """
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._advance():
            if time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL was not ready after {START_SECONDS_MAX:.0f} s; see {self.log_path}")
            time.sleep(0.01)
        return self.superuser_dsn

    async def watch(self) -> None:
        """Bring a dead server back, taking over from another process if need be, until cancelled."""
        was_up, next_trim = True, 0.0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                is_up = self._advance()
            except (PostgresFailed, OSError) as error:
                log.error("postgres.start_failed", reason=str(error))
                was_up = False
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if is_up != was_up:
                log.warning("postgres.back" if is_up else "postgres.away", runs_here=self.runs_here)
                was_up = is_up
            if self.runs_here and time.monotonic() >= next_trim:
                self._trim_log()
                next_trim = time.monotonic() + 60

    def stop(self) -> None:
        """Shut the server down if this process runs it; one that it attached to stays."""
        process, self._process = self._process, None
        if process is None:
            return
        for how, patience in ((signal.SIGINT, STOP_SECONDS_MAX), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                return

    def _advance(self) -> bool:
        """One step towards a running server; whether it runs and accepts connections.

        Raises PostgresFailed when the server ended before it was ready.
        """
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            if not self._was_ready:
                raise PostgresFailed(f"PostgreSQL did not start: {self._last_words()}")
        if self._process is None and (lock := self._take_lock()) is not None:
            try:
                self._spawn(lock)
            finally:
                os.close(lock)  # from here on the server's processes alone hold it
        if self._is_ready():
            self._was_ready, self._waiting_since = True, None
            return True
        if self._process is None:
            self._end_orphans()
        return False

    def _take_lock(self) -> int | None:
        """The lock file's descriptor, or None while a process of a server on this folder lives."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _spawn(self, lock: int) -> None:
        programs, user = self._found()
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise(programs, user)
        kept = (self.cluster / "PG_VERSION").read_text().strip()
        if kept != str(programs.version):
            raise PostgresFailed(
                f"{self.cluster} was made by PostgreSQL {kept}, but the programs in {programs.bindir} are "
                f"{programs.version}; set HOLDFAST_PG_BINDIR to version {kept}, or back up with it and restore"
            )
        # Nobody holds the lock, so a process file is a leftover; its process id may long belong to someone else.
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        options = {**self._options, "unix_socket_directories": str(self._private_socket_dir(user))}
        if programs.version >= 16:
            options.setdefault("scram_iterations", "1")  # our passwords are 256 random bits; stretching only costs time
        command = [programs.path("postgres"), "-D", str(self.cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._was_ready = False
        with open(os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            # A session of its own: Ctrl-C in a terminal must reach the service first, not its database.
            self._process = subprocess.Popen(  # noqa: S603 (our own programs, no shell)
                user.launch(command, all_cores=self._all_cores),
                cwd=self.cluster,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock,),
            )

    def _found(self) -> tuple[Programs, ServerUser]:
        if self._tools is None:
            programs = find_programs(self._bindir)
            self._tools = programs, server_user(programs, self.data_dir)
        return self._tools

    def _initialise(self, programs: Programs, user: ServerUser) -> None:
        """Make the cluster beside its place and move it there whole: a crash in between leaves nothing half-made."""
        with tempfile.TemporaryDirectory(prefix="postgres-new-", dir=self.data_dir) as name:
            place = Path(name)
            password = place / "password"
            password.touch(mode=0o600)
            password.write_text(self.password_of(SUPERUSER))
            for path in (place, password):
                user.own(path)
            command = [programs.path("initdb"), "-D", str(place / "cluster"), "-U", SUPERUSER, f"--pwfile={password}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8"]
            if programs.version >= 17:  # sorts by code point on every operating system, knows upper and lower case
                command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            else:
                command += ["--locale=C.UTF-8"]
            if self._options["fsync"] == "off":
                command += ["--no-sync"]
            made = user.run(command, cwd=place)
            if made.returncode != 0:
                raise PostgresFailed(f"initdb failed: {(made.stderr or made.stdout).strip()[-500:]}")
            hba = place / "cluster" / "pg_hba.conf"
            hba.write_text(
                "# The socket only, with a password. Written when the cluster was made.\nlocal all all scram-sha-256\n"
            )
            (place / "cluster").rename(self.cluster)

    def _socket_dir(self) -> Path:
        """Folder of the running server's socket; where a server to be started will put it when none runs."""
        status = self._status()
        return Path(status[4]) if len(status) > 4 and status[4] else self._wanted_socket_dir()

    def _wanted_socket_dir(self) -> Path:
        """A short folder named after the data folder: a socket's path may not be longer than about 100 bytes."""
        digest = hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"holdfast-{os.geteuid()}-{digest}"

    def _private_socket_dir(self, user: ServerUser) -> Path:
        """The socket's folder, made if need be, provided that nobody else can have put it there."""
        folder = self._wanted_socket_dir()
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > SOCKET_PATH_BYTES_MAX:
            raise PostgresFailed(f"{folder} is too long a path for a socket; set TMPDIR to a short folder")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            user.own(folder)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), user.uid} or found.st_mode & 0o077:
            raise PostgresFailed(f"{folder} belongs to someone else or is open to others; remove it")
        return folder

    def _status(self) -> list[str]:
        """Lines of the server's process file: id, folder, start, port, socket folder, address, memory, status."""
        try:
            return [line.strip() for line in (self.cluster / "postmaster.pid").read_text().splitlines()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _is_ready(self) -> bool:
        status = self._status()
        if len(status) < 8 or status[7] != "ready" or not _is_alive(int(status[0])):
            return False
        return (Path(status[4]) / f".s.PGSQL.{PORT}").exists()

    def _end_orphans(self) -> None:
        """End backends whose postmaster was killed: they hold the lock and the memory until their statement ends."""
        status = self._status()
        if not status or _is_alive(int(status[0])):
            self._waiting_since = None  # another process is starting or stopping the server
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since < ORPHAN_SECONDS_MAX:
            return
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == self.cluster and (entry / "comm").read_text().startswith("postgres"):
                    os.kill(int(entry.name), signal.SIGKILL)

    def _last_words(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
        except FileNotFoundError:
            lines = []
        return " / ".join(lines[-3:]) or "it said nothing"

    def _trim_log(self) -> None:
        """Keep one earlier log. The server appends, so emptying the file under it is safe."""
        if self.log_path.stat().st_size > LOG_BYTES_MAX:
            shutil.copy2(self.log_path, self.log_path.with_suffix(".log.1"))
            os.truncate(self.log_path, 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
