"""`fer-edge service unit`: what it prints, what systemd says to it, and on a real systemd what it does."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import systemd_machine
from command_line import fer_edge

from fer_edge.unit import quoted

ANALYZE = shutil.which("systemd-analyze")
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
# A folder that a service sees wherever the checkout lies: its own /tmp is another one.
PERMANENT = Path(os.__file__).parent
RUNS = {
    "picture": ["--source", "test-pattern", "--json"],
    "usb": ["--camera", "/dev/v4l/by-id/usb-x", "--serve", "127.0.0.1:8080"],
    "pi": ["--camera", "picamera2:0", "--mqtt", "mqtt://broker/100%"],
    "stream": ["--source", "rtsp://camera/1", "--csv", "faces.csv", "--device", "gpu"],
}
PICTURES = ["--command", "serve", "--address", "127.0.0.1:8090", "--max-mib", "4"]


def unit(*arguments, **options):
    done = fer_edge("service", "unit", *arguments, **options)
    return done.returncode, done.stdout, done.stderr


def directives(text):
    """Name -> values, in order."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture(scope="module")
def units():
    made = {name: unit(*arguments) for name, arguments in RUNS.items()}
    assert all(code == 0 for code, _, _ in made.values()), made
    return {name: text for name, (_, text, _) in made.items()}


def test_every_unit_is_watched_and_restarted_within_limits(units):
    for text in units.values():
        found = directives(text)
        assert found["Type"] == ["notify"]
        assert found["WatchdogSec"] == ["30"]
        assert found["Restart"] == ["on-failure"]
        assert found["RestartPreventExitStatus"] == ["2 5 7"]
        assert found["StartLimitBurst"] == ["20"]
        for name in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectKernelModules", "RestrictNamespaces"):
            assert found[name] == ["yes"]
        assert found["ProtectSystem"] == ["strict"]


def test_devices_and_network_follow_from_the_options(units):
    picture, usb, pi, stream = (directives(units[name]) for name in RUNS)
    assert picture["PrivateDevices"] == picture["PrivateNetwork"] == ["yes"]
    assert picture["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert usb["DeviceAllow"] == ["char-video4linux rw"]
    assert usb["IPAddressAllow"] == ["localhost"]
    assert pi["DeviceAllow"] == ["char-video4linux rw", "char-media rw", "char-dma_heap rw"]
    assert "IPAddressDeny" not in pi
    assert pi["After"] == stream["After"] == ["network-online.target"]
    assert "char-drm rw" in stream["DeviceAllow"]
    assert [("MemoryDenyWriteExecute" in found) for found in (picture, usb, pi, stream)] == [True, True, False, False]


def test_camera_that_comes_later_is_waited_for_and_the_cpu_is_said(units):
    assert [("--wait-for-source" in units[name]) for name in RUNS] == [False, True, True, True]
    assert [("--device cpu" in units[name]) for name in RUNS] == [True, True, True, False]
    assert "mqtt://broker/100%%" in units["pi"]


def test_files_are_named_in_full(tmp_path):
    (tmp_path / "clip.mp4").touch()
    code, text, words = unit("--source", "clip.mp4", "--json=faces.jsonl", "--model", "default", cwd=tmp_path)
    # A file under /tmp would not be there for the service.
    assert code == 2
    assert "Copy it to /opt" in words
    code, text, words = unit("--source", "os.py", "--json=faces.jsonl", "--model", "default", cwd=PERMANENT)
    assert code == 0, words
    run = directives(text)["ExecStart"][0]
    assert f"--source {PERMANENT}/os.py --json=faces.jsonl --model default" in run
    assert "every start writes --json anew" in words


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--source", "demo"], "--source demo "),
        (["--source", "test-pattern"], "--source test-pattern "),
        (["--source", "faces/*.jpg"], '--source "/{root}/faces/*.jpg" '),
        (["--source=later.mp4"], "--source=/{root}/later.mp4 "),
        (["--camera", "0", "--model", "bundle"], "--model /{root}/bundle "),
        (["--camera", "0", "--detector", "yunet:y.onnx"], "--detector yunet:/{root}/y.onnx "),
    ],
)
def test_words_stay_words_and_files_are_found_from_anywhere(arguments, found):
    code, text, words = unit(*arguments, cwd=PERMANENT)
    assert code == 0, words
    assert found.format(root=str(PERMANENT).lstrip("/")) in directives(text)["ExecStart"][0]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--camera", "0", "--mqtt", "mqtt://me:QQQ@broker"], ["FER_EDGE_MQTT"]),
        (["--camera", "0", "--mqtt", "mqtt://me@broker"], []),
        (["--source=rtsp://me:Q/Q?QQQ@camera/1", "--mqtt=mqtts://me:QQQ@broker"], ["FER_EDGE_SOURCE", "FER_EDGE_MQTT"]),
        (["--camera", "HTTP://camera/stream?token=QQQ"], ["FER_EDGE_CAMERA"]),
        (["--camera", "rtsp://camera/1"], []),
    ],
)
def test_address_with_a_password_is_left_to_the_environment(arguments, variables):
    code, text, words = unit(*arguments)
    assert code == 0, words
    assert "QQQ" not in text + words
    started = directives(text)["ExecStart"][0]
    assert re.findall(r"env:(\w+)", started) == variables
    assert re.findall(r"as (\w+)='ADDRESS'", words) == variables
    assert "--wait-for-source" in started
    assert "FER_EDGE_MQTT_PASSWORD=…" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --camera and --source"),
        (["--camera", "0", "--source", "demo"], "one of --camera and --source"),
        (["--camera", "0", "--show"], "no screen"),
        (["--camera", "0", "--detect", "full"], "--detect"),
        (["--camera", "0", "--max-frames", "0"], "--max-frames"),
        (["--camera", "0", "--json", "/home/pi/faces.jsonl"], "Give a relative name, such as faces.jsonl"),
        (["--camera", "0", "--save", "../out.mp4"], "Give a relative name"),
        (["--camera", "0", "--name", "My Service"], "cannot name a service"),
        (["--camera", "0", "--memory", "lots"], "no limit of memory"),
        (["--camera", "0", "--mqtt-name", "a\nExecStartPre=/bin/x"], "cannot be written into a unit file"),
    ],
)
def test_what_a_service_cannot_do_is_refused_before_it_loops(arguments, said):
    code, text, words = unit(*arguments)
    assert code == 2
    assert text == ""
    assert said in words


def test_service_that_keeps_days_waits_for_the_clock_and_is_not_warned_of_restarts():
    code, text, words = unit("--camera", "0", "--anonymize", "--csv", "a.csv", "--rotate", "1h", "--keep-days", "7")
    assert code == 0, words
    found = directives(text)
    assert found["After"] == ["time-sync.target"]
    assert "--anonymize --csv a.csv --rotate 1h --keep-days 7" in found["ExecStart"][0]
    assert "XDG_STATE_HOME=/var/lib/fer-edge" in found["Environment"][0]
    assert "anew" not in words


@pytest.mark.parametrize(("host", "limited"), [("127.0.0.1", True), ("0.0.0.0", False)])  # noqa: S104 what is asked for
def test_picture_service_gets_a_network_and_no_camera(host, limited):
    code, text, words = unit("--command", "serve", "--address", f"{host}:8090", "--token-file", "/etc/token")
    assert code == 0, words
    found = directives(text)
    assert found["ExecStart"][0].endswith(f" serve --address {host}:8090 --token-file /etc/token --device cpu")
    assert found["PrivateDevices"] == ["yes"]
    assert found["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert ("IPAddressDeny" in found) == limited


def test_option_of_the_other_command_is_refused():
    code, text, words = unit("--command", "serve", "--camera", "0")
    assert (code, text) == (2, "")
    assert "--camera" in words


@pytest.mark.parametrize("word", ["plain", "a b", 'a"b', "100%", "$HOME", "back\\slash", "'", "ü", ""])
def test_quoted_word_means_itself(word):
    # systemd unquotes as shlex does, then % and $ are halved.
    assert [part.replace("%%", "%").replace("$$", "$") for part in shlex.split(quoted(word))] == [word]


@needs_analyze
@pytest.mark.parametrize("name", RUNS)
def test_systemd_accepts_the_unit_and_finds_little_exposed(units, tmp_path, name):
    file = tmp_path / "fer-edge.service"
    file.write_text(units[name])
    done = subprocess.run([ANALYZE, "verify", file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    level = re.search(r"exposure level for fer-edge.service: ([0-9.]+)", done.stdout)
    assert float(level[1]) <= 2.0


FASTER = "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=200ms\n"
SCRIPT = """
show() { echo "== $1"; systemctl show "$2" -p ActiveState,Result,NRestarts,ExecMainCode,ExecMainStatus,StatusText; }
wait_for() { for _ in $(seq 600); do systemctl show "$1" -p "$2" | grep -Eq "$3" && return; sleep 0.1; done; echo "gave up: $*"; }
systemctl start works; echo "start $?"; show running works
wait_for works StatusText "frames/s"; show later works
systemctl stop works; show stopped works; ls /var/lib/works
systemctl start whole; wait_for whole ActiveState "=(inactive|failed)"; show whole whole; ls /var/lib/whole
mkdir -p /var/lib/private/hung && mkfifo /var/lib/private/hung/faces.jsonl; sleep 1000 < /var/lib/private/hung/faces.jsonl &
systemctl start hung; wait_for hung NRestarts "=[1-9]"; show hung hung; kill %1; systemctl stop hung
echo "== trace"; journalctl -u hung --no-pager | grep -E "Watchdog|Aborted|pipes.py" | head -5
systemctl start waits; show waits waits; systemctl stop waits
systemctl start --no-block loop; wait_for loop ActiveState "=failed"; show loop loop
systemctl start broken; show broken broken
systemctl start pictures; show pictures pictures; curl -s -m 30 http://127.0.0.1:8090/healthz; systemctl stop pictures; show closed pictures
"""


@pytest.mark.slow
def test_on_a_real_systemd_the_unit_runs_hangs_loops_and_ends_as_it_should(tmp_path):
    if reason := systemd_machine.missing():
        pytest.skip(reason)
    made = {
        "works": unit("--name", "works", "--watchdog", "2", "--source", "test-pattern", "--json", "faces.jsonl"),
        "whole": unit(
            "--name",
            "whole",
            "--source",
            "demo",
            "--csv",
            "faces.csv",
            "--save",
            "out.mp4",
            "--engine",
            "onnx",
            "--max-frames",
            "20",
        ),
        "hung": unit("--name", "hung", "--watchdog", "2", "--source", "test-pattern:64x48@0", "--json", "faces.jsonl"),
        "waits": unit("--name", "waits", "--camera", "/dev/video9", "--json"),
        "loop": unit("--name", "loop", "--source", "gone.mp4"),
        "pictures": unit("--name", "pictures", *PICTURES),
        "broken": unit("--name", "broken", "--source", "demo", "--model", "/opt/no-such-bundle"),
    }
    units = {f"{name}.service": text for name, (_, text, _) in made.items()}
    units |= {f"{name}.service.d/faster.conf": FASTER for name in ("hung", "loop")}
    try:
        log = systemd_machine.boot(tmp_path / "machine", units, SCRIPT)
    except systemd_machine.NoMachineError as error:
        pytest.skip(f"no machine can be booted here: {error}")
    shown = {part.splitlines()[0]: part for part in log.split("== ")[1:]}
    assert "start 0" in log
    assert "gave up" not in log, log
    assert "ActiveState=active" in shown["running"]
    assert "faces" in shown["later"]
    assert "Result=success" in shown["stopped"]
    assert "ExecMainStatus=0" in shown["stopped"]
    assert "faces.jsonl\n" in shown["stopped"]
    assert "Result=success" in shown["whole"]
    assert {"faces.csv", "out.mp4"} <= set(shown["whole"].split())
    assert "Watchdog timeout" in shown["trace"]
    assert "Fatal Python error: Aborted" in shown["trace"]
    assert "pipes.py" in shown["trace"]
    assert "ActiveState=active" in shown["waits"]
    assert "no such camera" in shown["waits"]
    assert "NRestarts=3" in shown["loop"]  # and no fourth
    assert "ExecMainStatus=4" in shown["loop"]
    assert "NRestarts=0" in shown["broken"]
    assert "ExecMainStatus=5" in shown["broken"]
    assert "ActiveState=active" in shown["pictures"]
    assert "serving pictures" in shown["pictures"]
    assert '"ok"' in shown["pictures"]
    assert "ExecMainStatus=0" in shown["closed"]
