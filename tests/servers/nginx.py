"""nginx before another server: a gate with a login of its own, an office proxy, an end of TLS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import ServerProcess, answers_http, free_port

INSTALL = "apt-get install --no-install-recommends nginx-light"
_CONFIG = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {directives}
        location / {{
            proxy_pass {target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            {inside}
        }}
    }}
}}
"""


def missing() -> str:
    """Say the command that would install it; empty when it is here."""
    return "" if shutil.which("nginx") or Path("/usr/sbin/nginx").exists() else INSTALL


@contextmanager
def before(target: str, folder: Path, *, directives: str = "", inside: str = "") -> Iterator[str]:
    """Run an nginx before a server and give its address.

    Parameters
    ----------
    target : address of the server behind it.
    directives : further lines of its ``server`` block.
    inside : further lines of its ``location`` block.
    """
    port = free_port()
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        _CONFIG.format(
            user=user, folder=folder, port=port, target=target, directives=directives, inside=inside
        )
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with ServerProcess(
        [program, "-p", folder, "-e", "stderr", "-c", file],
        log=folder / "nginx.log",
        ready=lambda: answers_http(port),
    ):
        yield f"http://127.0.0.1:{port}"
