"""The price of exactness: the same environments compiled with fast-math and FMA contraction, beside ours.

    python3 benchmarks/exactness.py

builds three copies of the program below build/exactness/ and measures every registered environment in alternating rounds:
  exact     as it is shipped
  fast      -ffast-math -ffp-contract=fast: the compiler may also drop the rounding steps that core/math relies on
  kept      the same with -fno-associative-math, which keeps them
A build that computes wrong sines may be fast and useless, so a random policy's mean return is compared too; where it
differs from the exact build's by more than chance, the game is no longer the same and its speed says little.
"""
import argparse
import json
import os
import shutil
import statistics
import sys

import common

FLAGS = {"exact": "", "fast": "-ffast-math;-ffp-contract=fast",
         "kept": "-ffast-math;-fno-associative-math;-ffp-contract=fast"}
WANTED = 1.15


def build(folder, jobs):
    """Binaries by name. Only the environments' sources differ, so ccache has the rest after the first build."""
    cmake = shutil.which("cmake") or os.path.join(common.ROOT, ".venv/bin/cmake")
    environment = {**os.environ, "CCACHE_BASEDIR": common.ROOT, "CCACHE_NOHASHDIR": "1"}
    binaries = {}
    for name, flags in FLAGS.items():
        target = os.path.join(folder, name)
        print(f"building {name} in {target}", file=sys.stderr, flush=True)
        common.run([cmake, "--preset", "cpu-only", "-B", target, "-DROLLMILL_TESTS=OFF", f"-DROLLMILL_INEXACT={flags}"],
                   cwd=common.ROOT, env=environment)
        common.run([cmake, "--build", target, "--target", "rollmill", "--parallel", str(jobs)], env=environment)
        binaries[name] = os.path.join(target, "bin/rollmill")
    return binaries


def returns(binary, env_id, episodes):
    """Mean return of a random policy and its 95 % interval."""
    report = json.loads(common.run([binary, "evaluate", "random", "--env", env_id, "--episodes", str(episodes), "--json"]))
    return report["mean_return"], report["mean_return_95"]


def overlap(a, b):
    return a[0] <= b[1] and b[0] <= a[1]


def measure(binaries, env_id, arguments):
    rates = {name: [] for name in binaries}
    for _ in range(arguments.rounds):
        for name, binary in binaries.items():
            rates[name].append(common.bench(binary, env_id, 1, arguments.num_envs, arguments.seconds)["E"])
    row = {"env": env_id, "rounds": rates, "E": {name: statistics.median(values) for name, values in rates.items()}}
    row["returns"] = {name: returns(binary, env_id, arguments.episodes) for name, binary in binaries.items()}
    exact = row["returns"]["exact"][1]
    row["same_game"] = {name: overlap(exact, interval) for name, (_, interval) in row["returns"].items()}
    # Of each round, then the median: neighbours in time share the machine's mood.
    row["price"] = {name: statistics.median(fast / ours for fast, ours in zip(rates[name], rates["exact"]))
                    for name in binaries if name != "exact"}
    return row


def table_line(row):
    cells = [row["env"], common.short(row["E"]["exact"])]
    for name, price in row["price"].items():
        broken = "" if row["same_game"][name] else f" (another game: mean return {row['returns'][name][0]:.4g})"
        cells += [common.short(row["E"][name]), f"{price:.2f}{broken}"]
    return f"| {' | '.join(cells)} | {row['returns']['exact'][0]:.4g} |"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=os.path.join(common.ROOT, "build/exactness"))
    parser.add_argument("--jobs", type=int, default=common.cores(), help="of the builds")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each single run (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are over so many (default 5)")
    parser.add_argument("--num-envs", type=int, default=4096)
    parser.add_argument("--episodes", type=int, default=2000, help="of the random policy")
    parser.add_argument("--only", metavar="NAME", help="environments whose id contains NAME; written nowhere")
    parser.add_argument("--no-write", action="store_true", help="print only")
    return parser.parse_args()


def main():
    arguments = parse()
    binaries = build(os.path.abspath(arguments.build_dir), arguments.jobs)
    facts = {**common.machine(binaries["exact"]), "seconds": arguments.seconds, "rounds": arguments.rounds, "flags": FLAGS}
    lines = common.heading("The price of exactness", facts) + [
        f"Environment steps per second, one thread, {arguments.num_envs:,} environments, random actions drawn ahead; price: rate of the "
        f"inexact build over the exact one's, median of {arguments.rounds} alternating rounds of {arguments.seconds:g} s; wanted: at "
        f"most {WANTED}. fast: `{FLAGS['fast'].replace(';', ' ')}`; kept: `{FLAGS['kept'].replace(';', ' ')}`.", "",
        "| environment | exact | fast | price | kept | price | random policy's return |",
        "| --- | --- | --- | --- | --- | --- | --- |"]
    print("\n".join(lines), flush=True)
    rows = []
    for env_id in common.registered(binaries["exact"]):
        if arguments.only and arguments.only not in env_id:
            continue
        rows.append(measure(binaries, env_id, arguments))
        lines.append(table_line(rows[-1]))
        print(lines[-1], flush=True)
    if arguments.no_write or arguments.only:
        return
    print("written:", common.write_results("exactness", {"machine": facts, "rows": rows}, lines) + ".md, .json")


if __name__ == "__main__":
    main()
