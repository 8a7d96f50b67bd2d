"""From the raw data of a run to how many nodes and workers a load needs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_of(subject: str, contender: str, *, operations: int, redis_us: float, worker_us: float, scripts: int) -> dict[str, Any]:
    """Microseconds, scripts and a byte in and out for each of so many operations."""
    return {
        "subject": subject,
        "contender": contender,
        "disturbed": False,
        "neighbours": 0.05,
        "operations": 1,
        "measured": {"requests": operations},
        "server_cpu_s": operations * worker_us / 1e6,
        "redis": {
            "cpu_s": operations * redis_us / 1e6,
            "scripts": operations * scripts,
            "bytes_in": operations,
            "bytes_out": operations,
        },
    }


def test_nodes_and_workers_follow_from_costs(tmp_path: Path):
    on_cluster = "quotad on a cluster of 3 nodes"
    runs = [
        run_of("reserve_settle", "quotad", operations=1_000, redis_us=30, worker_us=60, scripts=1),
        run_of("reserve_settle on a cluster", on_cluster, operations=500, redis_us=120, worker_us=300, scripts=3),
        run_of("quota_read", "quotad", operations=10, redis_us=5, worker_us=25, scripts=1),
        run_of("quota_read on a cluster", on_cluster, operations=10, redis_us=6, worker_us=26, scripts=1),
    ]
    (tmp_path / "raw.json").write_text(json.dumps({"machine": {"commit": "abc1234"}, "runs": runs}))
    command = [sys.executable, "-m", "bench.capacity", "--results", str(tmp_path)]
    page = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "- commit: abc1234" in page
    # A decision is two operations: 60 us of Redis and 120 of a worker, each 60 % busy; on the cluster 240 and 600.
    assert "| 1,000 | 1 | 1 | 0 | 3 | 1 | 0 |" in page
    assert "| 10,000 | 1 | 2 | 0 | 4 | 10 | 0 |" in page
    assert "| 1,000,000 | 100 | 200 | 32 | 400 | 1,000 | 32 |" in page
    assert "bears 10,000 decisions/s, one worker 5,000" in page


def test_a_run_without_a_cluster_says_what_is_missing(tmp_path: Path):
    runs = [run_of("reserve_settle", "quotad", operations=1, redis_us=1, worker_us=1, scripts=1)]
    (tmp_path / "raw.json").write_text(json.dumps({"machine": {}, "runs": runs}))
    command = [sys.executable, "-m", "bench.capacity", "--results", str(tmp_path)]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "take the steps throughput and cluster" in failed.stderr
