"""The recipes of configs/ that run.py trains: what each must reach, and where that number comes from.

target    the least that each seed's evaluation may return (1,000 greedy episodes on fixed evaluation seeds)
published what the seeds' mean must reach
source    of the published return, with what others published
evaluate  arguments of the `rollmill evaluate` that counts, where the evaluation that ends a training asks something easier
dataset   a config of `generate` whose dataset the recipe learns from
control   overrides without which the recipe works and with which it must not: the policy without its memory
at_most   what the control may reach: guessing, and four standard deviations
length    of a seed: short (seconds, unless it is said), medium (a minute), long (minutes)
"""
ZOO = "rl-baselines3-zoo's benchmark.md (one run), "
CLEANRL = "CleanRL's documentation, "
MEMORYLESS = ["policy.memory=none"]
FULL_CUPS = ["--episodes", "10000", "--set", "env.params.swaps=8"]

LENGTHS = ["short", "medium", "long"]

RECIPES = {
    "cartpole_ppo": {"target": 475, "published": 488.75, "source": CLEANRL + "500 k steps; " + ZOO + "500.0 after as many"},
    "acrobot_ppo": {"target": -75, "published": -73.5, "source": ZOO + "as many steps; " + CLEANRL + "-82.48"},
    "mountain_car_ppo": {"target": -105, "published": -110.4, "source": ZOO + "as many steps; " + CLEANRL + "-200"},
    "mountain_car_continuous_ppo": {"target": 90, "published": 88.3, "source": ZOO + "as many steps"},
    "pendulum_ppo": {"target": -320, "published": -172.2, "source": ZOO + "as many steps"},
    "cartpole_dqn": {"target": 475, "published": 488.69, "source": CLEANRL + "500 k steps; " + ZOO + "500.0 after as many"},
    "acrobot_dqn": {"target": -90, "published": -91.54, "source": CLEANRL + "500 k steps; " + ZOO + "-76.6 after as many"},
    "mountain_car_dqn": {"target": -110, "published": -194.95, "source": CLEANRL + "500 k steps; " + ZOO + "-100.8 after as many"},
    "taxi_dqn": {"target": 7, "source": "Gymnasium's reward threshold is 8, of the best policy 7.9", "length": "medium"},
    "pendulum_sac": {"target": -200, "published": -157.0, "source": ZOO + "as many steps"},
    "pendulum_td3": {"target": -200, "published": -151.9, "source": ZOO + "as many steps"},
    "memory_corridor_ppo": {"target": 0.99, "source": "its expert: 1", "control": MEMORYLESS, "at_most": 0.57},
    "cups_ppo": {"target": 0.99, "source": "its expert: 1", "evaluate": FULL_CUPS, "control": MEMORYLESS, "at_most": 0.36,
                 "length": "medium"},
    # Published for as many steps in figures only; the targets are well above what a policy that never learns can do.
    "minatar_breakout_ppo": {"target": 20, "length": "long"},
    "minatar_space_invaders_ppo": {"target": 100, "length": "long"},
    "minatar_freeway_ppo": {"target": 50, "length": "long"},
    "minatar_seaquest_ppo": {"target": 20, "length": "long"},
    "minatar_asterix_ppo": {"target": 10, "length": "long"},
}
