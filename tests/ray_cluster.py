"""Ray nodes of one CPU on this machine, for tests and `benchmarks/annotate.py`: writes the address, ends with standard input.

``python ray_cluster.py NODES``; each line of standard input kills a node, but not the head; a process of its own, because Ray leaves threads and signal handlers behind.
"""

import os
import sys

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0")


def main() -> None:
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    others = [cluster.add_node(**node) for _ in range(int(sys.argv[1]) - 1)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cluster.remove_node(others.pop(), allow_graceful=False)
        sys.stdout.write("killed\n")
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    main()
