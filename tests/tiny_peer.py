"""A peer of a few lines: a real package in a real wheel, with a driver that can misbehave in every way the benchmark has to survive."""

import zipfile
from pathlib import Path

PACKAGE = """
import os, subprocess, sys, time

class Tiny:
    def __init__(self, mode):
        self.mode = mode
        if mode == "chatty":
            print("hello from the peer")
            os.write(1, b"and from its native code\\n")
        if mode == "parent":
            self.child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def look(self, content):
        if self.mode == "crash":
            os.abort()
        if self.mode == "raise":
            raise ValueError("no such face")
        if self.mode == "hang":
            time.sleep(600)
        return [] if self.mode == "blind" else [((200, 100, 300, 250), "happy")]
"""

DRIVER = """
from pathlib import Path
from serve import serve

class Peer:
    def __init__(self, mode):
        from tinypeer import Tiny
        self.tiny = Tiny(mode)
    def faces(self, content):
        return self.tiny.look(content)
    def classify(self, face):
        return "happy"

serve(Peer, read=lambda path: Path(path).read_bytes(), as_face=lambda content: content)
"""


def write_wheel(folder: Path, *, needs: str | None = None) -> Path:
    """The package as a wheel, which takes no build tool to install."""
    info = "tinypeer-1.0.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        "tinypeer.py": PACKAGE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinypeer\nVersion: 1.0\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / "tinypeer-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_peer(folder: Path, modes, *, name: str = "tiny", needs: str | None = None) -> Path:
    """The peer's TOML file with a case a mode, beside its wheel, requirements and driver."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = write_wheel(folder, needs=needs)
    (folder / "needs.txt").write_text(f"./{wheel.name}\n")
    (folder / "driver.py").write_text(DRIVER)
    cases = "".join(
        f'[[cases]]\nname = "{name} {mode}"\nwords = "Tiny({mode})"\noptions = {{ mode = "{mode}" }}\n'
        for mode in modes
    )
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\nversion = "1.0"\nrequirements = "needs.txt"\ndriver = "driver.py"\n{cases}')
    return path
