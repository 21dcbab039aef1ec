"""Training throughput and time to solve of `rollmill train` beside rival trainers, in one go on this machine.

    benchmarks/peers/setup.sh /tmp/peers [a checkout of rl-tools]
    python3 benchmarks/peers/train.py --venv /tmp/peers --binary build/release/bin/rollmill

T is environment steps learned from per second of training: without process start, imports, compilation and evaluation. Ours
is taken from a run's metrics.jsonl, from its first update to its last, with everything on that is on by default (metrics,
event files); a rival only trains. In a setting both sides have the same network, rollout, minibatches, epochs and
coefficients. Rounds alternate; the table shows each side's fastest, for what else runs on a machine only ever slows a side. "ratio" lets each side use the machine as it is fastest (ours: one
thread or two), "1 thread" is ours on one thread over the same rival.

Time to solve is from process start to the end of an evaluation: ours trains to the recipe's end and plays 1,000
greedy episodes, a rival stops as soon as 100 greedy episodes have the return (tried once its training episodes come near it).
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import common  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED_RETURN = 475  # CartPole-v1's own threshold
SOLVE_TIMEOUT = 600  # seconds

COMMON = {"gamma": 0.98, "gae_lambda": 0.9, "clip": 0.2, "value_coefficient": 0.5, "entropy_coefficient": 0.01,
          "max_grad_norm": 0.5, "learning_rate": 1e-3, "epochs": 4, "minibatches": 4, "dtype": "float32"}
CARTPOLE = {**COMMON, "rollmill": "CartPole-v1", "gymnax": "CartPole-v1", "gymnasium": "CartPole-v1", "network": "mlp",
            "hidden": [64, 64], "activation": "tanh"}
# gymnax has neither sticky actions nor MinAtar's endless episodes.
BREAKOUT = {**COMMON, "rollmill": "MinAtar/Breakout-v1", "gymnax": "Breakout-MinAtar", "network": "cnn", "channels": 16,
            "hidden": [128], "activation": "relu", "gamma": 0.99, "gae_lambda": 0.95,
            "more": ["env.params.sticky_probability=0.0", "env.time_limit=1000"]}
# PufferLib's own: cartpole.ini and default.ini of 3.0.0 without its LSTM. It has GELU where we have ReLU, Muon where we have
# Adam, and redraws a segment's advantage for every minibatch (V-trace, prioritised); one layer is one layer.
PUFFER = {**CARTPOLE, "hidden": [128], "activation": "relu", "trunk": "shared", "num_envs": 8192, "horizon": 64, "epochs": 1,
          "minibatches": 16, "gamma": 0.95, "value_coefficient": 2.0, "entropy_coefficient": 0.001, "max_grad_norm": 1.5,
          "learning_rate": 6e-3,  # Adam's; Muon has its own
          "more": ["env.time_limit=200", "ppo.value_clip=0.2"]}
# RLtools' Pendulum setup: src/rl/environments/pendulum/ppo/cpu of rl-tools/rl-tools (4 environments, 1,024 steps each, batches
# of 256, 2 epochs, 75 updates), with the defaults of its PPO and of PyTorch's Adam (lambda 0.95, clip 0.2, no clipping of
# gradients; two ReLU nets of 64-64). It takes the statistics of observations from its first rollout, ours from every one.
RLTOOLS = {**COMMON, "rollmill": "Pendulum-v1", "network": "mlp", "hidden": [64, 64], "activation": "relu", "num_envs": 4,
           "horizon": 1024, "epochs": 2, "minibatches": 16, "gamma": 0.9, "gae_lambda": 0.95, "entropy_coefficient": 0.0,
           "max_grad_norm": 0.0, "more": ["policy.log_std_init=0.6931472", "policy.normalize_observations=true",
                                          "ppo.adam_epsilon=1e-8"]}
RLTOOLS_STEPS = 76 * 4 * 1024  # with the rollout from which it takes the statistics
# Its authors' own measurements (Eschmann et al. 2024, "RLtools"): 300,000 steps on one fast desktop core.
RLTOOLS_FIGURES = [("without BLAS, published, a desktop core", 300e3 / 4.06, None),
                   ("with MKL, published, a desktop core", 300e3 / 0.57, None)]

# (name, settings, [(rival, what differs for it, the ratio we want or None)])
ON_CARTPOLE = [("jax", {}, 4), ("jax", {"dtype": "bfloat16"}, 6), ("cleanrl-style", {}, None), ("sb3", {}, None)]
ON_BREAKOUT = [("jax", {}, 5), ("jax", {"dtype": "bfloat16"}, 5)]
SCENES = [
    ("CartPole, 4 x 128, 64-64", {**CARTPOLE, "num_envs": 4, "horizon": 128}, ON_CARTPOLE),
    ("CartPole, 32 x 64, 64-64", {**CARTPOLE, "num_envs": 32, "horizon": 64}, ON_CARTPOLE),
    ("CartPole, 2048 x 32, 64-64", {**CARTPOLE, "num_envs": 2048, "horizon": 32, "minibatches": 8}, ON_CARTPOLE),
    ("CartPole, 8 seeds of 4 x 128, 64-64", {**CARTPOLE, "num_envs": 4, "horizon": 128, "seeds": 8}, [("jax", {}, None)]),
    ("Breakout, 64 x 128, CNN", {**BREAKOUT, "num_envs": 64, "horizon": 128, "minibatches": 8}, ON_BREAKOUT),
    ("Breakout, 1024 x 16, CNN", {**BREAKOUT, "num_envs": 1024, "horizon": 16, "minibatches": 8}, ON_BREAKOUT),
    ("CartPole of 200 steps, 8192 x 64, one layer of 128", PUFFER, [("pufferlib", {}, 4)]),
    ("Pendulum, 4 x 1024, 64-64, 2 epochs", RLTOOLS, [("rltools", {}, 8)]),
]

# How each is used on CartPole by those who wrote it: PureJaxRL's and CleanRL's defaults, rl-zoo's for Stable-Baselines3. And the
# JAX one with our recipe, which needs fewer steps.
CLEANRL = {**CARTPOLE, "num_envs": 4, "horizon": 128, "learning_rate": 2.5e-4, "gamma": 0.99, "gae_lambda": 0.95,
           "value_clip": 0.2, "total_steps": 500_000}
RECIPE = {**CARTPOLE, "num_envs": 32, "horizon": 32, "epochs": 6, "learning_rate": 2.5e-3, "total_steps": 100_000}
ZOO = {**CARTPOLE, "num_envs": 8, "horizon": 32, "minibatches": 1, "epochs": 20, "gae_lambda": 0.8, "entropy_coefficient": 0.0,
       "total_steps": 100_000}
SOLVERS = [("jax", "PureJaxRL's settings", CLEANRL), ("jax", "our recipe", RECIPE), ("sb3", "rl-zoo's settings", ZOO),
           ("cleanrl-style", "CleanRL's settings", CLEANRL)]
SOLVE_WANTED = 1.0  # seconds, ours


def our_command(arguments, settings, threads, steps, folder):
    s = settings
    keys = {"env.id": s["rollmill"], "env.num_envs": s["num_envs"], "policy.hidden": s["hidden"],
            "policy.activation": s["activation"], "policy.trunk": s.get("trunk", "separate"), "trainer.total_steps": steps,
            "trainer.precision": "bf16" if s["dtype"] == "bfloat16" else "float32",
            "run.threads": threads, "evaluation.episodes": 0}
    if s["network"] == "cnn":
        keys.update({"policy.conv_channels": [s["channels"]], "policy.trunk": "shared"})
    for key in ("horizon", "epochs", "minibatches", "gamma", "gae_lambda", "clip", "value_coefficient", "entropy_coefficient",
                "max_grad_norm", "learning_rate"):
        keys["ppo." + key] = s[key]
    config = os.path.join(folder, "empty.toml")
    open(config, "w").close()
    sets = [*(f"{key}={value}" for key, value in keys.items()), *s.get("more", [])]
    return [arguments.binary, "train", config, "--out", os.path.join(folder, "run"), "--quiet", "--json",
            *(part for text in sets for part in ("--set", text))]


def metrics(run):
    with open(os.path.join(run, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def our_training(arguments, settings, threads, steps):
    """T of one run from its first update to its last, and the return of its latest episodes."""
    with tempfile.TemporaryDirectory() as folder:
        command = our_command(arguments, settings, threads, steps, folder)
        if "seeds" in settings:
            return our_seeds(command, settings["seeds"], os.path.join(folder, "run"))
        common.run(command)
        lines = metrics(os.path.join(folder, "run"))
    first, last = lines[0], lines[-1]
    return {"T": (last["step"] - first["step"]) / (last["seconds"] - first["seconds"]), "return": last["return_mean"]}


def our_seeds(command, seeds, run):
    """Several seeds in one process: T of all of them, from the process's start to its end."""
    start = time.perf_counter()
    common.run([*command, "--seeds", str(seeds)])
    seconds = time.perf_counter() - start
    last = [metrics(os.path.join(run, f"seed_{seed}"))[-1] for seed in range(1, seeds + 1)]
    return {"T": sum(line["step"] for line in last) / seconds, "return": statistics.fmean(line["return_mean"] for line in last)}


class Ours:
    """Trains for about so many seconds, a fresh run each time."""

    def __init__(self, arguments, settings, threads):
        self.arguments, self.settings, self.threads = arguments, settings, threads
        self.batch, self.seeds = settings["num_envs"] * settings["horizon"], settings.get("seeds", 1)
        updates = max(3, 20_000 // self.batch)
        self.rate = our_training(arguments, settings, threads, updates * self.batch)["T"]

    def measure(self, seconds):
        updates = max(3, int(self.rate * seconds / (self.batch * self.seeds)) + 1)
        answer = our_training(self.arguments, self.settings, self.threads, updates * self.batch)
        self.rate = answer["T"]
        return answer

    def close(self):
        pass


def rival_command(arguments, rival):
    """Command and environment of a rival's process."""
    puffer = rival == "pufferlib"
    python = os.path.join(arguments.venv, "puffer/bin/python" if puffer else "bin/python")
    more = {"PYTHONPATH": os.path.join(arguments.venv, "pufferlib")} if puffer else {"JAX_PLATFORMS": "cpu"}
    return [python, os.path.join(HERE, "trainers.py"), rival], {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}


class Rival:
    def __init__(self, arguments, rival, settings, folder):
        command, environment = rival_command(arguments, rival)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*command, json.dumps(settings), "--tune-seconds", str(arguments.seconds / 4)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=folder, env=environment)
        self.facts = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise SystemExit(f"{' '.join(self.process.args[:3])}: no answer\n{self.errors.read()[-2000:].strip()}")
        return json.loads(line)

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def rltools_binary(arguments):
    return os.path.join(arguments.venv, "bin/rltools_pendulum")


class RLtools:
    """Its example as setup.sh compiled it: all of its training each time, on one core."""

    def __init__(self, arguments):
        self.binary = rltools_binary(arguments)
        with open(self.binary + ".txt") as file:
            self.facts = {"versions": {"rl-tools": file.read().strip()}}

    def measure(self, _):
        out = common.run([self.binary])
        found = [re.search(what + r":\s+(\S+)", out) for what in ("Time", "Final return")]
        if None in found:
            raise SystemExit(f"{self.binary} printed no time or no return; its last lines:\n{out[-500:]}")
        seconds, reached = (float(match[1].rstrip("s")) for match in found)
        return {"T": RLTOOLS_STEPS / seconds, "return": reached, "cores": 1.0}

    def close(self):
        pass


def a_rival(arguments, rival, settings, folder):
    return RLtools(arguments) if rival == "rltools" else Rival(arguments, rival, settings, folder)


def measure_scene(arguments, name, settings, rivals, folder):
    """Rows of one setting, from alternating rounds. A rival's precision is ours, too."""
    live = [entry for entry in rivals if entry[0] != "rltools" or os.path.exists(rltools_binary(arguments))]
    if len(live) < len(rivals):
        print(f"RLtools is not measured: {rltools_binary(arguments)} is missing; benchmarks/peers/setup.sh DIR RLTOOLS compiles it",
              file=sys.stderr)
    dtypes = dict.fromkeys({**settings, **change}["dtype"] for _, change, _ in rivals)
    sides = {(threads, dtype): Ours(arguments, {**settings, "dtype": dtype}, threads) for dtype in dtypes for threads in (1, 2)}
    for rival, change, _ in live:
        sides[label(rival, change)] = a_rival(arguments, rival, {**settings, **change}, folder)
    rounds = {side: [] for side in sides}
    for _ in range(arguments.rounds):
        for side, worker in sides.items():
            rounds[side].append(worker.measure(arguments.seconds))
    for worker in sides.values():
        worker.close()
    fastest = {side: max(answer["T"] for answer in answers) for side, answers in rounds.items()}

    def ours(dtype):
        return {"scene": name, "settings": {**settings, "dtype": dtype}, "one": fastest[1, dtype], "two": fastest[2, dtype],
                "our_return": rounds[1, dtype][-1]["return"],
                "rounds": {f"{threads} thread{'s' * (threads > 1)}": [a["T"] for a in rounds[threads, dtype]] for threads in (1, 2)}}

    rows = []
    for rival, change, wanted in live:
        side, row = label(rival, change), ours({**settings, **change}["dtype"])
        row["rounds"][side] = [answer["T"] for answer in rounds[side]]
        rows.append({**row, "rival": side, "T": fastest[side], "wanted": wanted, "one_core": rival == "rltools", **sides[side].facts,
                     "cores": statistics.median(answer["cores"] for answer in rounds[side]), "return": rounds[side][-1]["return"]})
    if any(rival == "rltools" for rival, _, _ in rivals):
        rows += [{**ours(settings["dtype"]), "rival": "RLtools " + what, "T": rate, "wanted": wanted, "cores": 1.0, "one_core": True}
                 for what, rate, wanted in RLTOOLS_FIGURES]
    for row in rows:
        row["ratio_one"] = row["one"] / row["T"]
        row["ratio"] = row["ratio_one"] if row["one_core"] else max(row["one"], row["two"]) / row["T"]
    return rows


def label(rival, change):
    if rival == "rltools":
        return "RLtools without BLAS, its example compiled here"
    return rival + (" " + change["dtype"] if "dtype" in change else " float32" if rival == "jax" else "")


COLUMNS = ("setting", "ours, 1 thread", "ours, 2 threads", "rival", "its T", "cores it used", "ratio", "1 thread", "wanted",
           "returns: ours, its")
HEADER = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]


def verdict(row):
    return "" if row["wanted"] is None else f">= {row['wanted']} x {'met' if row['ratio'] >= row['wanted'] else 'MISSED'}"


def table_line(row):
    notes = [f"{key} {value}" for part in ("versions", "chosen") for key, value in row.get(part, {}).items()]
    rival = row["rival"] + (f" ({', '.join(notes)})" if notes else "")
    known = [f"{value:.1f}" for value in (row["our_return"], row.get("return")) if value is not None]
    return (f"| {row['scene']} | {common.short(row['one'])} | {common.short(row['two'])} | {rival} | {common.short(row['T'])} | "
            f"{row['cores']:.1f} | {row['ratio']:.1f} x | {row['ratio_one']:.1f} x | {verdict(row)} | {', '.join(known)} |")


def solve_ours(arguments, seed):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        report = json.loads(common.run([arguments.binary, "train", os.path.join(common.ROOT, "configs/cartpole_ppo.toml"),
                                        "--seed", str(seed), "--out", os.path.join(folder, "run"), "--quiet", "--json"]))
        seconds = time.perf_counter() - start
    reached = report["evaluation"]["mean_return"]
    return {"seconds": seconds, "steps": report["steps"], "return": reached, "solved": reached >= WANTED_RETURN}


def solve_rival(arguments, rival, settings, seed, folder):
    command, environment = rival_command(arguments, rival)
    start = time.perf_counter()
    out = common.run([*command, json.dumps(settings), "--solve", str(WANTED_RETURN), "--seed", str(seed)], cwd=folder,
                     env=environment, timeout=SOLVE_TIMEOUT)
    report = json.loads(out.strip().splitlines()[-1])
    return {**report, "seconds": time.perf_counter() - start}


def summary(who, runs, wanted=None):
    seconds = statistics.median(run["seconds"] for run in runs)
    parts = {key: statistics.median(run[key] for run in runs) for key in ("import_seconds", "compile_seconds") if key in runs[0]}
    steps = [run["steps"] for run in runs if "steps" in run]
    return {"who": who, "seconds": seconds, **parts, "steps": statistics.median(steps) if steps else None,
            "solved": sum(run["solved"] for run in runs), "of": len(runs), "wanted": wanted, "runs": runs}


def solve_line(row, ours):
    parts = [f"{row[key]:.1f}" if key in row else "" for key in ("import_seconds", "compile_seconds")]
    wanted = "" if row["wanted"] is None else f"<= {row['wanted']} s {'met' if row['seconds'] <= row['wanted'] else 'MISSED'}"
    steps = common.short(row["steps"]) if row["steps"] else ""
    return (f"| {row['who']} | {row['seconds']:.2f} | {' | '.join(parts)} | {steps} | {row['solved']} of {row['of']} | "
            f"{row['seconds'] / ours['seconds']:.1f} x | {wanted} |")


SOLVE_HEADER = ["", f"CartPole-v1 from process start to an evaluated return of {WANTED_RETURN}, medians over the seeds:", "",
                "| who | seconds | of them imports | and compilation | steps | solved | over ours | wanted |",
                "| --- | --- | --- | --- | --- | --- | --- | --- |"]


def measure_solving(arguments, folder, show):
    our_runs, rival_runs = [], {}
    seeds = range(1, 1 + (3 if arguments.quick else 10))
    chosen = [entry for entry in SOLVERS if arguments.only in (None, entry[0])]
    for seed in seeds:
        our_runs.append(solve_ours(arguments, seed))
        if seed <= arguments.rival_seeds:
            for rival, what, settings in chosen:
                rival_runs.setdefault(f"{rival}, {what}", []).append(solve_rival(arguments, rival, settings, seed, folder))
    ours = summary("rollmill, configs/cartpole_ppo.toml", our_runs, SOLVE_WANTED)
    rows = [ours, *(summary(who, runs) for who, runs in rival_runs.items())]
    for row in rows:
        show(solve_line(row, ours))
    return rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", required=True, help="what setup.sh made")
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each single run (default 1)")
    parser.add_argument("--rounds", type=int, default=6, help="the fastest of so many counts (default 6)")
    parser.add_argument("--rival-seeds", type=int, default=3, help="seeds of the rivals' time to solve (default 3; ours: 10)")
    parser.add_argument("--quick", action="store_true", help="one round of half a second, one seed of a rival; nothing written")
    parser.add_argument("--only", metavar="NAME", choices=["jax", "sb3", "cleanrl-style", "pufferlib", "rltools"],
                        help="one rival: jax, sb3, cleanrl-style, pufferlib or rltools; nothing written")
    parser.add_argument("--skip-solve", action="store_true", help="throughput only; nothing written")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    for part, cure in (("bin/python", ""), ("puffer/bin/python", " again")):
        if not os.path.exists(os.path.join(arguments.venv, part)):
            parser.error(f"--venv: {arguments.venv} has no {part}; run benchmarks/peers/setup.sh {arguments.venv}{cure}")
    if not os.path.exists(arguments.binary):
        parser.error(f"--binary: {arguments.binary} does not exist; build it first (./rollmill --version builds it)")
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.rival_seeds = 0.5, 1, 1
    arguments.binary, arguments.venv = os.path.abspath(arguments.binary), os.path.abspath(arguments.venv)
    return arguments


def main():
    arguments = parse()
    facts = {**common.machine(arguments.binary), "seconds": arguments.seconds, "rounds": arguments.rounds}
    lines = common.heading("Training beside rivals", facts)

    def show(text):
        lines.append(text)
        print(text, flush=True)

    print("\n".join(lines))
    show(f"T, environment steps learned from per second; the fastest of {arguments.rounds} alternating rounds of "
         f"{arguments.seconds:g} s. `ratio`: each side on as many cores as help it, RLtools, which uses one core, beside our one "
         "thread; `1 thread`: ours on one thread. Beside JAX in bfloat16 ours is, too (trainer.precision = \"bf16\": dense layers but a first that reads "
         "observations; JAX's rounds everything). JAX's T is "
         "without compilation. The returns are of the latest training "
         "episodes, to show that it learns.")
    for text in ["", *HEADER]:
        show(text)
    rows, solved = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, settings, rivals in SCENES:
            kept = [entry for entry in rivals if arguments.only in (None, entry[0])]
            for row in measure_scene(arguments, name, settings, kept, folder) if kept else []:
                rows.append(row)
                show(table_line(row))
        if not arguments.skip_solve and arguments.only not in ("pufferlib", "rltools"):
            for text in SOLVE_HEADER:
                show(text)
            solved = measure_solving(arguments, folder, show)
    if arguments.no_write or arguments.quick or arguments.only or arguments.skip_solve:
        print("not written" if arguments.no_write else "not written (a part or a quick look only)")
        return
    stem = common.write_results("train-peers", {"machine": facts, "rows": rows, "solve": solved}, lines)
    print(f"written: {stem}.md, .json")


if __name__ == "__main__":
    main()
