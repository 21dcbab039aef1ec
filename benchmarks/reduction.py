"""The price of trainer.reduction = "exact": training throughput with it over that with "fast", on one process and on ranks over Gloo.

    python benchmarks/reduction.py --binary build/release/bin/rollmill

Both train CartPole with the same environments, network, rollout and minibatches, in alternating rounds; T is of a run's updates but the
first. "exact" cuts the environments into trainer.groups = 8 whose gradients are kept apart and added in one order, so that any number of
ranks that divides 8 gives the same bytes (docs/decisions/0005). Ranks are processes of one thread each.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile

import common

CONFIG = """[env]
id = "CartPole-v1"
num_envs = {num_envs}
[policy]
hidden = [{hidden}, {hidden}]
[trainer]
total_steps = {steps}
reduction = "{reduction}"
[ppo]
horizon = {horizon}
[evaluation]
episodes = 0
[checkpoint]
every_seconds = 1e6
[run]
threads = {threads}
tensorboard = false
"""
SCENES = [{"num_envs": 64, "horizon": 32, "hidden": 64, "steps": 1_000_000},
          {"num_envs": 2048, "horizon": 32, "hidden": 64, "steps": 2_600_000},
          {"num_envs": 2048, "horizon": 32, "hidden": 256, "steps": 650_000}]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def throughput(binary, folder, ranks, keys):
    """T of one training, from the end of its first update to the end of its last."""
    config = os.path.join(folder, "run.toml")
    with open(config, "w") as file:
        file.write(CONFIG.format(threads=1, **keys))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        port, processes = free_port(), []
        for rank in range(ranks):
            said = {} if ranks == 1 else {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": ranks,
                                          "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            processes.append(subprocess.Popen([binary, "train", config, "--out", out + "/run", "--quiet"],
                                              env={**os.environ, **{k: str(v) for k, v in said.items()}}))
        if any(code != 0 for code in [process.wait() for process in processes]):
            sys.exit("a training failed")
        with open(out + "/run/metrics.jsonl") as file:
            lines = [json.loads(line) for line in file]
    return (lines[-1]["step"] - lines[0]["step"]) / (lines[-1]["seconds"] - lines[0]["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    facts = common.machine(os.path.abspath(arguments.binary))
    rows, lines = [], [*common.heading("The price of exact reduction", facts),
                       "T of CartPole, environment steps learned from per second; medians of "
                       f"{arguments.rounds} alternating rounds. Ranks over Gloo, one thread each.", "",
                       "| environments x horizon, network | ranks | fast | exact, 8 groups | exact over fast |",
                       "| --- | --- | --- | --- | --- |"]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for scene in SCENES:
            for ranks in arguments.ranks:
                rates = {"fast": [], "exact": []}
                for _ in range(arguments.rounds):
                    for reduction, all_rates in rates.items():
                        all_rates.append(throughput(os.path.abspath(arguments.binary), folder, ranks, {**scene, "reduction": reduction}))
                fast, exact = (statistics.median(rates[reduction]) for reduction in ("fast", "exact"))
                rows.append({**scene, "ranks": ranks, "rates": rates, "ratio": exact / fast})
                lines.append(f"| {scene['num_envs']} x {scene['horizon']}, {scene['hidden']}-{scene['hidden']} | {ranks} | "
                             f"{common.short(fast)} | {common.short(exact)} | {exact / fast:.2f} x |")
                print(lines[-1], flush=True)
    common.write_results("reduction", {"machine": facts, "rows": rows}, lines)


if __name__ == "__main__":
    main()
