"""The recipes of configs/ that run.py trains: what each must reach, and where that number comes from.

target    the least that each seed's evaluation may return (1,000 greedy episodes on fixed evaluation seeds)
source    of the target
evaluate  arguments of the `rollmill evaluate` that counts, where the evaluation that ends a training asks something easier
dataset   a config of `generate` whose dataset the recipe learns from
control   overrides without which the recipe works and with which it must not: the policy without its memory
at_most   what the control may reach: guessing, and four standard deviations
length    of a seed: short (seconds, unless it is said), medium (a minute), long (minutes)
"""
GYMNASIUM = "Gymnasium's reward threshold"
ZOO = "rl-baselines3-zoo, benchmark.md: "
MEMORYLESS = ["policy.memory=none"]
FULL_CUPS = ["--episodes", "10000", "--set", "env.params.swaps=8"]

LENGTHS = ["short", "medium", "long"]

RECIPES = {
    "cartpole_ppo": {"target": 475, "source": GYMNASIUM},
    "acrobot_ppo": {"target": -90, "source": "Gymnasium's reward threshold is -100"},
    "mountain_car_ppo": {"target": -110, "source": GYMNASIUM},
    "mountain_car_continuous_ppo": {"target": 90, "source": GYMNASIUM},
    "pendulum_ppo": {"target": -200, "source": "Gymnasium has none; " + ZOO + "-157 (SAC)"},
    "cartpole_dqn": {"target": 475, "source": GYMNASIUM},
    "acrobot_dqn": {"target": -100, "source": GYMNASIUM},
    "mountain_car_dqn": {"target": -110, "source": GYMNASIUM},
    "pendulum_sac": {"target": -200, "source": ZOO + "-157.0 +- 88.7 after as many steps"},
    "pendulum_td3": {"target": -200, "source": ZOO + "-151.9 +- 90.2 after as many steps"},
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
