"""Record MinAtar's games for tests/oracle/minatar_test.cc.

    python tests/oracle/make_minatar.py steps [GAME ...] [--out DIR]    # minatar 1.0.15, numpy
    python tests/oracle/make_minatar.py random [GAME ...] [--out DIR]   # minutes a game

`steps` writes DIR/minatar_<game>.bin: every step of episodes with difficulty ramping on and off, with the outcome of every
random draw, so that another implementation can be led along the same way. An ASCII header line, then one zlib stream:

    rollmill-minatar 1 <game> minatar=<version> episodes=E steps=T channels=C reset_draws=R draws=K minimal=a,b,...

of these little-endian arrays one after another, in C order:

    int32 lengths[E]        steps of each episode; their sum is T
    uint8 ramping[E]
    int8  reset_draws[E][R] random outcomes of the reset; what they are is said by the game's class below
    uint8 actions[T]        game actions 0..5, as chosen
    uint8 sticky[T]         1: the last action was done instead
    int8  draws[T][K]       random outcomes of the step; all 0 where the game drew nothing
    uint8 rewards[T]
    uint8 terminal[T]
    uint8 planes[T+E][B]    observations, channel by channel, bit i of the 100 C is bit i % 8 of byte i / 8; an episode of
                            n steps has n + 1. Each is xored with the one before it in the episode

The package keeps its last action from one episode to the next; here it is set to "none" at each reset.

`random` plays 10,000 episodes of uniformly random minimal actions (sticky probability 0.1, ramping on: the package's
defaults) and writes DIR/minatar_<game>_random.json: count, mean and standard deviation of returns and lengths.
"""

import argparse
import importlib.metadata
import json
import pathlib
import zlib

import numpy as np
from minatar import Environment

MIN_STEPS = 10_000
RANDOM_EPISODES = 10_000
NONE, LEFT, UP, RIGHT, DOWN, FIRE = range(6)


class LoggedRandom:
    """A RandomState that keeps (method, outcome) of every draw."""

    def __init__(self, seed):
        self.state = np.random.RandomState(seed)
        self.log = []

    def take(self):
        log, self.log = self.log, []
        return log

    def _logged(self, name, *args, **kwargs):
        outcome = getattr(self.state, name)(*args, **kwargs)
        self.log.append((name, np.array(outcome).tolist()))
        return outcome

    def rand(self, *args):
        return self._logged("rand", *args)

    def randint(self, *args, **kwargs):
        return self._logged("randint", *args, **kwargs)


class Game:
    """What the recorder knows of a game: its random outcomes, and a policy that gets far.

    `calls` are the (method, outcome) pairs of one reset, or of one step after the sticky draw.
    """

    reset_draws = 0
    draws = 0
    max_steps = 1000

    def of_reset(self, calls):
        assert not calls
        return []

    def of_step(self, calls):
        assert not calls
        return []

    def act(self, env, rng):
        """A good game action in the state of `env`, the package's inner environment."""
        raise NotImplementedError


class Breakout(Game):
    """Reset: 1 if the ball starts on the right."""

    reset_draws = 1
    max_steps = 400
    edge = False  # bounce the ball off the paddle's edge next time

    def of_reset(self, calls):
        ((name, start),) = calls
        assert name == "randint"
        return [start]

    def act(self, env, rng):
        if env.ball_dir in (0, 1):
            self.edge = rng.random() < 0.5
        step = 1 if env.ball_dir in (1, 2) else -1
        target = env.ball_x + step if self.edge and env.ball_y == 8 else env.ball_x
        return LEFT if target < env.pos else RIGHT if target > env.pos else NONE


GAMES = {"breakout": Breakout}


def pack(state):
    """[10, 10, C] booleans to bytes, channel by channel."""
    return np.packbits(state.transpose(2, 0, 1).ravel(), bitorder="little")


def choose(kind, env, game, rng, minimal):
    """Episodes of kind 0 are random, 1 random among minimal actions, 2 good, 3 good with slips."""
    if kind == 0:
        return int(rng.integers(6))
    if kind == 1:
        return int(rng.choice(minimal))
    if kind == 3 and rng.random() < 0.3:
        return int(rng.integers(6))
    return game.act(env.env, rng)


def record_steps(name):
    game = GAMES[name]()
    env = Environment(name)
    env.random = env.env.random = random = LoggedRandom(7)
    minimal = env.minimal_action_set()
    columns = {
        key: []
        for key in "lengths ramping reset_draws actions sticky draws rewards terminal planes".split()
    }
    while len(columns["actions"]) < MIN_STEPS:
        episode = len(columns["lengths"])
        rng = np.random.default_rng([11, episode])
        env.env.ramping = episode % 2 == 1
        env.last_action = NONE
        env.reset()
        columns["ramping"].append(int(env.env.ramping))
        columns["reset_draws"].append(game.of_reset(random.take()))
        planes = pack(env.state())
        columns["planes"].append(planes)
        done, steps = False, 0
        while not done and steps < game.max_steps:
            action = choose(episode // 2 % 4, env, game, rng, minimal)
            reward, done = env.act(action)
            (first, sample), *calls = random.take()
            assert first == "rand" and int(reward) == reward >= 0
            previous, planes = planes, pack(env.state())
            columns["actions"].append(action)
            columns["sticky"].append(int(sample < env.sticky_action_prob))
            columns["draws"].append(game.of_step(calls) or [0] * game.draws)
            columns["rewards"].append(int(reward))
            columns["terminal"].append(int(done))
            columns["planes"].append(planes ^ previous)
            steps += 1
        columns["lengths"].append(steps)
    header = (
        f"rollmill-minatar 1 {name} minatar={importlib.metadata.version('minatar')} "
        f"episodes={len(columns['lengths'])} steps={len(columns['actions'])} channels={env.n_channels} "
        f"reset_draws={game.reset_draws} draws={game.draws} minimal={','.join(map(str, minimal))}\n"
    )
    types = {"lengths": "<i4", "reset_draws": "i1", "draws": "i1"}
    stream = b"".join(np.array(c, types.get(k, "u1")).tobytes() for k, c in columns.items())
    rewards, ends = sum(columns["rewards"]), sum(columns["terminal"])
    print(f"{header.strip()}: {rewards} rewards, {ends} ends")
    return header.encode("ascii") + zlib.compress(stream, 9)


def play_random(name):
    env = Environment(name)
    env.seed(1)
    rng = np.random.default_rng(2)
    minimal = env.minimal_action_set()
    returns, lengths = [], []
    for _ in range(RANDOM_EPISODES):
        env.last_action = NONE
        env.reset()
        done, total, steps = False, 0, 0
        while not done:
            for index in rng.integers(len(minimal), size=64).tolist():
                reward, done = env.act(minimal[index])
                total += int(reward)
                steps += 1
                if done:
                    break
        returns.append(total)
        lengths.append(steps)
    result = {"game": name, "minatar": importlib.metadata.version("minatar"), "episodes": len(returns)}
    for key, values in (("return", returns), ("length", lengths)):
        result[f"{key}_mean"] = float(np.mean(values))
        result[f"{key}_std"] = float(np.std(values, ddof=1))
    print(result)
    return json.dumps(result, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["steps", "random"])
    parser.add_argument("games", nargs="*", metavar="GAME", help=f"of {', '.join(GAMES)}; default: all")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "data")
    args = parser.parse_args()
    for name in args.games or GAMES:
        if args.what == "steps":
            (args.out / f"minatar_{name}.bin").write_bytes(record_steps(name))
        else:
            (args.out / f"minatar_{name}_random.json").write_text(play_random(name))


if __name__ == "__main__":
    main()
