#!/usr/bin/env python3
"""Records what Gymnasium's toy text environments do, with the random outcomes: python make_toy_text.py (gymnasium==1.4.0).

Writes data/toy_text_*.txt.z: zlib of text, which toy_text_test.cc follows through apply(). Lines:
  variant ID param=value ...        parameters by our names; those left out have our defaults
  reset WORD...                     our state words of an episode's first state
  ACTION DRAW... : OBSERVATION... : REWARD FLAGS [EXTRA]
DRAW: FrozenLake, CliffWalking: which of the three ways; Taxi: that, and what is added to the destination (1 if nothing is);
Blackjack: the cards drawn. FLAGS: 1 terminated, 2 truncated. EXTRA: Taxi: action mask; Blackjack: points and ace of the dealer.
"""
import pathlib
import zlib

import gymnasium
import numpy as np
from gymnasium.envs.toy_text import blackjack, cliffwalking, frozen_lake, taxi

STEPS = 12000
outcome = 0  # index that categorical_sample returned last
cards = []  # drawn since the list was emptied


def recorded(sample):
    def wrapper(probabilities, rng):
        global outcome
        index = int(sample(probabilities, rng))
        outcome = index if len(probabilities) > 1 else None
        return index

    return wrapper


def recorded_card(draw):
    def wrapper(rng):
        cards.append(draw(rng))
        return cards[-1]

    return wrapper


for module in (frozen_lake, cliffwalking, taxi):
    module.categorical_sample = recorded(module.categorical_sample)
blackjack.draw_card = recorded_card(blackjack.draw_card)


def row(action, draws, observations, reward, terminated, truncated, *extra):
    words = lambda values: " ".join(str(int(v)) for v in values)
    number = repr(float(reward)).removesuffix(".0")
    flags = int(terminated) + 2 * int(truncated)
    return f"{action} {words(draws)} : {words(observations)} : {number} {flags} {words(extra)}".rstrip()


def rollout(make, start, act, line, seed):
    """`make(episode)` gives the environment of an episode."""
    rng = np.random.default_rng(seed)
    lines, steps, episode = [], 0, 0
    while steps < STEPS:
        env = make(episode)
        observation, info = env.reset(seed=int(rng.integers(1 << 31)))
        lines.append("reset " + " ".join(str(int(w)) for w in start(env.unwrapped, observation)))
        done = False
        while not done and steps < STEPS:
            before = observation
            cards.clear()
            action = act(env.unwrapped, rng, info)
            observation, reward, terminated, truncated, info = env.step(action)
            lines.append(line(env.unwrapped, action, before, observation, reward, terminated, truncated, info))
            done = terminated or truncated
            steps += 1
        episode += 1
    return lines


def any_action(env, rng, _):
    return int(rng.integers(env.action_space.n))


# ---- FrozenLake, CliffWalking
def turn():
    return 1 if outcome is None else outcome


def grid_line(env, action, _, observation, reward, terminated, truncated, info):
    return row(action, [turn()], [observation], reward, terminated, truncated)


def lake_start(env, observation):
    holes = sum(1 << i for i, c in enumerate(env.desc.ravel()) if c == b"H")
    return [observation, holes & 0xFFFFFFFF] + ([holes >> 32] if env.desc.size > 32 else [])


def lake(out, env_id, params="", maps=None, **options):
    env_maker = lambda desc=None: gymnasium.make(env_id, **options, **({} if desc is None else {"desc": desc}))
    fixed = None if maps else env_maker()
    make = (lambda k: env_maker(frozen_lake.generate_random_map(*maps, seed=k))) if maps else (lambda k: fixed)
    out.append(f"variant {env_id} {params}".rstrip())
    out += rollout(make, lake_start, any_action, grid_line, len(out))


def frozen_lakes():
    out = []
    for env_id in ("FrozenLake-v1", "FrozenLake8x8-v1"):
        lake(out, env_id)
        lake(out, env_id, "is_slippery=0", is_slippery=False)
    lake(out, "FrozenLake-v1", "success_rate=0.75 goal_reward=2.5 hole_reward=-1.25 frozen_reward=-0.125",
         success_rate=0.75, reward_schedule=(2.5, -1.25, -0.125))
    lake(out, "FrozenLake-v1", "random_map=1", maps=(4, 0.8))
    lake(out, "FrozenLake8x8-v1", "random_map=1 frozen_probability=0.7", maps=(8, 0.7))
    return out


def cliffs():
    out = []
    for slippery in (0, 1):
        env = gymnasium.make("CliffWalking-v1", is_slippery=bool(slippery))
        out.append(f"variant CliffWalking-v1 is_slippery={slippery}")
        out += rollout(lambda k: env, lambda e, o: [o], any_action, grid_line, slippery)
    return out


# ---- Taxi
def taxi_start(env, observation):
    row_, column, passenger, destination = env.decode(observation)
    return [row_ * 5 + column, passenger, destination, env.fickle_step]


def taxi_plan(env):
    """Best actions by value iteration over the table of transitions."""
    values, best = np.zeros(500), [0] * 500
    for _ in range(60):
        for s in range(500):
            returns = [sum(p * (r + (0 if end else 0.99 * values[n])) for p, n, r, end in env.P[s][a]) for a in range(6)]
            best[s] = int(np.argmax(returns))
            values[s] = returns[best[s]]
    return best


def taxi_action(plan):
    """Episodes shall get on, and meet everything on their way: two in five actions are random."""
    return lambda env, rng, info: plan[env.s] if rng.random() < 0.6 else any_action(env, rng, info)


def taxi_line(env, action, before, observation, reward, terminated, truncated, info):
    change = (env.decode(observation)[3] - env.decode(before)[3]) % 4
    mask = sum(int(bit) << k for k, bit in enumerate(info["action_mask"]))
    way = 0 if outcome is None else outcome
    return row(action, [way, change or 1], [observation], reward, terminated, truncated, mask)


def taxis():
    out = []
    for k, (rainy, fickle, rain, change) in enumerate(
            [(0, 0, 0.8, 0.3), (1, 0, 0.8, 0.3), (0, 1, 0.8, 0.75), (1, 1, 0.5, 1.0), (0, 0, 0.8, 0.3)]):
        env = gymnasium.make("Taxi-v4", is_rainy=bool(rainy), fickle_passenger=bool(fickle), rainy_probability=rain,
                             fickle_probability=change)
        out.append(f"variant Taxi-v3 is_rainy={rainy} fickle_passenger={fickle} rainy_probability={rain} "
                   f"fickle_probability={change}")
        # The last variant is random throughout, so that some episodes reach the time limit.
        act = any_action if k == 4 else taxi_action(taxi_plan(env.unwrapped))
        out += rollout(lambda _: env, taxi_start, act, taxi_line, k)
    return out


# ---- Blackjack
def blackjack_start(env, _):
    points, ace = sum(env.player), 1 in env.player
    return [points, ace, len(env.player), env.dealer[0], sum(env.dealer), 1 in env.dealer]


def blackjack_line(env, action, _, observation, reward, terminated, truncated, info):
    return row(action, cards, observation, reward, terminated, truncated, sum(env.dealer), 1 in env.dealer)


def blackjacks():
    out = []
    for natural, sab in ((0, 1), (0, 0), (1, 0)):
        env = gymnasium.make("Blackjack-v1", natural=bool(natural), sab=bool(sab))
        out.append(f"variant Blackjack-v1 natural={natural} sab={sab}")
        out += rollout(lambda _: env, blackjack_start, any_action, blackjack_line, 2 * natural + sab)
    return out


if __name__ == "__main__":
    if gymnasium.__version__ != "1.4.0":
        raise SystemExit(f"make_toy_text.py: gymnasium 1.4.0 is wanted, this is {gymnasium.__version__}")
    folder = pathlib.Path(__file__).parent / "data"
    for name, lines in (("frozen_lake", frozen_lakes()), ("cliff_walking", cliffs()), ("taxi", taxis()),
                        ("blackjack", blackjacks())):
        packed = zlib.compress("".join(line + "\n" for line in lines).encode(), 9)
        (folder / f"toy_text_{name}.txt.z").write_bytes(packed)
        print(f"{name}: {len(lines)} lines, {len(packed)} bytes")
