"""Two threads over one, for every environment, on batches from cache-sized to far beyond the last cache.

    python3 benchmarks/scaling.py --binary build/release/bin/rollmill

Runs alternate (one thread, two threads, one, ...); the figure is the median of each pair's ratio. Bytes are those that `bench`
prints: the whole batch and one step's buffers. At least 1.8 is wanted on a machine with two idle cores.
"""
import argparse
import os
import statistics

import common

BATCHES = (4096, 65536, 1048576)
WANTED = 1.8


def measure(binary, env_id, num_envs, threads, seconds, rounds):
    pairs = []
    for _ in range(rounds):
        one = common.bench(binary, env_id, 1, num_envs, seconds, ahead=False)
        many = common.bench(binary, env_id, threads, num_envs, seconds, ahead=False)
        pairs.append((one["E"], many["E"]))
    return {"env": env_id, "num_envs": num_envs, "bytes": one["bytes_per_env"] * num_envs, "one_thread": [p[0] for p in pairs],
            f"{threads}_threads": [p[1] for p in pairs], "ratio": statistics.median(p[1] / p[0] for p in pairs)}


def cell(row, threads):
    one, many = (common.short(statistics.median(row[key])) for key in ("one_thread", f"{threads}_threads"))
    return f"{one} → {many}: **{row['ratio']:.2f}**"


def memory():
    """MiB that are free."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) / 1024


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each single run (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are over so many (default 5)")
    parser.add_argument("--only", metavar="NAME", help="environments whose id contains NAME; written nowhere")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    if not os.path.exists(arguments.binary):
        parser.error(f"--binary: {arguments.binary} does not exist; build it first (./rollmill --version builds it)")
    return arguments


def main():
    arguments = parse()
    binary, threads = os.path.abspath(arguments.binary), arguments.threads
    facts = {**common.machine(binary), "threads": threads, "seconds": arguments.seconds, "rounds": arguments.rounds}
    caches = ", ".join(f"{level} {size}" for level, size in facts["caches"].items())
    columns = " | ".join(f"{n:,}" for n in BATCHES)
    lines = common.heading(f"{threads} threads over one", facts) + [
        f"Environment steps per second, one thread → {threads} threads: ratio, median of {arguments.rounds} pairs of "
        f"{arguments.seconds:g} s, by environments in the batch; wanted: at least {WANTED} for two. Caches of a core: {caches}.", "",
        f"| environment | bytes each | {columns} |", "| --- | --- |" + " --- |" * len(BATCHES)]
    print("\n".join(lines), flush=True)
    rows = []
    for env_id in common.registered(binary):
        if arguments.only and arguments.only not in env_id:
            continue
        each = common.bench(binary, env_id, 1, 4096, 0.01)["bytes_per_env"]
        cells = []
        for num_envs in BATCHES:
            if each * num_envs / 2**20 > memory() / 2:
                cells.append("not enough memory")
                continue
            rows.append(measure(binary, env_id, num_envs, threads, arguments.seconds, arguments.rounds))
            cells.append(cell(rows[-1], threads))
        lines.append(f"| {env_id} | {each} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if arguments.no_write or arguments.only:
        return
    print("written:", common.write_results("scaling", {"machine": facts, "rows": rows}, lines) + ".md, .json")


if __name__ == "__main__":
    main()
