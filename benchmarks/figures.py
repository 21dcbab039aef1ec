"""Measures the figures that the README quotes and writes them to benchmarks/results/<processor>.json and .md.

    python benchmarks/figures.py --binary build/release/bin/rollmill     (any Python with gymnasium and numpy)

Each figure is the median of several whole runs. The rival runs beside us, on the same machine, in the same call; the
ratio of the two is what counts, since shared machines drift.
"""
import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import common

ROOT = common.ROOT


def run(arguments, **keywords):
    return subprocess.run(arguments, check=True, capture_output=True, text=True, **keywords)


def timed(arguments, cwd):
    start = time.perf_counter()
    output = run(arguments, cwd=cwd).stdout
    return time.perf_counter() - start, output


def environment_speed(binary, repeats):
    """E of every environment on one core, and of CartPole on two; steps per second."""
    rows = {}
    for _ in range(repeats):
        for threads in (1, 2):
            ids = [] if threads == 1 else ["CartPole-v1"]
            output = run([binary, "bench", *ids, "--env-only", "--threads", str(threads), "--seconds", "1", "--json"]).stdout
            for row in json.loads(output):
                rows.setdefault((row["env"], threads), []).append(row["E"])
    return {f"{env}, {threads} thread{'s' if threads > 1 else ''}": statistics.median(values)
            for (env, threads), values in rows.items()}


def rollout_and_training_speed(binary, repeats):
    rows = [json.loads(run([binary, "bench", "CartPole-v1", "--num-envs", "4096", "--threads", "2", "--json"]).stdout)[0]
            for _ in range(repeats)]
    return {key: statistics.median(row[key] for row in rows) for key in ("E", "R", "T")}


def roofline(binary, repeats):
    """How near the passes and a rollout are to what arithmetic alone allows, on one core; medians of whole runs."""
    rows = [json.loads(run([binary, "bench", "CartPole-v1", "--num-envs", "4096", "--roofline", "--json"]).stdout)[0]
            for _ in range(repeats)]
    both = [row["policy_flops"] + row["backward_flops"] for row in rows]
    return {"peak_flops": statistics.median(row["peak_flops"] for row in rows),
            "forward_of_peak": statistics.median(row["forward_alone"] * row["policy_flops"] / row["peak_flops"] for row in rows),
            "both_of_peak": statistics.median(row["forward_and_backward"] * flops / row["peak_flops"] for row, flops in zip(rows, both)),
            "rollout_of_allowed": statistics.median(row["R_fastest"] / row["R_allowed"] for row in rows)}


def gymnasium_vector_speed(repeats):
    """Gymnasium's own NumPy-vectorised CartPole, random actions drawn in advance, autoreset included."""
    import gymnasium
    import numpy

    envs = gymnasium.make_vec("CartPole-v1", num_envs=16384, vectorization_mode="vector_entry_point")
    envs.reset(seed=0)
    actions = numpy.random.default_rng(0).integers(0, 2, (64, 16384))
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for row in actions:
            envs.step(row)
        rates.append(actions.size / (time.perf_counter() - start))
    return statistics.median(rates)


def training_time(binary, repeats, cwd):
    """Process start to a policy evaluated over 1,000 episodes, a new seed each time."""
    seconds, returns = [], []
    for seed in range(1, repeats + 1):
        took, output = timed([binary, "train", os.path.join(ROOT, "configs/cartpole_ppo.toml"), "--seed", str(seed), "--out",
                              f"run{seed}", "--json", "--quiet"], cwd)
        seconds.append(took)
        returns.append(json.loads(output)["evaluation"]["mean_return"])
    return {"median_seconds": statistics.median(seconds), "max_seconds": max(seconds), "returns": returns}


def generation_speed(binary, repeats, cwd):
    rates = []
    for k in range(repeats):
        out = os.path.join(cwd, f"data{k}")
        took, output = timed([binary, "generate", os.path.join(ROOT, "configs/cartpole_dataset.toml"), "--set",
                              "generate.transitions=10000000", "--out", out, "--json", "--quiet"], cwd)
        rates.append(json.loads(output)["transitions"] / took)
        shutil.rmtree(out)
    return statistics.median(rates)


def start_time(binary, arguments, repeats, cwd):
    return statistics.median(timed([binary, *arguments], cwd)[0] for _ in range(repeats))


def measure(binary, repeats):
    with tempfile.TemporaryDirectory() as cwd:
        figures = {
            "processor": common.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(terse=True),
            "build": run([binary, "--version"]).stdout.strip(),
            "steps_per_second": environment_speed(binary, repeats),
            "cartpole_4096_envs_2_threads": rollout_and_training_speed(binary, repeats),
            "roofline": roofline(binary, repeats),
            "cartpole_train": training_time(binary, max(repeats, 5), cwd),
            "generate_transitions_per_second": generation_speed(binary, repeats, cwd),
            "seconds_rollmill_envs": start_time(binary, ["envs"], 10, cwd),
            "seconds_to_first_steps": start_time(
                binary, ["bench", "CartPole-v1", "--env-only", "--num-envs", "16", "--seconds", "0.001"], 10, cwd),
        }
    figures["gymnasium_vector_cartpole"] = gymnasium_vector_speed(repeats)
    figures["ratio_to_gymnasium_vector"] = (figures["steps_per_second"]["CartPole-v1, 1 thread"] /
                                            figures["gymnasium_vector_cartpole"])
    return figures


def million(value):
    return f"{value / 1e6:.1f} M"


def as_markdown(f):
    lines = [f"# Figures on {f['processor']}, {f['cores']} cores", "", f"Build: {f['build']}", "",
             "| figure | measured |", "| --- | --- |"]
    for name, value in f["steps_per_second"].items():
        lines.append(f"| E: environment steps/s, {name}, 65,536 environments | {million(value)} |")
    lines.append(f"| Gymnasium's NumPy-vectorised CartPole, 16,384 environments, same run | "
                 f"{million(f['gymnasium_vector_cartpole'])} |")
    lines.append(f"| ratio, one thread | {f['ratio_to_gymnasium_vector']:.1f} x |")
    row = f["cartpole_4096_envs_2_threads"]
    lines.append(f"| CartPole, 4,096 environments, 2 threads: E / R / T | "
                 f"{million(row['E'])} / {million(row['R'])} / {million(row['T'])} |")
    roof = f["roofline"]
    lines.append(f"| float32 multiply-adds from registers, 1 thread | {roof['peak_flops'] / 1e9:.0f} GFLOP/s |")
    lines.append(f"| 64-64 actor and critic, in the cache: forward / forward and backward, of that peak | "
                 f"{roof['forward_of_peak']:.0%} / {roof['both_of_peak']:.0%} |")
    lines.append(f"| R over what arithmetic and E alone allow, CartPole, 4,096 environments, 1 thread | {roof['rollout_of_allowed']:.0%} |")
    train = f["cartpole_train"]
    lines.append(f"| `train configs/cartpole_ppo.toml`, process start to evaluated, median of {len(train['returns'])} seeds "
                 f"(lowest return {min(train['returns']):.1f}) | {train['median_seconds']:.2f} s |")
    lines.append(f"| `generate`, 10 M CartPole transitions to disk | "
                 f"{million(f['generate_transitions_per_second'])} transitions/s |")
    lines.append(f"| process start to first environment steps | {f['seconds_to_first_steps']:.3f} s |")
    lines.append(f"| `rollmill envs` | {f['seconds_rollmill_envs']:.3f} s |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if importlib.util.find_spec("gymnasium") is None:  # before minutes of measuring
        parser.error("this Python has no gymnasium; use .venv/bin/python after ./rollmill test has set it up")
    figures = measure(os.path.abspath(arguments.binary), arguments.repeats)
    name = re.sub(r"[^a-z0-9]+", "-", figures["processor"].lower()).strip("-")
    stem = os.path.join(ROOT, "benchmarks/results", f"{name}-{figures['cores']}-cores")
    with open(stem + ".json", "w") as file:
        json.dump(figures, file, indent=2)
        file.write("\n")
    with open(stem + ".md", "w") as file:
        file.write(as_markdown(figures))
    sys.stdout.write(as_markdown(figures))


if __name__ == "__main__":
    main()
