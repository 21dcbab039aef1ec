"""Steps per second of rollmill's environments beside every rival that has the same game, in one go on this machine.

    benchmarks/peers/setup.sh /tmp/peers
    python3 benchmarks/peers/run.py --venv /tmp/peers --binary build/release/bin/rollmill

Rounds alternate: ours on one thread, ours on two, each rival, and again; the table shows medians over the rounds and the
ratio of ours on one thread to the rival, which may use the whole machine. Both sides get random actions drawn before the clock
starts (a third column has ours drawing them step by step, as a rollout does) and run at the batch size that was fastest for
them in a short trial. A rival's figures of an earlier run can be used again with --rivals-from RESULTS.json.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import common  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OUR_BATCHES = (1024, 4096, 65536)
OURS = {"ours": (1, True), "ours_two_threads": (2, True), "ours_drawing_actions": (1, False)}  # threads, actions ahead

# Our environment: (rival, its name there, the ratio we want or None).
GAMES = {
    "CartPole-v1": [("pufferlib", "cartpole", 10), ("gymnax", "CartPole-v1", None), ("envpool", "CartPole-v1", None),
                    ("gymnasium-numpy", "CartPole-v1", None), ("gymnasium-sync", "CartPole-v1", None)],
    "Pendulum-v1": [("gymnax", "Pendulum-v1", 20), ("envpool", "Pendulum-v1", None), ("gymnasium-sync", "Pendulum-v1", None)],
    "Acrobot-v1": [("gymnax", "Acrobot-v1", 20), ("envpool", "Acrobot-v1", None), ("gymnasium-sync", "Acrobot-v1", None)],
    "MountainCar-v0": [("gymnax", "MountainCar-v0", 20), ("envpool", "MountainCar-v0", None),
                       ("gymnasium-sync", "MountainCar-v0", None)],
    "FrozenLake-v1": [("envpool", "FrozenLake-v1", 100), ("gymnasium-sync", "FrozenLake-v1", None)],
    "FrozenLake8x8-v1": [("envpool", "FrozenLake8x8-v1", 100), ("gymnasium-sync", "FrozenLake8x8-v1", None)],
    "CliffWalking-v1": [("envpool", "CliffWalking-v1", 100), ("gymnasium-sync", "CliffWalking-v1", None)],
    "Taxi-v3": [("envpool", "Taxi-v3", 100), ("gymnasium-sync", "Taxi-v4", None)],
    "Blackjack-v1": [("envpool", "Blackjack-v1", 100), ("gymnasium-sync", "Blackjack-v1", None)],
    "MinAtar/Breakout-v1": [("gymnax", "Breakout-MinAtar", 30), ("minatar", "breakout", 300)],
    "MinAtar/Asterix-v1": [("gymnax", "Asterix-MinAtar", 30), ("minatar", "asterix", 300)],
    "MinAtar/Freeway-v1": [("gymnax", "Freeway-MinAtar", 30), ("minatar", "freeway", 300)],
    "MinAtar/Seaquest-v1": [("gymnax", "Seaquest-MinAtar", 30), ("minatar", "seaquest", 300)],
    "MinAtar/SpaceInvaders-v1": [("gymnax", "SpaceInvaders-MinAtar", 30), ("minatar", "space_invaders", 300)],
}


class Worker:
    """A rival in its own process (rivals.py, puffer/cartpole.c): settings once, then a rate per request."""

    def __init__(self, command, tune_seconds, folder):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*command, str(tune_seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, cwd=folder, env={**os.environ, "JAX_PLATFORMS": "cpu"})
        self.facts = json.loads(self.answer())

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise SystemExit(f"{self.process.args}: no answer\n{self.errors.read()[-2000:].strip()}")
        return line

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self.answer())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start_rival(venv, rival, rival_id, seconds, folder):
    tune_seconds = max(0.1, seconds / 4)
    if rival != "pufferlib":
        command = [os.path.join(venv, "bin/python"), os.path.join(HERE, "rivals.py"), rival, rival_id, "--tune-seconds"]
        return Worker(command, tune_seconds, folder)
    builds = [Worker([os.path.join(venv, "bin", name)], tune_seconds, folder)
              for name in ("puffer_cartpole", "puffer_cartpole_native")]
    builds.sort(key=lambda worker: worker.measure(tune_seconds))
    builds[0].close()
    return builds[1]


def our_batch(binary, env_id, seconds):
    return max(OUR_BATCHES, key=lambda n: common.bench(binary, env_id, 1, n, max(0.1, seconds / 4))["E"])


def earlier(data, env_id, rival):
    for row in data["rows"]:
        if row["env"] == env_id and row["rival"] == rival:
            return row
    return None


def measure_game(arguments, env_id, rivals, cached, folder):
    """Rows of one environment: ours and each rival, in alternating rounds."""
    batch = our_batch(arguments.binary, env_id, arguments.seconds)
    workers = {} if cached else {rival: start_rival(arguments.venv, rival, rival_id, arguments.seconds, folder)
                                 for rival, rival_id, _ in rivals}
    rounds = {**{key: [] for key in OURS}, **{rival: [] for rival in workers}}
    for _ in range(arguments.rounds):
        for key, (threads, ahead) in OURS.items():
            rounds[key].append(common.bench(arguments.binary, env_id, threads, batch, arguments.seconds, ahead)["E"])
        for rival, worker in workers.items():
            rounds[rival].append(worker.measure(arguments.seconds))
    rows = []
    for rival, rival_id, wanted in rivals:
        if cached:
            old = earlier(cached, env_id, rival)
            if old is None:
                continue
            facts = {key: old[key] for key in ("rival_steps_per_second", "rival_rounds", "settings", "versions")}
            facts["rival_measured"] = old.get("rival_measured") or cached["machine"]["date"]
        else:
            facts = {"rival_steps_per_second": statistics.median(rounds[rival]), "rival_rounds": rounds[rival],
                     **workers[rival].facts}
        ours = {key: statistics.median(rounds[key]) for key in OURS}
        rows.append({"env": env_id, "rival": rival, "rival_id": rival_id, "num_envs": batch, **ours, **facts,
                     "ratio": ours["ours"] / facts["rival_steps_per_second"], "wanted": wanted,
                     "our_rounds": {key: rounds[key] for key in OURS}})
    for worker in workers.values():
        worker.close()
    return rows


HEADER = ["| environment | ours, 1 thread | ours, 2 threads | 1 thread, drawing actions | rival | its steps/s | ratio | wanted |",
          "| --- | --- | --- | --- | --- | --- | --- | --- |"]


def table_line(row):
    settings = ", ".join(f"{key} {value}" for key, value in row["settings"].items())
    versions = ", ".join(f"{key} {value}" for key, value in row["versions"].items())
    note = f"; measured {row['rival_measured']}" if "rival_measured" in row else ""
    wanted = "" if row["wanted"] is None else f">= {row['wanted']} x {'met' if row['ratio'] >= row['wanted'] else 'MISSED'}"
    ratio = f"{row['ratio']:,.1f}" if row["ratio"] < 100 else f"{row['ratio']:,.0f}"
    ours = " | ".join(common.short(row[key]) for key in OURS)
    return (f"| {row['env']} | {ours} | "
            f"{row['rival']} ({versions}{'; ' + settings if settings else ''}{note}) | "
            f"{common.short(row['rival_steps_per_second'])} | {ratio} x | {wanted} |")


def select(only, known):
    """The games to run, and why the others are not."""
    chosen, notes = {}, []
    for env_id, rivals in GAMES.items():
        kept = [entry for entry in rivals if not only or only in env_id or only == entry[0]]
        if kept and env_id not in known:
            notes.append(f"Skipped: {env_id}, which `rollmill envs` does not list.")
        elif kept:
            chosen[env_id] = kept
    return chosen, notes


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", help="what setup.sh made")
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each single run (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="medians are over so many (default 5)")
    parser.add_argument("--only", metavar="NAME", help="environments whose id contains NAME, or one rival by its name")
    parser.add_argument("--rivals-from", metavar="FILE", help="measure ours only, take the rivals from this results file")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    if not arguments.venv and not arguments.rivals_from:
        parser.error("--venv DIR is needed (make it with benchmarks/peers/setup.sh DIR), or --rivals-from FILE")
    if arguments.venv and not os.path.exists(os.path.join(arguments.venv, "bin/puffer_cartpole")):
        parser.error(f"--venv: no rivals in {arguments.venv}; run benchmarks/peers/setup.sh {arguments.venv}")
    if not os.path.exists(arguments.binary):
        parser.error(f"--binary: {arguments.binary} does not exist; build it first (./rollmill --version builds it)")
    arguments.binary = os.path.abspath(arguments.binary)
    arguments.venv = arguments.venv and os.path.abspath(arguments.venv)
    return arguments


def main():
    arguments = parse()
    cached = None
    if arguments.rivals_from:
        with open(arguments.rivals_from) as file:
            cached = json.load(file)
    facts = {**common.machine(arguments.binary), "seconds": arguments.seconds, "rounds": arguments.rounds}
    games, notes = select(arguments.only, common.registered(arguments.binary))
    lines = common.heading("Rivals beside rollmill", facts) + [
        f"Environment steps per second, autoreset and observations included; medians of {arguments.rounds} alternating rounds of "
        f"{arguments.seconds:g} s. Ratio: ours on one thread to the rival. minatar, PufferLib and Gymnasium use one core, "
        "gymnax and EnvPool as many as help them.", "", *HEADER]
    print("\n".join(lines), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for env_id, rivals in games.items():
            for row in measure_game(arguments, env_id, rivals, cached, folder):
                rows.append(row)
                lines.append(table_line(row))
                print(lines[-1], flush=True)
    lines += ["", *notes] if notes else []
    print("\n".join(notes))
    if arguments.no_write or arguments.only:
        print("not written (a part only)" if arguments.only else "not written")
        return
    print("written:", common.write_results("peers", {"machine": facts, "rows": rows, "notes": notes}, lines) + ".md, .json")


if __name__ == "__main__":
    main()
