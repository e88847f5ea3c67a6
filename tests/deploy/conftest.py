"""An S3 server on this machine: moto, which keeps objects in memory and knows conditional puts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.faults.house import wait_for
from tests.ports import free_ports

BUCKET = "bucket"


@pytest.fixture(scope="package")
def s3() -> Iterator[str]:
    """Return the URL of a bucket; the environment says how it is reached, as it does on a machine of the user's."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask_cors") is None:
        pytest.skip("no moto (extra `dev`): no S3 server on this machine")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _made(f"{url}/{BUCKET}"), "moto's S3", 180)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "AWS_ENDPOINT_URL": url,
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "made-up",
                "AWS_SECRET_ACCESS_KEY": "made-up",
                "AWS_EC2_METADATA_DISABLED": "true",
            }.items():
                patch.setenv(name, value)
            yield f"s3://{BUCKET}"
    finally:
        server.kill()
        server.wait()


def _made(bucket: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(bucket, method="PUT"), timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:  # urllib wraps what fails on the way there, and not what fails on the way back
        return False
