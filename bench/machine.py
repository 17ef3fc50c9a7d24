"""The machine under the figures: what it is, which core does what, what a process has used of it."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncpg

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Cores:
    """Who runs where: the measured server alone on one core, generator and database together on another."""

    server: frozenset[int]
    rest: frozenset[int]

    @property
    def separate(self) -> bool:
        """Whether the server has a core of its own."""
        return not self.server & self.rest


def cores() -> Cores:
    """The first allowed core for the server, the second for the rest; one core serves both where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(allowed[:1]), frozenset(allowed[1:2] or allowed[:1]))


def facts(database: asyncpg.Connection) -> dict[str, str]:
    """What a reader needs to know to compare two tables of results."""
    version = database.get_server_version()
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Memory": f"{os.sysconf('SC_PHYS_PAGES') * PAGE_BYTES / 2**30:.1f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": f"{version.major}.{version.minor}",
        "Commit": _commit(),
        "Load before the run": f"{os.getloadavg()[0]:.1f}",
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, without its children."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def cpu_seconds_of_children(pid: int) -> float:
    """User and system time of the living children of a process and of itself: of a PostgreSQL, its backends."""
    total = cpu_seconds(pid)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = _stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                total += (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
    return total


def memory_bytes(pid: int) -> int:
    """Resident memory of a process at this moment."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third (state) on; the second may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except OSError:
        return "unknown"
    return told.stdout.strip() or "unknown"
