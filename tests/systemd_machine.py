"""A throw-away machine with a real systemd: systemd-nspawn boots a copy of this root file system that is gone afterwards."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from places import ROOT

NSPAWN = shutil.which("systemd-nspawn")
_PROBE = """[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/bash /probe.sh
StandardOutput=file:/probe.log
StandardError=file:/probe.log
ExecStopPost=/bin/systemctl --no-block exit
TimeoutStartSec={seconds}
"""


def missing():
    """Why there can be no such machine here; empty when there can."""
    if NSPAWN is None:
        return "systemd-nspawn is not installed (apt-get install systemd-container)"
    if shutil.which("curl") is None:
        return "curl is not installed"
    if os.geteuid() != 0:
        return "booting a machine needs root"
    if str(ROOT).startswith(("/tmp/", "/var/tmp/")):  # noqa: S108 only looked at
        return f"a service has a /tmp of its own and does not see this checkout in {ROOT}"
    return ""


class NoMachineError(Exception):
    """This system does not let us boot one."""


@contextmanager
def _overlay(place):
    """A writable view of this machine's files; changes go to memory."""
    layers, root = place / "layers", place / "root"
    layers.mkdir(parents=True)
    root.mkdir()
    mounted = []
    try:
        for arguments in (
            ["-t", "tmpfs", "-o", "size=1g", "tmpfs", layers],
            ["-t", "overlay", "-o", f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work", "overlay", root],
        ):
            done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoMachineError(done.stderr.strip())
            mounted.insert(0, arguments[-1])
            for name in ("upper", "work"):
                (layers / name).mkdir(exist_ok=True)
        yield root
    finally:
        for target in mounted:
            subprocess.run(["umount", target], check=False)


def boot(place, units, script, *, seconds=120):
    """Boot, run a bash script as root, shut down.

    Args:
        place: empty folder for the machine.
        units: file name -> content, below /etc/systemd/system.
        script: what to run; the services are not started.
        seconds: it may take.

    Returns:
        what the script printed.

    Raises:
        NoMachineError: this system does not allow it.
    """
    with _overlay(Path(place)) as root:
        system = root / "etc" / "systemd" / "system"
        probe = {"probe.service": _PROBE.format(seconds=seconds), "probe.target": "[Unit]\nRequires=probe.service\n"}
        for name, content in {**probe, **units}.items():
            (system / name).parent.mkdir(exist_ok=True)
            (system / name).write_text(content)
        (root / "probe.sh").write_text(script)
        binds = [f"--bind-ro={path}" for path in {str(ROOT), sys.prefix, sys.base_prefix}]
        done = subprocess.run(
            [NSPAWN, "-q", "--register=no", "--keep-unit", "--private-network", *binds, "-D", root, "--boot", "--", "systemd.unit=probe.target"],
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=seconds + 60, check=False,
        )  # fmt: skip
        log = root / "probe.log"
        if not log.exists():
            raise NoMachineError(f"it does not boot: {(done.stdout + done.stderr).decode(errors='replace')[-400:]}")
        return log.read_text()
