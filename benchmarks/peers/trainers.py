"""One rival trainer in its own process. Started by train.py with the Python of the venv that setup.sh makes.

    python trainers.py jax '{"gymnax": "CartPole-v1", ...}'          (settings: train.py)
    python trainers.py jax '{...}' --solve 475

The first form tries what the rival lets one choose (threads, kind of vector environment), keeps the fastest,
and prints it as one JSON line; then each line on standard input, a number of seconds, is answered by a JSON line with the
steps per second of that long a training, the cores it kept busy and the return of its latest episodes. It goes on training
from answer to answer. Imports and compilation lie before the first line.

The second trains until 100 greedy episodes have that mean return, and prints what it took.
"""
import time

START = time.perf_counter()

import argparse  # noqa: E402
import importlib  # noqa: E402
import importlib.metadata  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402

# name: (module, packages whose version matters, what may be chosen)
TORCH_THREADS = [1, 2]
RIVALS = {
    "jax": ("ppo_jax", ("jax", "gymnax"), {}),
    "sb3": ("ppo_sb3", ("stable-baselines3", "torch"), {"threads": TORCH_THREADS}),
    "cleanrl-style": ("ppo_torch", ("torch", "gymnasium"), {"threads": TORCH_THREADS, "envs": ["sync", "numpy"]}),
    "pufferlib": ("ppo_puffer", ("torch", "heavyball"), {"threads": TORCH_THREADS, "backend": ["Serial", "Multiprocessing"]}),
}
EVALUATION_EPISODES = 100
WORTH_EVALUATING = 0.84  # of the return wanted, by the latest training episodes: their actions are sampled, so they do worse


def choices(rival):
    options = RIVALS[rival][2]
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]


def busy_seconds():
    """Of this process and of children that have ended: workers that still run are not in it."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def measure(trainer, seconds):
    steps, elapsed = 0, 0.0
    busy, start = busy_seconds(), time.perf_counter()
    while elapsed < seconds:
        steps += trainer.advance()
        elapsed = time.perf_counter() - start
    return {"T": steps / elapsed, "cores": (busy_seconds() - busy) / elapsed, "return": trainer.recent_return()}


def close(trainer):
    getattr(trainer, "close", lambda: None)()


def fastest(module, rival, settings, seconds):
    best, best_rate = None, 0.0
    for chosen in choices(rival):
        trainer = module.Trainer(settings, **chosen)
        trainer.advance()  # fills caches
        rate = measure(trainer, seconds)["T"]
        if rate > best_rate:
            trainer, best, best_rate = best and best[1], (chosen, trainer), rate
        close(trainer)
    return best


def serve(rival, settings, tune_seconds):
    name, packages, _ = RIVALS[rival]
    module = importlib.import_module(name)
    chosen, trainer = fastest(module, rival, settings, tune_seconds)
    if "threads" in chosen:  # the last one tried has set it for the whole process
        importlib.import_module("torch").set_num_threads(chosen["threads"])
    versions = {package: importlib.metadata.version(package) for package in packages}
    print(json.dumps({"chosen": chosen, "versions": versions, "compile_seconds": trainer.compile_seconds}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(trainer, float(line))), flush=True)
    close(trainer)


def solve(rival, settings, wanted, seed):
    module = importlib.import_module(RIVALS[rival][0])
    imported = time.perf_counter() - START
    batch = settings["num_envs"] * settings["horizon"]
    updates = settings["total_steps"] // batch
    extra = {"updates_per_call": max(1, 8192 // batch)} if rival == "jax" else {}
    trainer = module.Trainer(settings, seed=seed, total_updates=updates, **extra)
    report = {"solved": False, "import_seconds": imported}

    def enough(trainer, steps):
        latest = trainer.recent_return()
        if latest is None or latest < WORTH_EVALUATING * wanted:
            return False
        report["return"], report["steps"] = trainer.evaluate(EVALUATION_EPISODES), steps
        report["solved"] = report["return"] >= wanted
        return report["solved"]

    if hasattr(trainer, "learn_until"):
        trainer.learn_until(enough)
    else:
        steps = 0
        while steps < settings["total_steps"] and not enough(trainer, steps):
            steps += trainer.advance()
    report.update(compile_seconds=trainer.compile_seconds, seconds=time.perf_counter() - START)
    print(json.dumps(report), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--tune-seconds", type=float, default=0.5)
    parser.add_argument("--solve", type=float, metavar="RETURN")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.solve is None:
        serve(arguments.rival, arguments.settings, arguments.tune_seconds)
    else:
        solve(arguments.rival, arguments.settings, arguments.solve, arguments.seed)


if __name__ == "__main__":
    main()
