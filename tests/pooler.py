"""A real PgBouncer in transaction mode, in front of the tests' server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooled(database_url: str) -> Iterator[str]:
    """Serve a database through PgBouncer; two sessions for all clients, so that they are shared."""
    assert PROGRAM
    url = make_url(database_url)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={url.query['host']} user={url.username}\n"
            "[pgbouncer]\npool_mode = transaction\nauth_type = any\ndefault_pool_size = 2\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        )
        for path in (Path(folder), settings):
            path.chmod(0o755)
        server = Path(str(url.query["host"])).stat()  # its owner may reach the socket; root may not
        process = subprocess.Popen(
            [PROGRAM, "-q", str(settings)],
            user=server.st_uid,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield f"postgresql://{url.username}@127.0.0.1:{port}/{url.database}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError
