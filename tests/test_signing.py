"""`fer-edge models keygen`, `sign`, `verify --key` and `fer-edge run --require-signature`, on copies of the embedded bundle."""

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import fer_edge
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from places import DEFAULT_BUNDLE, SAMPLES
from test_models_command import TFLITE, edit_manifest, flip, models, verdicts, zipped
from test_start_up import modules_after

from fer_edge_runtime.errors import BundleError, ConfigError
from fer_edge_runtime.keys import read_public_key, required_key
from fer_edge_runtime.recognizer import Recognizer
from fer_edge_runtime.signature import Signature, parse_signature

WRONG_USE, REFUSED, MISSING_PACKAGE, NOT_WRITABLE = 2, 5, 7, 8
SIGNATURE = "manifest.sig"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A private key with its public one beside it, as a user makes them."""
    out = tmp_path_factory.mktemp("keys") / "fleet"
    assert models("keygen", "--out", out).returncode == 0
    return out


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Somebody else's."""
    out = tmp_path_factory.mktemp("keys") / "other"
    assert models("keygen", "--out", out).returncode == 0
    return out


@pytest.fixture
def copy(tmp_path):
    """A private copy of the embedded bundle."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "mine"))


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory, key):
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path_factory.mktemp("signed") / "mine"))
    done = models("sign", folder, "--key", key)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def signed(signed_once, tmp_path):
    """A private copy of a signed bundle."""
    return Path(shutil.copytree(signed_once, tmp_path / "signed"))


def public(key):
    return key.with_name(f"{key.name}.pub")


def run(*arguments, variable=None):
    environment = {name: value for name, value in os.environ.items() if name != "FER_EDGE_REQUIRE_SIGNATURE"}
    if variable is not None:
        environment["FER_EDGE_REQUIRE_SIGNATURE"] = str(variable)
    return fer_edge("run", "--source", SAMPLES / "astronaut.jpg", *arguments, env=environment)


def without_cryptography(*arguments):
    code = (
        f"import sys; sys.modules['cryptography'] = None; sys.argv = ['fer-edge', *{list(map(str, arguments))!r}]\n"
        "from fer_edge.__main__ import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def sentence(done):
    """What was said, when it is one sentence and no traceback."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("fer-edge: ")
    return line


def said_of_signature(done):
    status, found = verdicts(done)["signature"]
    return status, found


# Keys


def test_only_the_owner_may_read_the_private_key(tmp_path):
    done = models("keygen", "--out", tmp_path / "fleet", umask=0)
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fleet", "fleet.pub"]
    assert stat.S_IMODE((tmp_path / "fleet").stat().st_mode) == 0o600
    assert (tmp_path / "fleet").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "fleet.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")
    loaded = load_pem_public_key((tmp_path / "fleet.pub").read_bytes())
    raw = loaded.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert f"Key {hashlib.sha256(raw).hexdigest()[:16]}\n" in done.stderr


@pytest.mark.parametrize("taken", ["fleet", "fleet.pub"])
def test_key_is_never_overwritten_and_nothing_else_is_left(tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    done = models("keygen", "--out", tmp_path / "fleet")
    assert done.returncode == WRONG_USE
    assert f"{tmp_path / taken} exists" in sentence(done)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_key_that_would_pass_for_a_public_one_is_refused(tmp_path):
    assert models("keygen", "--out", tmp_path / "fleet.pub").returncode == WRONG_USE
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there_is_said(tmp_path):
    done = models("keygen", "--out", tmp_path / "nothing" / "fleet")
    assert done.returncode == NOT_WRITABLE
    assert "No such file" in sentence(done)


def pem(private, password=None):
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a readable private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a readable private key"),
        (b"\xff" * 10_001, "more than 10000 bytes"),
        (pem(generate_private_key(65537, 2048)), "not an Ed25519 one"),
        (pem(Ed25519PrivateKey.generate(), b"secret"), "has a password"),
    ],
    ids=["empty", "garbage", "oversized", "rsa", "password"],
)
def test_private_key_that_cannot_be_used_is_one_sentence(copy, tmp_path, content, said):
    (tmp_path / "key").write_bytes(content)
    done = models("sign", copy, "--key", tmp_path / "key")
    assert done.returncode == WRONG_USE
    assert said in sentence(done)
    assert not (copy / SIGNATURE).exists()


def test_public_key_that_cannot_be_used_is_a_wrong_use(key, tmp_path):
    for content in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff" * 10_001):
        (tmp_path / "key.pub").write_bytes(content)
        with pytest.raises(ConfigError, match="public key"):
            read_public_key(tmp_path / "key.pub")
    rsa = generate_private_key(65537, 2048).public_key()
    (tmp_path / "key.pub").write_bytes(rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="not an Ed25519 one"):
        read_public_key(tmp_path / "key.pub")
    with pytest.raises(ConfigError, match="There is no public key at"):
        read_public_key(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="is not a file"):
        read_public_key(tmp_path)
    with pytest.raises(ConfigError, match="belongs on the machine that signs"):
        read_public_key(key)


def test_keys_mixed_up_are_told_apart(copy, key):
    done = models("sign", copy, "--key", public(key))
    assert done.returncode == WRONG_USE
    assert "is a public key" in sentence(done)
    done = models("verify", copy, "--key", key)
    assert done.returncode == WRONG_USE
    assert "is a private key" in sentence(done)


# Signing


def test_signature_is_of_the_bytes_of_the_manifest_in_the_documented_format(signed, key):
    record = json.loads((signed / SIGNATURE).read_text())
    loaded = load_pem_public_key(public(key).read_bytes())
    raw = loaded.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert list(record) == ["schema", "algorithm", "key", "signature"]
    assert (record["schema"], record["algorithm"]) == (1, "ed25519")
    assert record["key"] == hashlib.sha256(raw).hexdigest()[:16]
    loaded.verify(base64.b64decode(record["signature"]), (signed / "manifest.json").read_bytes())
    assert {path.name for path in signed.iterdir()} == {*(path.name for path in DEFAULT_BUNDLE.iterdir()), SIGNATURE}


def test_signing_again_with_another_key_replaces_the_signature(signed, other):
    assert models("sign", signed, "--key", other).returncode == 0
    assert said_of_signature(models("verify", signed, "--key", public(other), "--json"))[0] == "ok"


def test_broken_signature_is_no_reason_not_to_sign_again(signed, key):
    (signed / SIGNATURE).write_bytes(b"garbage")
    assert models("sign", signed, "--key", key).returncode == 0
    assert models("verify", signed, "--key", public(key)).returncode == 0


@pytest.mark.parametrize("damage", ["model", "stray", "manifest", "answers"])
def test_bundle_that_does_not_verify_is_not_signed(copy, key, damage):
    if damage == "model":
        flip(copy / TFLITE)
    elif damage == "stray":
        (copy / "notes.txt").write_text("mine")
    elif damage == "manifest":
        (copy / "manifest.json").write_text("{}")
    else:
        edit_manifest(copy, lambda record: record["preprocess"].update(mean=0.0))
    done = models("sign", copy, "--key", key)
    assert done.returncode == REFUSED
    assert "is not signed, because it does not verify" in sentence(done)
    assert not (copy / SIGNATURE).exists()


def test_zip_is_not_signed_but_its_folder_is(copy, key, tmp_path):
    archive = zipped(copy, tmp_path / "mine.zip")
    before = archive.read_bytes()
    done = models("sign", archive, "--key", key)
    assert done.returncode == WRONG_USE
    assert "Sign the bundle folder, then zip it again" in sentence(done)
    assert archive.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written_is_exit_code_8(copy, key):
    copy.chmod(0o555)
    done = models("sign", copy, "--key", key)
    copy.chmod(0o755)
    assert done.returncode == NOT_WRITABLE
    assert "Permission denied" in sentence(done)


def test_place_that_cannot_be_replaced_is_exit_code_8_and_leaves_nothing_behind(copy, key):
    (copy / SIGNATURE).mkdir()
    done = models("sign", copy, "--key", key)
    assert done.returncode == NOT_WRITABLE
    assert SIGNATURE in sentence(done)
    assert {path.name for path in copy.iterdir()} == {*(path.name for path in DEFAULT_BUNDLE.iterdir()), SIGNATURE}


def test_manifest_cannot_name_the_signature_as_one_of_its_files(copy):
    edit_manifest(copy, lambda record: record["files"][0].update(path=SIGNATURE))
    done = models("verify", copy)
    assert done.returncode == REFUSED
    assert "'files[0].path' must be a plain file name" in done.stderr


# Verifying


def test_signed_bundle_verifies_with_its_key_as_folder_and_as_zip(signed, key, tmp_path):
    for bundle in (signed, zipped(signed, tmp_path / "signed.zip")):
        done = models("verify", bundle, "--key", public(key), "--json")
        assert done.returncode == 0, done.stderr
        found = verdicts(done)
        assert {status for status, _ in found.values()} == {"ok"}
        assert found["signature"][1].startswith("manifest.json is what key ")
        assert TFLITE in found


def test_signature_that_nobody_asked_for_is_mentioned(signed, copy):
    done = models("verify", signed, "--json")
    assert done.returncode == 0
    assert said_of_signature(done) == ("skipped", "present, not checked (no --key)")
    assert "signature" not in verdicts(models("verify", copy, "--json"))
    for command in ("list", "info"):
        assert models(command, signed).returncode == 0


def test_unsigned_bundle_lacks_it_and_no_model_of_it_is_opened(copy, key):
    done = models("verify", copy, "--key", public(key), "--json")
    assert done.returncode == REFUSED
    assert said_of_signature(done) == ("failed", f"missing: there is no {SIGNATURE}")
    assert verdicts(done)[TFLITE] == ("skipped", "not opened: no model of a bundle without the required signature is")
    assert "an unsigned one signed: fer-edge models sign" in done.stderr


def test_signature_of_another_key_is_the_wrong_one(signed, key, other):
    done = models("verify", signed, "--key", public(other), "--json")
    assert done.returncode == REFUSED
    status, found = said_of_signature(done)
    assert status == "failed"
    assert found.startswith("wrong key: made with key ")
    assert json.loads((signed / SIGNATURE).read_text())["key"] in found


def test_other_key_under_the_name_of_ours_is_broken(signed, key, other):
    record = json.loads((signed / SIGNATURE).read_text())
    record["key"] = read_public_key(public(other)).id
    (signed / SIGNATURE).write_text(json.dumps(record))
    done = models("verify", signed, "--key", public(other), "--json")
    assert done.returncode == REFUSED
    assert said_of_signature(done)[1].startswith("broken: manifest.json is not what key ")


def test_any_changed_byte_of_the_manifest_breaks_the_signature(signed, key):
    """A space that changes nothing of what the manifest says."""
    path = signed / "manifest.json"
    path.write_bytes(path.read_bytes() + b" ")
    done = models("verify", signed, "--key", public(key), "--json")
    assert done.returncode == REFUSED
    assert verdicts(done)["files"][0] == "ok"
    assert said_of_signature(done)[1].startswith("broken: manifest.json is not what key ")


def test_changed_byte_of_a_model_is_the_manifests_to_find(signed, key):
    flip(signed / TFLITE)
    done = models("verify", signed, "--key", public(key), "--json")
    assert done.returncode == REFUSED
    found = verdicts(done)
    assert found["signature"][0] == "ok"
    assert found["files"][0] == "failed"


def test_forger_who_lets_the_manifest_vouch_for_another_model_lacks_the_key(signed, key):
    flip(signed / TFLITE)
    digest = hashlib.sha256((signed / TFLITE).read_bytes()).hexdigest()
    edit_manifest(signed, lambda record: next(a for a in record["artefacts"] if a["path"] == TFLITE).update(sha256=digest))  # fmt: skip
    done = run("--model", signed, "--require-signature", public(key))
    assert done.returncode == REFUSED
    assert "broken" in sentence(done)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not valid JSON"),
        (b"\xff\xfe\x00garbage", "is not valid JSON"),
        (b"[" * 10_000, "is not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "'schema' must be 1, received nothing"),
        (b'{"schema": 1, "algorithm": "none"}', "'algorithm' must be ed25519, received 'none'"),
        (b'{"schema": 1, "algorithm": "ed25519", "key": ["0"]}', "'key' must be 16 lower-case"),
        (b'{"schema": 1, "algorithm": "ed25519", "key": "0123456789abcdef"}', "'signature' must be 64 bytes in base64"),
        (b" " * 10_001, "has more than 10000 bytes"),
    ],
)
def test_malformed_signature_file_is_a_bundle_error(content, said):
    with pytest.raises(BundleError) as refused:
        parse_signature(content)
    assert said in str(refused.value)


@pytest.mark.parametrize("value", ["", "AAAA", "é", "=", base64.b64encode(bytes(65)).decode(), 7, None, ["AAAA"]])
def test_value_that_is_no_signature_is_a_bundle_error(value):
    record = {"schema": 1, "algorithm": "ed25519", "key": "0123456789abcdef", "signature": value}
    with pytest.raises(BundleError, match="64 bytes in base64"):
        parse_signature(json.dumps(record).encode())


def test_signature_survives_the_way_through_its_text():
    signature = Signature("0123456789abcdef", bytes(range(64)))
    assert parse_signature(signature.to_json().encode()) == signature


@pytest.mark.parametrize("damage", ["truncated", "garbage", "oversized", "link", "pipe", "folder"])
def test_damaged_signature_file_is_refused_in_one_sentence(signed, key, damage, tmp_path):
    path = signed / SIGNATURE
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        path.write_bytes(bytes(range(256)))
    elif damage == "oversized":
        path.write_bytes(content + b" " * 10_000)
    elif damage == "link":
        (tmp_path / "elsewhere.sig").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere.sig")
    elif damage == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    done = models("verify", signed, "--key", public(key), "--json")
    assert done.returncode == REFUSED
    assert said_of_signature(done)[1].startswith("broken: ")
    done = run("--model", signed, "--require-signature", public(key))
    assert done.returncode == REFUSED
    assert SIGNATURE in sentence(done)


# Running


def test_run_takes_a_signed_bundle_as_folder_and_as_zip_and_says_whose(signed, key, tmp_path):
    for bundle in (signed, zipped(signed, tmp_path / "signed.zip")):
        done = run("--model", bundle, "--require-signature", public(key))
        assert done.returncode == 0, done.stderr
        assert f"signed with key {read_public_key(public(key)).id}" in done.stderr


def test_signed_bundle_runs_where_nobody_asks_for_it(signed, tmp_path):
    for bundle in (signed, zipped(signed, tmp_path / "signed.zip")):
        done = run("--model", bundle)
        assert done.returncode == 0, done.stderr
        assert "signed with" not in done.stderr


def test_run_refuses_an_unsigned_bundle_as_folder_as_zip_and_when_shipped(copy, key, tmp_path):
    for bundle in (copy, zipped(copy, tmp_path / "mine.zip")):
        line = sentence(run("--model", bundle, "--require-signature", public(key)))
        assert f"Signature missing: there is no {SIGNATURE}." in line
        assert line.endswith("fer-edge models sign BUNDLE --key KEY")
        assert "came with fer-edge" not in line
    done = run("--require-signature", public(key))
    assert done.returncode == REFUSED
    assert "Bundles that came with fer-edge have to be signed too." in sentence(done)
    assert sentence(done).endswith("fer-edge models sign default --key KEY")


def test_environment_variable_asks_for_a_fleet_and_the_option_wins(signed, key, other):
    assert run("--model", signed, variable=public(key)).returncode == 0
    done = run("--model", signed, variable=public(other))
    assert done.returncode == REFUSED
    assert "Signature wrong key: made with key " in sentence(done)
    assert run("--model", signed, "--require-signature", public(key), variable=public(other)).returncode == 0
    assert run("--model", signed, "--require-signature", public(other), variable=public(key)).returncode == REFUSED


@pytest.mark.parametrize("value", ["", "nothing.pub"])
def test_environment_variable_that_names_no_key_lets_nothing_run(signed, value):
    done = run("--model", signed, variable=value)
    assert done.returncode == WRONG_USE
    assert "FER_EDGE_REQUIRE_SIGNATURE" in sentence(done)


def test_python_asks_for_a_signature_too(signed, key, other, monkeypatch):
    monkeypatch.delenv("FER_EDGE_REQUIRE_SIGNATURE", raising=False)
    assert required_key() is None
    recognizer = Recognizer.load(signed, threads=1, require_signature=public(key))
    assert recognizer.bundle.signed_by == read_public_key(public(key)).id
    with pytest.raises(BundleError, match="wrong key"):
        Recognizer.load(signed, threads=1, require_signature=str(public(other)))
    monkeypatch.setenv("FER_EDGE_REQUIRE_SIGNATURE", str(public(other)))
    with pytest.raises(BundleError, match="wrong key"):
        Recognizer.load(signed, threads=1)


def test_doctor_says_what_a_run_would(signed, key):
    environment = {**os.environ, "FER_EDGE_REQUIRE_SIGNATURE": str(public(key))}
    for bundle, status in ((signed, "PASS"), ("default", "FAIL")):
        done = fer_edge("doctor", "--json", "--model", bundle, env=environment)
        (check,) = (check for check in json.loads(done.stdout)["checks"] if check["id"] == "signature")
        assert check["status"] == status, check
        opened = [check["id"] for check in json.loads(done.stdout)["checks"] if check["id"].startswith("golden:")]
        assert bool(opened) is (status == "PASS")


# What it needs


def test_missing_package_names_the_extra(signed, key, tmp_path):
    for arguments in (
        ["models", "keygen", "--out", tmp_path / "fleet"],
        ["models", "sign", signed, "--key", key],
        ["models", "verify", signed, "--key", public(key)],
        ["run", "--source", "demo", "--model", signed, "--require-signature", public(key)],
    ):
        done = without_cryptography(*arguments)
        assert done.returncode == MISSING_PACKAGE, done.stderr
        assert "The package 'cryptography' is not installed" in sentence(done)
        assert "pip install 'fer-edge[signing]'" in sentence(done)
    assert not (tmp_path / "fleet").exists()


def test_device_that_asks_for_no_signature_needs_no_package(signed):
    assert without_cryptography("models", "verify", signed).returncode == 0
    assert without_cryptography("run", "--source", str(SAMPLES / "astronaut.jpg"), "--model", signed).returncode == 0
    assert "cryptography" not in modules_after(
        "-m", "fer_edge", "run", "--source", str(SAMPLES / "astronaut.jpg"), "--model", str(signed)
    )
