"""Brokers and a picture service that several test files ask for."""

import subprocess

import pytest
from mqtt_broker import WAIT_S, Mosquitto, program
from mqtt_run import SECRET
from picture_service import serving


@pytest.fixture
def open_broker(tmp_path):
    """Lets everybody in."""
    with Mosquitto(tmp_path, "allow_anonymous true") as broker:
        yield broker


@pytest.fixture
def guarded_broker(tmp_path):
    """Lets in one user with a password."""
    passwords = tmp_path / "passwords"
    passwords.write_text(f"camera:{SECRET}\n")
    subprocess.run([program("mosquitto_passwd"), "-U", passwords], check=True, timeout=WAIT_S)
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        yield broker


@pytest.fixture(scope="module")
def service(recognizer):
    with serving(recognizer) as server:
        yield server
