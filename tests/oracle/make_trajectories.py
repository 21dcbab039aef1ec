"""Record trajectories of Gymnasium's classic-control tasks for tests/oracle/oracle_test.cc.

    python tests/oracle/make_trajectories.py [OUT]    # gymnasium 1.4.0; default: tests/oracle/data

Writes OUT/<id>.bin, one per task: an ASCII header line, then one zlib stream. The header is

    rollmill-trajectory 1 <id> gymnasium=<version> episodes=E steps=T state=S action=<u1|f4> trig=K

and the stream holds these little-endian arrays one after another, in C order:

    int32   lengths[E]      steps of each episode; their sum is T
    float64 states[T+E][S]  the environment's own state; an episode of n steps has n+1, so its
                            step t goes from its state t to its state t+1
    u1|f4   actions[T]      uint8 for discrete tasks, float32 for continuous ones (one column)
    float32 rewards[T]      float64 in Gymnasium, rounded once
    uint8   flags[T]        1 terminated, 2 truncated (3: both in one step)
    float32 trig[T][K]      the first K observation elements after the step: sines and cosines.
                            The others are not stored: this script asserts that each equals
                            its state component rounded to float32.

Policies differ by episode, so that the state space, the terminations and the time limits are all
covered. Same seeds, same files.
"""

import math
import pathlib
import sys
import zlib

import gymnasium
import numpy as np

MIN_STEPS = 10_000


def cartpole_policy(kind, rng):
    def act(state, t):
        x, v, a, w = state
        balance = int(a + 0.3 * w + 0.02 * x + 0.05 * v > 0)
        drift = int(a + 0.3 * w > 0.06)  # leans on, and so runs off the track
        noisy = balance if rng.random() > 0.3 else int(rng.integers(2))
        return [int(rng.integers(2)), balance, drift, noisy, t % 2 if t < 5 else 1][kind % 5]

    return act


def acrobot_policy(kind, rng):
    def act(state, t):
        _, _, w1, w2 = state
        pump = 2 if w1 < 0 else 0
        spin = 2 if w2 > 0 else 0
        noisy = pump if rng.random() > 0.2 else int(rng.integers(3))
        return [int(rng.integers(3)), pump, spin, noisy, 2 * (t // 20 % 2)][kind % 5]

    return act


def car_policy(kind, rng):
    def act(state, t):
        _, v = state
        pump = 2 if v > 0 else 0
        noisy = pump if rng.random() > 0.3 else int(rng.integers(3))
        return [int(rng.integers(3)), pump, 0, noisy, 2][kind % 5]

    return act


def continuous_car_policy(kind, rng):
    def act(state, t):
        _, v = state
        pump = math.copysign(1.0, v)
        wide = rng.uniform(-1.5, 1.5)  # beyond the action space: clipped, but priced in full
        noisy = 0.6 * pump + rng.normal() * 0.3
        return [rng.uniform(-1, 1), pump, wide + pump, noisy, -0.2][kind % 5]

    return act


def pendulum_policy(kind, rng):
    def act(state, t):
        th, w = state
        norm = (th + math.pi) % (2 * math.pi) - math.pi
        energy = w * w / 2 + 15 * (math.cos(th) - 1)
        swing = -8 * norm - 2 * w if abs(norm) < 0.4 else math.copysign(2.0, -energy * w)
        return [rng.uniform(-2, 2), swing, 2.0, swing + rng.normal(), rng.uniform(-4, 4)][kind % 5]

    return act


# id: (policy, sines and cosines in the observation, state component of each further element)
TASKS = {
    "CartPole-v1": (cartpole_policy, 0, [0, 1, 2, 3]),
    "Acrobot-v1": (acrobot_policy, 4, [2, 3]),
    "MountainCar-v0": (car_policy, 0, [0, 1]),
    "MountainCarContinuous-v0": (continuous_car_policy, 0, [0, 1]),
    "Pendulum-v1": (pendulum_policy, 2, [1]),
}


def record(env_id):
    make_policy, trig_size, rest = TASKS[env_id]
    env = gymnasium.make(env_id, disable_env_checker=True)
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    lengths, states, actions, rewards, flags, trig = [], [], [], [], [], []
    while len(actions) < MIN_STEPS:
        episode = len(lengths)
        act = make_policy(episode, np.random.default_rng([7, episode]))
        env.reset(seed=1000 + episode)
        states.append(np.array(env.unwrapped.state, dtype=np.float64))
        for t in range(10_000):
            choice = act(states[-1], t)
            action = choice if discrete else np.array([choice], dtype=np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            state = np.array(env.unwrapped.state, dtype=np.float64)
            assert np.array_equal(observation[trig_size:], state[rest].astype(np.float32))
            states.append(state)
            actions.append(action if discrete else action[0])
            rewards.append(reward)
            flags.append(int(terminated) + 2 * int(truncated))
            trig.append(observation[:trig_size])
            if terminated or truncated:
                lengths.append(t + 1)
                break
    action_type = "u1" if discrete else "f4"
    arrays = [
        np.array(lengths, "<i4"),
        np.array(states, "<f8"),
        np.array(actions, "<" + action_type),
        np.array(rewards, "<f4"),
        np.array(flags, "u1"),
        np.array(trig, "<f4"),
    ]
    header = (
        f"rollmill-trajectory 1 {env_id} gymnasium={gymnasium.__version__} episodes={len(lengths)} "
        f"steps={len(actions)} state={arrays[1].shape[1]} action={action_type} trig={trig_size}\n"
    )
    ends = np.bincount(arrays[4], minlength=4)
    print(f"{header.strip()} terminated={ends[1]} truncated={ends[2]} both={ends[3]}")
    return header.encode("ascii") + zlib.compress(b"".join(a.tobytes() for a in arrays), 9)


def main():
    default = pathlib.Path(__file__).parent / "data"
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    out.mkdir(parents=True, exist_ok=True)
    for env_id in TASKS:
        (out / f"{env_id}.bin").write_bytes(record(env_id))


if __name__ == "__main__":
    main()
