"""Why PPO's keys default to what they do: each detail changed alone, over seeds, in several environments.

    python benchmarks/learning/ablation.py --binary build/release/bin/rollmill

Writes benchmarks/results/ablation.md and .json: the mean evaluated return of the seeds with its 95 % interval (bootstrap) for the defaults
and for each change. A change is marked where its interval and the defaults' do not touch. Details: Huang et al. 2022, "The 37 implementation
details of proximal policy optimization".
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import common  # noqa: E402
from run import interval  # noqa: E402

# What is not a detail but a task's own: sizes, discount, length. All else is left to the defaults.
SCENES = {
    "CartPole-v1": {"env.num_envs": 32, "ppo.horizon": 32, "ppo.learning_rate": 1e-3, "ppo.gamma": 0.98, "trainer.total_steps": 100_000},
    "Acrobot-v1": {"env.num_envs": 32, "ppo.horizon": 64, "ppo.learning_rate": 1e-3, "ppo.gamma": 0.99, "trainer.total_steps": 300_000},
    "Pendulum-v1": {"env.num_envs": 32, "ppo.horizon": 64, "ppo.learning_rate": 1e-3, "ppo.gamma": 0.9, "ppo.epochs": 10,
                    "trainer.reward_scale": 0.1, "trainer.total_steps": 300_000},
    "MinAtar/Breakout-v1": {"env.num_envs": 64, "ppo.horizon": 64, "ppo.learning_rate": 2e-3, "policy.activation": "relu",
                            "ppo.entropy_coefficient": 0.01, "trainer.total_steps": 1_000_000},
}
REAL = {"CartPole-v1", "Acrobot-v1", "Pendulum-v1"}  # observations are real numbers: only these can be normalised
CHANGES = [
    {"ppo.anneal_learning_rate": True},
    {"ppo.adam_epsilon": 1e-8},
    {"ppo.normalize_advantages": False},
    {"ppo.value_clip": 0.2},
    {"ppo.value_huber": 1.0},
    {"ppo.max_grad_norm": 0.0},
    {"ppo.clip": 0.1},
    {"ppo.clip": 0.3},
    {"ppo.anneal_clip": True},
    {"ppo.gae_lambda": 1.0},
    {"ppo.gae_lambda": 0.8},
    {"ppo.epochs": 1},
    {"ppo.minibatches": 1},
    {"ppo.entropy_coefficient": 0.01},
    {"ppo.normalize_rewards": True, "trainer.reward_scale": 1.0},
    {"policy.normalize_observations": True},
    {"policy.activation": "relu"},
    {"policy.trunk": "shared"},
    {"policy.hidden_gain": 1.0},
    {"policy.actor_gain": 1.0},
    {"policy.critic_gain": 0.01},
]


def toml(value):
    return json.dumps(value)  # numbers, strings and truth values are written alike


def returns(binary, folder, env, keys, seeds):
    config = os.path.join(folder, "run.toml")
    with open(config, "w") as file:
        file.write(f'[env]\nid = "{env}"\n[run]\ntensorboard = false\n')
    with tempfile.TemporaryDirectory(dir=folder) as out:
        sets = [part for key, value in keys.items() for part in ("--set", f"{key}={toml(value)}")]
        report = json.loads(common.run([binary, "train", config, "--seeds", str(seeds), "--out", out + "/runs", "--json", "--quiet", *sets]))
    return [row["mean_return"] for row in report["seeds"]]


def cell(values, base):
    low, high = interval(values)
    mark = ""
    if base is not None:
        base_low, base_high = interval(base)
        mark = " **better**" if low > base_high else " **worse**" if high < base_low else ""
    return f"{statistics.fmean(values):.1f} [{low:.1f}, {high:.1f}]{mark}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=os.path.join(common.ROOT, "build/release/bin/rollmill"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    facts = common.machine(binary)
    steps = ", ".join(f"{env} {keys['trainer.total_steps']:,}" for env, keys in SCENES.items())
    lines = [*common.heading("PPO's details one by one", facts),
             f"Mean evaluated return of {arguments.seeds} seeds with its 95 % interval; steps: {steps}. First the defaults.", "",
             f"| change | {' | '.join(SCENES)} |", "| --- " * (1 + len(SCENES)) + "|"]
    print("\n".join(lines), flush=True)
    rows, base = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for change in [{}, *CHANGES]:
            cells = []
            for env, keys in SCENES.items():
                idle = any(keys.get(key) == value for key, value in change.items())
                if idle or ("policy.normalize_observations" in change and env not in REAL):
                    cells.append("")
                    continue
                values = returns(binary, folder, env, {**keys, **change}, arguments.seeds)
                base.setdefault(env, values)
                rows.append({"env": env, "change": change, "returns": values})
                cells.append(cell(values, base[env] if change else None))
            name = " ".join(f"`{key} = {toml(value)}`" for key, value in change.items() if key != "trainer.reward_scale")
            lines.append(f"| {name or 'defaults'} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if not arguments.no_write:
        common.write_results("ablation", {"machine": facts, "scenes": SCENES, "rows": rows}, lines, any_machine=True)


if __name__ == "__main__":
    main()
