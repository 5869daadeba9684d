"""`fer-edge annotate --ray` on two nodes of one machine, while processes of the cluster, and then a node, are killed."""

import collections
import importlib.util
import json
import subprocess
import sys

import cv2
import psutil
import pyarrow.parquet as pq
import pytest
from command_line import fer_edge, start
from places import ROOT, SAMPLES
from waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'"),
]
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
    command = ("annotate", folder, "--out", out, "--ray", address, "--json")
    parts = tmp_path / "r.parquet.parts"
    process = start(*command)
    wait_until(lambda: list(parts.glob("part-*")), process=process)
    process.terminate()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130, words
    assert "fer-edge: interrupted" in words
    begun = len(list(parts.glob("part-*")))
    process = start(*command)
    wait_until(lambda: len(list(parts.glob("part-*"))) >= begun + 2, process=process)
    ours = wait_until(lambda: workers_of(nodes), process=process)
    ours[0].parent().kill()  # a process of Ray's, in the middle of a task
    before = len(list(parts.glob("part-*")))
    wait_until(lambda: len(list(parts.glob("part-*"))) > before, process=process)
    wait_until(lambda: workers_of(nodes), process=process)[0].kill()
    before = len(list(parts.glob("part-*")))
    wait_until(lambda: len(list(parts.glob("part-*"))) > before, process=process)
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
    done = fer_edge("annotate", "a.jpg", "--out", "r.parquet", "--ray", "127.0.0.1:9", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "No Ray cluster answers at '127.0.0.1:9'" in done.stderr
    assert "Traceback" not in done.stderr
