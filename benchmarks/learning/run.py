"""Reruns the training recipes of configs/ over several seeds and writes benchmarks/results/learning.md and .json.

    python benchmarks/learning/run.py --binary build/release/bin/rollmill

A recipe passes when its seeds' mean reaches a return that others published and every seed its target; a control, the same recipe with its
memory taken away, must miss it. What is published, and where: recipes.py. The interval is of the mean over seeds: 95 %, by bootstrap.
"""
import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import common  # noqa: E402
from recipes import LENGTHS, RECIPES  # noqa: E402

COLUMNS = ("recipe", "published", "mean of the seeds", "95 %", "each seed", "the least allowed", "steps", "median seconds", "control")
HEADER = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]


def interval(values, resamples=10_000):
    """Of the mean, by bootstrap with a fixed seed."""
    rng = random.Random(1)
    means = sorted(statistics.fmean(rng.choices(values, k=len(values))) for _ in range(resamples))
    return means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]


def train(binary, name, seed, folder, overrides=()):
    out = os.path.join(folder, f"{name}-{seed}" + "-control" * bool(overrides))
    sets = [part for text in overrides for part in ("--set", text)]
    start = time.perf_counter()
    report = json.loads(common.run([binary, "train", os.path.join(common.ROOT, "configs", name + ".toml"), "--seed", str(seed),
                                    "--out", out, "--json", "--quiet", *sets]))
    seconds = time.perf_counter() - start
    evaluation = report["evaluation"]
    if "evaluate" in RECIPES[name]:
        evaluation = json.loads(common.run([binary, "evaluate", out, "--json", *RECIPES[name]["evaluate"]]))
    return {"seed": seed, "return": evaluation["mean_return"], "interval": evaluation["mean_return_95"], "seconds": seconds,
            "steps": report["steps"]}


def number(value):
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"


def steps_of(runs):
    least, most = min(r["steps"] for r in runs), max(r["steps"] for r in runs)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def published_text(recipe, mean):
    return "; ".join(f"{who}: {value}" + (" (**not reached**)" if mean < value else "") for who, value in recipe.get("published", {}).items())


def measure(binary, name, seeds, with_control, folder):
    recipe = RECIPES[name]
    runs = [train(binary, name, seed, folder) for seed in range(1, seeds + 1)]
    control = train(binary, name, 1, folder, recipe["control"]) if with_control and "control" in recipe else None
    returns = [r["return"] for r in runs]
    low, high = interval(returns)
    mean = statistics.fmean(returns)
    line = "| {} | {} | {} | [{}, {}] | {} | {} | {} | {:.2f} | {} |".format(
        name, published_text(recipe, mean), number(mean), number(low), number(high), ", ".join(map(number, returns)),
        recipe["target"], steps_of(runs), statistics.median(r["seconds"] for r in runs),
        "" if control is None else f"{number(control['return'])} ({' '.join(recipe['control'])})")
    failed = [f"{name} seed {r['seed']}: {number(r['return'])}" for r in runs if r["return"] < recipe["target"]]
    if "published" in recipe and mean < min(recipe["published"].values()):
        failed.append(f"{name}: {number(mean)} on average, below all that is published")
    if control is not None and control["return"] > recipe["at_most"]:
        failed.append(f"{name}: its control reaches {number(control['return'])}, more than {recipe['at_most']}")
    facts = {key: recipe.get(key) for key in ("target", "published")}
    return {"name": name, **facts, "runs": runs, "control": control}, line, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipe", action="append", choices=RECIPES, metavar="NAME", help="only this one; repeatable")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--long", action="store_true", help="also what takes minutes a seed")
    length.add_argument("--short", action="store_true", help="no controls, and nothing that takes a minute")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    facts = common.machine(binary)
    lines = [*common.heading("Training recipes over seeds", facts), *HEADER]
    print("\n".join(lines), flush=True)
    rows, failed = [], []
    longest = "long" if arguments.long else "short" if arguments.short else "medium"
    names = arguments.recipe or [n for n, r in RECIPES.items()
                                 if LENGTHS.index(r.get("length", "short")) <= LENGTHS.index(longest)]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            row, line, missed = measure(binary, name, arguments.seeds, not arguments.short, folder)
            rows.append(row)
            failed += missed
            lines.append(line)
            print(line, flush=True)
    if not arguments.no_write:
        common.write_results("learning", {"machine": facts, "recipes": rows}, lines, any_machine=True)
    if failed:
        sys.exit("missed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
