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
    uint8 terminal[T]       an altered episode (see Game.alter) may go on after it
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

    `calls` are the (method, outcome) pairs of one reset, or of one step after the sticky draw. `alter` may put the game into
    a state that play seldom reaches; where `endless` is set, the end of such an episode is recorded and play goes on.
    """

    reset_draws = 0
    draws = 0
    max_steps = 1000
    kinds = (0, 1, 2, 3)  # of episodes, see `choose`; each with ramping off and on

    def of_reset(self, calls):
        assert not calls
        return []

    def of_step(self, calls):
        assert not calls
        return []

    endless = False

    def alter(self, env, episode):
        """Changes the inner environment after a reset; what it did is added to the reset's draws."""
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


class Asterix(Game):
    """Reset: 1 if the game starts at its fastest. Step, where something spawns: moves right, is gold, which of the empty lanes
    (counted from the top)."""

    reset_draws = 1
    draws = 3
    max_steps = 400

    def alter(self, env, episode):
        self.endless = episode % 4 >= 2
        if self.endless:
            env.spawn_speed = env.move_speed = env.spawn_timer = env.move_timer = 1
        return [int(self.endless)]

    def of_step(self, calls):
        if not calls:
            return []
        (_, right), (_, gold), *lane = calls
        return [int(right < 1 / 2), int(gold < 1 / 3), lane[0][1] if lane else 0]

    def act(self, env, rng):
        """The action that meets no enemy in this step and the next, and is nearest to gold."""

        def danger(x, y):
            thing = env.entities[y - 1]
            if thing is None or thing[3]:
                return 0
            ahead = thing[0] + (1 if thing[2] else -1)
            return 2 * (x == thing[0]) + 2 * (x == ahead) + (abs(x - thing[0]) <= 2)

        def worth(action):
            dx, dy = {LEFT: (-1, 0), RIGHT: (1, 0), UP: (0, -1), DOWN: (0, 1)}.get(action, (0, 0))
            x, y = min(9, max(0, env.player_x + dx)), min(8, max(1, env.player_y + dy))
            gold = [abs(x - g[0]) + abs(y - g[1]) for g in env.entities if g is not None and g[3]]
            return 10 * danger(x, y) + min(gold, default=abs(x - 5) + abs(y - 4))

        return min(rng.permutation([NONE, LEFT, UP, RIGHT, DOWN]).tolist(), key=worth)


class Seaquest(Game):
    """Reset: 0, or 1 if the game starts at its fastest, 2 if with -100 divers, so that one may surface at will.
    Step: the enemy moves right, is a submarine, its row (1-8); the diver moves right, its row; 0 where none comes."""

    reset_draws = 1
    draws = 5
    max_steps = 400

    def alter(self, env, episode):
        self.kind = episode // 2 % 5 % 3
        self.endless = self.kind != 0
        if self.kind == 1:
            env.e_spawn_speed, env.e_spawn_timer, env.move_speed, env.ramp_index = 1, 1, 2, 20
        if self.kind == 2:
            env.diver_count = -100
        return [self.kind]

    def of_step(self, calls):
        assert len(calls) in (0, 2, 3, 5)
        enemy, diver = ([], calls) if len(calls) == 2 else (calls[:3], calls[3:])
        outcome = [0] * 5
        if enemy:
            (_, right), (_, submarine), (_, row) = enemy
            outcome[:3] = [int(right < 1 / 2), int(submarine < 1 / 3), row]
        if diver:
            (_, right), (_, row) = diver
            outcome[3:] = [int(right < 1 / 2), row]
        return outcome

    def act(self, env, rng):
        """Keeps off what is near in its row, fetches divers, surfaces in time, shoots what is ahead."""
        x, y = env.sub_x, env.sub_y
        things = env.e_fish + env.e_subs + env.e_bullets

        def danger(px, py):
            return sum(
                t[1] == py and -1 <= (px - t[0]) * (1 if t[2] else -1) <= 3 for t in things
            )

        if self.kind == 2 and y <= 2 and rng.random() < 0.7:  # up and down
            return UP if y > 0 else DOWN
        up = env.oxygen < 30 + 2 * y or env.diver_count == 6
        goal = (x, 0) if up and env.diver_count != 0 else (4, 5)
        if goal[1] and env.divers and env.diver_count < 6:
            goal = min(((d[0], d[1]) for d in env.divers), key=lambda d: abs(d[0] - x) + abs(d[1] - y))

        def worth(action):
            dx, dy = {LEFT: (-1, 0), RIGHT: (1, 0), UP: (0, -1), DOWN: (0, 1)}.get(action, (0, 0))
            px, py = min(9, max(0, x + dx)), min(8, max(0, y + dy))
            drowns = py == 0 and env.diver_count == 0 and not env.surface
            ahead = any(t[1] == y and (t[0] > x) == env.sub_or for t in env.e_fish + env.e_subs)
            shot = 3 * (action == FIRE and ahead and env.shot_timer == 0)
            return 100 * drowns + 10 * danger(px, py) + abs(px - goal[0]) + abs(py - goal[1]) - shot

        return min(rng.permutation(6).tolist(), key=worth)


class Freeway(Game):
    """Reset, and steps in which the chicken arrives: eight speeds, negative to the left."""

    reset_draws = 8
    draws = 8
    max_steps = 3000  # the game's own end is at 2,501
    kinds = (2, 3)

    def speeds(self, calls):
        (name, speeds), (other, samples) = calls
        assert (name, other) == ("randint", "rand")
        return [s if sample > 0.5 else -s for s, sample in zip(speeds, samples)]

    def of_reset(self, calls):
        return self.speeds(calls)

    def of_step(self, calls):
        return self.speeds(calls) if calls else []

    def act(self, env, rng):
        above = [car for car in env.cars if car[1] == env.pos - 1]
        danger = any((4 - x) * (1 if speed > 0 else -1) in (0, 1, 2) for x, _, _, speed in above)
        return (NONE if rng.random() < 0.8 else DOWN) if danger else UP


class SpaceInvaders(Game):
    """Nothing is random."""

    max_steps = 1200

    def act(self, env, rng):
        bullets = env.e_bullet_map
        if bullets[5:, env.pos].any():  # step aside
            return LEFT if env.pos > 0 and (env.pos == 9 or rng.random() < 0.5) else RIGHT
        columns = [x for x in range(10) if env.alien_map[:, x].any()]
        nearest = min(columns, key=lambda x: abs(x - env.pos))
        if nearest == env.pos or rng.random() < 0.2:
            return FIRE
        step = 1 if nearest > env.pos else -1
        return NONE if bullets[5:, env.pos + step].any() else LEFT if step < 0 else RIGHT


GAMES = {
    "asterix": Asterix,
    "breakout": Breakout,
    "freeway": Freeway,
    "seaquest": Seaquest,
    "space_invaders": SpaceInvaders,
}


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
        outcome = game.of_reset(random.take()) + game.alter(env.env, episode)
        columns["reset_draws"].append(outcome)
        planes = pack(env.state())
        columns["planes"].append(planes)
        done, steps = False, 0
        while not done and steps < game.max_steps:
            kind = game.kinds[episode // 2 % len(game.kinds)]
            action = choose(kind, env, game, rng, minimal)
            reward, done = env.act(action)
            (first, sample), *calls = random.take()
            assert first == "rand" and int(reward) == reward >= 0
            previous, planes = planes, pack(env.state())
            columns["actions"].append(action)
            columns["sticky"].append(int(sample < env.sticky_action_prob))
            columns["draws"].append(game.of_step(calls) or [0] * game.draws)
            columns["rewards"].append(int(reward))
            columns["terminal"].append(int(done))
            if game.endless:
                done = env.env.terminal = False
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
    starts = np.cumsum([0, *columns["lengths"][:-1]])
    best, ends = np.add.reduceat(columns["rewards"], starts).max(), sum(columns["terminal"])
    print(f"{header.strip()}: best return {best}, {ends} ends")
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
