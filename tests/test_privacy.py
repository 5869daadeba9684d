"""What a run leaves behind and sends when it is asked for nothing, and what its user is told first."""

import os

import pytest
from command_line import fer_edge

from fer_edge.first_run import first_run_notice, state_folder

# Python imports a module of this name at its start. It reports whatever is opened for writing, made, moved or connected to.
WATCH = """
import os, sys
report = os.open(os.environ["WATCH_REPORT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.truncate", "shutil.move")
TALK = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.exec")

def hook(event, arguments):
    writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in CHANGES + TALK:
        os.write(report, f"{event} {arguments[0]!r}\\n".encode())

sys.addaudithook(hook)
"""


def run(tmp_path, *arguments, **environment):
    """A run in a home, a working folder and a folder for temporary files of its own."""
    for name in ("home", "here", "tmp"):
        (tmp_path / name).mkdir(exist_ok=True)
    known = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "FER_EDGE_REQUIRE"))}
    return fer_edge(
        "run", *arguments, cwd=tmp_path / "here",
        env=known | {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )  # fmt: skip


def files_in(*folders):
    return sorted(str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("source", ["demo", "test-pattern"])
def test_nothing_is_stored_and_nothing_leaves_by_default(tmp_path, source):
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    report = tmp_path / "report"
    done = run(
        tmp_path, "--source", source, "--max-frames", "5", "--json", "-",
        PYTHONPATH=str(tmp_path / "watch"), WATCH_REPORT=str(report),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 5
    marker = tmp_path / "home" / ".local" / "state" / "fer-edge" / "first-run"
    events = [line for line in report.read_text().splitlines() if not line.startswith("os.mkdir")]
    events = [line for line in events if line != "open '/dev/null'"]
    assert events == [f"open {str(marker)!r}"]
    # Libraries may write without Python's knowledge.
    assert files_in(tmp_path / "home", tmp_path / "here", tmp_path / "tmp") == [".local/state/fer-edge/first-run"]
    assert marker.read_bytes() == b""


def test_watch_would_see_what_is_stored(tmp_path):
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    report = tmp_path / "report"
    environment = {"PYTHONPATH": str(tmp_path / "watch"), "WATCH_REPORT": str(report)}
    done = run(
        tmp_path, "--source", "demo", "--max-frames", "2", "--json", "a.jsonl", "--serve", "127.0.0.1:0", **environment
    )
    assert done.returncode == 0, done.stderr
    said = report.read_text()
    assert "a.jsonl.part" in said
    assert "socket.bind" in said


def test_first_run_says_more_and_only_once(tmp_path):
    quiet, first, second = (
        run(tmp_path, "--source", "test-pattern", "--max-frames", "1", *more) for more in (["--quiet"], [], [])
    )
    # Who asked for silence gets it, and the notice at the first run that speaks.
    assert quiet.stderr == ""
    assert "Art. 5(1)(f)" in first.stderr
    assert "GDPR" in first.stderr
    assert "no legal advice" in first.stderr
    assert "Your first run" not in second.stderr
    assert "Note: labels are apparent expressions" in second.stderr


def test_notice_that_cannot_be_remembered_is_shown_again(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert "shown again next time" in first_run_notice()
    assert "shown again next time" in first_run_notice()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new"))
    assert "shown once" in first_run_notice()
    assert first_run_notice() == ""
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # to be ignored, says the XDG specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "fer-edge"
