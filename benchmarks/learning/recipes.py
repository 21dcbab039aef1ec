"""The recipes of configs/ that run.py trains: what each must reach, and where that number comes from.

target    the least that each seed's evaluation may return (1,000 greedy episodes on fixed evaluation seeds)
published mean returns of others: "zoo" is rl-baselines3-zoo's benchmark.md, one run of as many steps; CleanRL's documentation has means of
          three seeds and the steps that are named. One of them the seeds' mean must reach; the table says which it does not
evaluate  arguments of the `rollmill evaluate` that counts, where the evaluation that ends a training asks something easier
dataset   a config of `generate` whose dataset the recipe learns from
control   overrides without which the recipe works and with which it must not: the policy without its memory
at_most   what the control may reach: guessing, and four standard deviations
length    of a seed: short (seconds, unless it is said), medium (a minute), long (minutes)
"""
MEMORYLESS = ["policy.memory=none"]
FULL_CUPS = ["--episodes", "10000", "--set", "env.params.swaps=8"]

LENGTHS = ["short", "medium", "long"]

RECIPES = {
    "cartpole_ppo": {"target": 475, "published": {"zoo": 500.0, "CleanRL, 500 k": 488.75}},
    "acrobot_ppo": {"target": -75, "published": {"zoo": -73.5, "CleanRL, 500 k": -82.48}},
    "mountain_car_ppo": {"target": -105, "published": {"zoo": -110.4, "CleanRL, 500 k": -200.0}},
    "mountain_car_continuous_ppo": {"target": 90, "published": {"zoo": 88.3}},
    "pendulum_ppo": {"target": -320, "published": {"zoo": -172.2}},
    "cartpole_dqn": {"target": 475, "published": {"zoo": 500.0, "CleanRL, 500 k": 488.69}},
    "acrobot_dqn": {"target": -90, "published": {"zoo": -76.6, "CleanRL, 500 k": -91.54}},
    "mountain_car_dqn": {"target": -110, "published": {"zoo": -100.8, "CleanRL, 500 k": -194.95}},
    "taxi_dqn": {"target": 7, "length": "medium"},
    "pendulum_sac": {"target": -200, "published": {"zoo": -157.0}},
    "pendulum_td3": {"target": -200, "published": {"zoo": -151.9}},
    "memory_corridor_ppo": {"target": 0.99, "control": MEMORYLESS, "at_most": 0.57},
    "cups_ppo": {"target": 0.99, "evaluate": FULL_CUPS, "control": MEMORYLESS, "at_most": 0.36,
                 "length": "medium"},
    # Published for as many steps in figures only; the targets are well above what a policy that never learns can do.
    "minatar_breakout_ppo": {"target": 20, "length": "long"},
    "minatar_space_invaders_ppo": {"target": 100, "length": "long"},
    "minatar_freeway_ppo": {"target": 50, "length": "long"},
    "minatar_seaquest_ppo": {"target": 20, "length": "long"},
    "minatar_asterix_ppo": {"target": 10, "length": "long"},
}
