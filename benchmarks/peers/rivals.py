"""One rival, measured on command. Started by run.py with the Python of the venv that setup.sh makes.

    python rivals.py gymnax CartPole-v1

tries the settings of the rival (batch sizes, threads), keeps the fastest and prints it as one JSON line; then each line
on standard input, a number of seconds, is answered by a line with the steps per second of that long a run.

Every rival is driven in the way that is kindest to it: random actions are drawn in advance, nothing is stored, and for
gymnax observations are only summed (enough to keep XLA from dropping them). Autoreset is always included.
"""
import argparse
import importlib.metadata
import itertools
import json
import sys
import time

import numpy as np

ACTION_ROWS = 64


def random_actions(space, rows, count):
    """[rows][count] actions of a Gymnasium space (Discrete or one-dimensional Box)."""
    generator = np.random.default_rng(0)
    if hasattr(space, "n"):
        return generator.integers(0, space.n, (rows, count)).astype(np.int32)
    return generator.uniform(space.low, space.high, (rows, count, *space.shape)).astype(np.float32)


class Gymnax:
    """gymnax on JAX: a jitted scan over vmapped autoreset steps, on every core of the machine."""

    packages = ("gymnax", "jax")

    def candidates(self, env_id):
        return [{"batch": n} for n in ((128, 1024, 8192) if "MinAtar" in env_id else (4096, 32768, 262144))]

    def make(self, env_id, batch):
        import gymnax
        import jax
        import jax.numpy as jnp

        env, params = gymnax.make(env_id)
        space = env.action_space(params)
        actions = jax.vmap(lambda key: jax.vmap(space.sample)(jax.random.split(key, batch)))(
            jax.random.split(jax.random.key(1), ACTION_ROWS))

        def step(carry, action):
            key, state, total = carry
            key, step_key = jax.random.split(key)
            observation, state, reward, terminated, truncated, _ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
                jax.random.split(step_key, batch), state, action, params)
            total += observation.sum(dtype=jnp.float32) + reward.sum() + terminated.sum() + truncated.sum()
            return (key, state, total), None

        @jax.jit
        def rollout(carry, actions):
            return jax.lax.scan(step, carry, actions)[0]

        _, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(2), batch), params)
        carry = [(jax.random.key(3), state, jnp.float32(0))]

        def advance():
            carry[0] = jax.block_until_ready(rollout(carry[0], actions))
            return batch * ACTION_ROWS

        return advance


class MinAtar:
    """The `minatar` package: one game, one core, observation made at every step."""

    packages = ("minatar",)

    def candidates(self, env_id):
        return [{}]

    def make(self, env_id):
        import minatar

        env = minatar.Environment(env_id)
        env.seed(0)
        env.reset()
        actions = [int(a) for a in np.random.default_rng(0).integers(0, env.num_actions(), 256)]

        def advance():
            for action in actions:
                _, terminated = env.act(action)
                if terminated:
                    env.reset()
                env.state()
            return len(actions)

        return advance


class EnvPool:
    """EnvPool, every environment in each step (sync) or the first half that is ready (async)."""

    packages = ("envpool",)

    def candidates(self, env_id):
        return [{"num_envs": n, "batch": n // split, "threads": threads}
                for n, split, threads in itertools.product((256, 1024), (1, 2), (1, 2))]

    def make(self, env_id, num_envs, batch, threads):
        import envpool

        env = envpool.make(env_id, env_type="gymnasium", num_envs=num_envs, batch_size=batch, num_threads=threads, seed=0)
        actions = random_actions(env.action_space, ACTION_ROWS, batch)
        row = itertools.cycle(range(ACTION_ROWS))
        env.async_reset()

        def advance():
            for _ in range(8):
                info = env.recv()[4]
                env.send(actions[next(row)], info["env_id"])
            return 8 * batch

        return advance


class GymnasiumSync:
    """Gymnasium's SyncVectorEnv: a Python loop over environments."""

    packages = ("gymnasium",)
    mode = "sync"

    def candidates(self, env_id):
        return [{"num_envs": n} for n in (8, 128)]

    def make(self, env_id, num_envs):
        import gymnasium

        env = gymnasium.make_vec(env_id, num_envs=num_envs, vectorization_mode=self.mode)
        env.reset(seed=0)
        actions = random_actions(env.single_action_space, ACTION_ROWS, num_envs)

        def advance():
            for row in actions:
                env.step(row)
            return actions.shape[0] * num_envs

        return advance


class GymnasiumNumPy(GymnasiumSync):
    """Gymnasium's own NumPy-vectorised CartPole."""

    mode = "vector_entry_point"

    def candidates(self, env_id):
        return [{"num_envs": n} for n in (1024, 16384, 65536)]


RIVALS = {
    "gymnax": Gymnax,
    "minatar": MinAtar,
    "envpool": EnvPool,
    "gymnasium-sync": GymnasiumSync,
    "gymnasium-numpy": GymnasiumNumPy,
}


def rate(advance, seconds):
    steps, elapsed = 0, 0.0
    start = time.perf_counter()
    while elapsed < seconds:
        steps += advance()
        elapsed = time.perf_counter() - start
    return steps / elapsed


def fastest(rival, env_id, seconds):
    """The settings that gave most steps per second, and the function that runs them."""
    best = (0.0, None, None)
    for settings in rival.candidates(env_id):
        advance = rival.make(env_id, **settings)
        advance()  # compiles, fills caches
        advance()
        speed = rate(advance, seconds)
        if speed > best[0]:
            best = (speed, settings, advance)
    return best[1], best[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("env_id")
    parser.add_argument("--tune-seconds", type=float, default=0.3)
    arguments = parser.parse_args()
    rival = RIVALS[arguments.rival]()
    settings, advance = fastest(rival, arguments.env_id, arguments.tune_seconds)
    versions = {package: importlib.metadata.version(package) for package in rival.packages}
    print(json.dumps({"settings": settings, "versions": versions}), flush=True)
    for line in sys.stdin:
        print(rate(advance, float(line)), flush=True)


if __name__ == "__main__":
    main()
