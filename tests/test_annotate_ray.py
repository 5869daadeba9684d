"""`fer-edge annotate --ray` on two nodes of one machine, while processes of the cluster, and then a node, are killed."""

import collections
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import psutil
import pyarrow.parquet as pq
import pytest
from places import ROOT, SAMPLES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
]
FER_EDGE = str(Path(sys.executable).with_name("fer-edge"))
PICTURES = 200


@pytest.fixture(scope="module")
def cluster():
    """Process and address of a cluster of two nodes with a CPU each."""
    command = [sys.executable, str(ROOT / "tests" / "ray_cluster.py"), "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL, bufsize=1
    ) as process:
        yield process, process.stdout.readline().strip()
        process.stdin.close()


def wait_for(condition, process, seconds=180):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def start(command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(process):
    """Our worker processes under a cluster's."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "fer_edge.archive.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_every_input_counts_once_although_processes_and_a_node_of_the_cluster_are_killed(tmp_path, cluster):
    nodes, address = cluster
    folder, out = tmp_path / "many", tmp_path / "r.parquet"
    folder.mkdir()
    face = cv2.imencode(".jpg", cv2.resize(cv2.imread(str(SAMPLES / "astronaut.jpg"))[:320, 80:400], (200, 200)))[1]
    for number in range(PICTURES):
        (folder / f"{number}.jpg").write_bytes(face.tobytes())
    (folder / "bad.jpg").write_bytes(face.tobytes()[:1000])
    command = [FER_EDGE, "annotate", str(folder), "--out", str(out), "--ray", address, "--json"]
    parts = tmp_path / "r.parquet.parts"
    process = start(command)
    wait_for(lambda: list(parts.glob("part-*")), process)
    process.terminate()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130, words
    assert "fer-edge: interrupted" in words
    begun = len(list(parts.glob("part-*")))
    process = start(command)
    wait_for(lambda: len(list(parts.glob("part-*"))) >= begun + 2, process)
    ours = wait_for(lambda: workers_of(nodes), process)
    ours[0].parent().kill()  # a process of Ray's, in the middle of a task
    before = len(list(parts.glob("part-*")))
    wait_for(lambda: len(list(parts.glob("part-*"))) > before, process)
    wait_for(lambda: workers_of(nodes), process)[0].kill()
    before = len(list(parts.glob("part-*")))
    wait_for(lambda: len(list(parts.glob("part-*"))) > before, process)
    nodes.stdin.write("\n")
    assert nodes.stdout.readline() == "killed\n"
    assert process.poll() is None  # it was in the middle of its work
    said, words = process.communicate(timeout=300)
    assert process.returncode == 0, words
    assert "on 2 nodes" in words
    assert "Going on: " in words
    assert json.loads(said)["bad"] == 1
    counts = collections.Counter(row["source"] for row in pq.read_table(out).to_pylist())
    assert counts == {str(path): 1 for path in folder.iterdir()}
    assert not parts.exists()


def test_cluster_that_is_not_there_is_one_sentence(tmp_path):
    (tmp_path / "a.jpg").write_bytes((SAMPLES / "astronaut.jpg").read_bytes())
    command = [FER_EDGE, "annotate", "a.jpg", "--out", "r.parquet", "--ray", "127.0.0.1:9"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    assert "No Ray cluster answers at '127.0.0.1:9'" in done.stderr
    assert "Traceback" not in done.stderr
