"""
A PostgreSQL of the tests' own: in a temporary folder, on a UNIX socket only, gone when the process ends.

If the environment names another in C{XMPPD_TEST_POSTGRESQL}, that is used, and what is in it is destroyed.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

VARIABLE = "XMPPD_TEST_POSTGRESQL"


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, the newest if there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def whySkip() -> str | None:
    """Why there can be no tests with PostgreSQL, or None."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "install psycopg: pip install 'psycopg[binary]'"
    if os.environ.get(VARIABLE) or binaries():
        return None
    return f"install PostgreSQL (apt install postgresql), or name one in {VARIABLE}"


class Cluster:
    """A running PostgreSQL that can be stopped and started."""

    def __init__(self) -> None:
        self._bin = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="xmppd-pg"))
        self._user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.url = f"postgresql://postgres@/postgres?host={self._folder}"
        atexit.register(self._destroy)

    def start(self) -> None:
        """Start, and wait until it serves."""
        options = f"-c listen_addresses='' -c fsync=off -k {self._folder}"
        self._run("pg_ctl", "-w", "-s", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop without asking the clients."""
        self._run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        assert self._bin is not None
        subprocess.run(
            [self._bin / program, "-D", self._folder / "data", *arguments],
            user=self._user,
            cwd=self._folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def _destroy(self) -> None:
        try:
            self.stop()
        except subprocess.CalledProcessError:
            pass  # it is down already
        shutil.rmtree(self._folder, ignore_errors=True)


_cluster: Cluster | None = None


def cluster() -> Cluster | None:
    """The tests' own cluster, started on first use; None if the environment names another."""
    global _cluster
    if _cluster is None and not os.environ.get(VARIABLE):
        _cluster = Cluster()
        _cluster.start()
    return _cluster


def emptyDatabase() -> str:
    """The URL of a database with nothing in it."""
    import psycopg

    own = cluster()
    url = own.url if own else os.environ[VARIABLE]
    plain = "postgresql://" + url.partition("://")[2]
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url
