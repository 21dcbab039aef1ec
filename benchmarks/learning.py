"""Reruns the training recipes over several seeds and writes benchmarks/results/learning.md.

    python benchmarks/learning.py --binary build/release/bin/rollmill

A recipe passes when every seed's mean evaluation return (1,000 episodes, greedy, fixed evaluation seeds) reaches its
target. The targets are those of docs: Gymnasium's reward thresholds, or what is published where there is none.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGETS = {
    "cartpole_ppo": 475,
    "acrobot_ppo": -90,
    "mountain_car_ppo": -110,
    "mountain_car_continuous_ppo": 90,
    "pendulum_ppo": -200,
    "cartpole_dqn": 475,
    "pendulum_sac": -200,
    "pendulum_td3": -200,
    "memory_corridor_ppo": 0.99,
}


def train(binary, recipe, seed, folder):
    out = os.path.join(folder, f"{recipe}-{seed}")
    start = time.perf_counter()
    output = subprocess.run(
        [binary, "train", os.path.join(ROOT, "configs", recipe + ".toml"), "--seed", str(seed), "--out", out, "--json", "--quiet"],
        check=True, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - start
    with open(os.path.join(out, "RUN_STATUS.json")) as file:
        steps = json.load(file)["step"]
    report = json.loads(output)["evaluation"]
    return {"return": report["mean_return"], "interval": report["mean_return_95"], "seconds": seconds, "steps": steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipe", action="append", help="only this one; repeatable")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    lines = ["# Training recipes over seeds", "",
             "| recipe | target | mean return of each seed | steps | median seconds |", "| --- | --- | --- | --- | --- |"]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for recipe in arguments.recipe or TARGETS:
            runs = [train(os.path.abspath(arguments.binary), recipe, seed, folder) for seed in range(1, arguments.seeds + 1)]
            lines.append("| {} | {} | {} | {:,} | {:.2f} |".format(
                recipe, TARGETS[recipe], ", ".join(f"{r['return']:.1f}" for r in runs), runs[0]["steps"],
                statistics.median(r["seconds"] for r in runs)))
            print(lines[-1], flush=True)
            failed += [f"{recipe} seed {k + 1}" for k, r in enumerate(runs) if r["return"] < TARGETS[recipe]]
    if not arguments.no_write:
        with open(os.path.join(ROOT, "benchmarks/results/learning.md"), "w") as file:
            file.write("\n".join(lines) + "\n")
    if failed:
        sys.exit("below target: " + ", ".join(failed))


if __name__ == "__main__":
    main()
