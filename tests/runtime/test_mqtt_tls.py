"""`fer-edge run --mqtt mqtts://…`: whom it trusts, and what it shows of itself."""

from __future__ import annotations

import gc
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
from command_line import one_sentence
from mqtt_broker import WAIT_S, Mosquitto, Watcher
from mqtt_run import LABELS, run

from fer_edge_runtime.errors import ConfigError, DeviceError
from fer_edge_runtime.sinks.broker import MqttOptions
from fer_edge_runtime.sinks.mqtt import MqttSink

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


@pytest.fixture
def failed_handshakes():
    """paho leaves the socket of a failed handshake to the garbage collector, whose warning would fail whichever test runs then."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("paho-mqtt", "mqtt end")):
            thread.join(WAIT_S)
    gc.collect()


def broken_handshakes(test):
    """For tests that leave such sockets: their warnings are waited for, and are none of the test's."""
    test = pytest.mark.usefixtures("failed_handshakes")(test)
    return pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")(test)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca.pem, and server and client certificates that it signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run([OPENSSL, *arguments], cwd=folder, check=True, capture_output=True, timeout=WAIT_S)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(
        "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2"
    )
    for name in ("server", "client"):
        (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.pem",
        )  # fmt: skip
    return folder


def tls_lines(folder):
    return [
        "allow_anonymous true", f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key",
    ]  # fmt: skip


@broken_handshakes
def test_tls_with_a_private_authority(tmp_path, certificates):
    ca = certificates / "ca.pem"
    with Mosquitto(tmp_path, *tls_lines(certificates)) as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        with Watcher(broker, tls={"ca_certs": str(ca)}) as watcher:
            done = run("--source", "demo", "--mqtt", f"{url}/hall", "--mqtt-ca", ca)
            watcher.wait("hall/status", "offline")
        assert done.returncode == 0, done.stderr
        assert f"mqtts://127.0.0.1:{broker.port}" in done.stderr
        distrustful = run("--source", "demo", "--mqtt", url)
        assert distrustful.returncode == 4
        assert "its certificate is not trusted" in one_sentence(distrustful.stderr)
        assert "--mqtt-ca" in one_sentence(distrustful.stderr)
        misnamed = url.replace("127.0.0.1", "localhost")
        with pytest.raises(DeviceError, match="not trusted"):
            MqttSink(MqttOptions(misnamed, ca=ca), labels=LABELS)
        with pytest.raises(DeviceError, match=r"within 1 s.*mqtts://"):
            MqttSink(MqttOptions(broker.url), labels=LABELS, connect_s=1)


@broken_handshakes
def test_tls_with_a_certificate_of_the_device(tmp_path, certificates):
    ca, cert, key = (certificates / name for name in ("ca.pem", "client.pem", "client.key"))
    tls = {"ca_certs": str(ca), "certfile": str(cert), "keyfile": str(key)}
    with Mosquitto(tmp_path, *tls_lines(certificates), "require_certificate true") as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        with Watcher(broker, tls=tls) as watcher:
            done = run(
                "--source", "demo", "--mqtt", f"{url}/hall", "--mqtt-ca", ca, "--mqtt-cert", cert, "--mqtt-key", key
            )
            watcher.wait("hall/status", "offline")
        assert done.returncode == 0, done.stderr
        with pytest.raises(DeviceError, match="cannot be reached within 1 s"):
            MqttSink(MqttOptions(url, ca=ca), labels=LABELS, connect_s=1)


@broken_handshakes
def test_patient_run_knows_a_clock_that_is_not_set_from_a_wrong_certificate(tmp_path, certificates):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    ca = certificates / "ca.pem"
    early = tmp_path / "early"
    early.mkdir()
    for name in ("ca.pem", "server.key"):
        shutil.copy(certificates / name, early)
    known = x509.load_pem_x509_certificate((certificates / "server.pem").read_bytes())
    authority = serialization.load_pem_private_key((certificates / "ca.key").read_bytes(), None)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        known.issuer, known.subject, known.public_key(), x509.random_serial_number(),
        now + timedelta(days=1), now + timedelta(days=2), list(known.extensions),
    )  # fmt: skip
    certificate = builder.sign(authority, hashes.SHA256())
    (early / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    said = []
    with Mosquitto(tmp_path, *tls_lines(early)) as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        MqttSink(MqttOptions(url, ca=ca, patient=True), labels=LABELS, say=said.append).close()
        with pytest.raises(DeviceError, match="cannot be used: its certificate is not trusted"):
            MqttSink(MqttOptions(url, patient=True), labels=LABELS)
    assert len(said) == 1
    assert "not yet valid). Is the clock of this machine right; trying again" in said[0]


def test_unusable_certificates_are_named(tmp_path, certificates):
    def refusal(**files):
        with pytest.raises(ConfigError) as caught:
            MqttSink(MqttOptions("mqtts://127.0.0.1", **files), labels=LABELS)
        return str(caught.value)

    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert "text.pem" in refusal(ca=text)
    assert "none.pem: No such file" in refusal(cert=tmp_path / "none.pem")
    assert "KEY_VALUES_MISMATCH" in refusal(cert=certificates / "client.pem", key=certificates / "server.key")
    locked = tmp_path / "locked.key"
    client_key = certificates / "client.key"
    command = [OPENSSL, "ec", "-in", client_key, "-aes256", "-passout", "pass:hun", "-out", locked]
    subprocess.run(command, check=True, capture_output=True, timeout=WAIT_S)
    assert "without a passphrase" in refusal(cert=certificates / "client.pem", key=locked)
