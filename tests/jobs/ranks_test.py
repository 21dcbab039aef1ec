"""Several ranks, by torchrun and without it: same content, same rules for signals and losses.

Needs librollmill_torch.so; skipped, saying so, only in a build with ROLLMILL_TORCH=OFF.
"""

import json
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import time
import unittest

import support
from support import JobTest, assert_same_dataset, assert_same_run, checkpoints, read_json

DATA = """[env]
id = "CartPole-v1"

[generate]
policy = "random"
shard_transitions = 20000
"""
# Guessing succeeds more often than the band allows: the number of swaps rises.
CURRICULUM = """[run]
threads = 1

[env]
id = "Rollmill/CupsOpen-v0"
num_envs = 64

[trainer]
algorithm = "ppo"
total_steps = 60_000
reduction = "exact"

[ppo]
horizon = 64

[curriculum]
kind = "success"
band = [0.2, 0.3]
window = 200
step = 0.2

[curriculum.params]
swaps = [1, 8]

[evaluation]
episodes = 0
"""
TIMEOUT = 10  # seconds, ROLLMILL_TIMEOUT
# Few collectives an update: what is tested is when they are cut off, not how fast they are.
SHORT = [
    "--set",
    "evaluation.episodes=0",
    "--set",
    "trainer.total_steps=200000",
    "--set",
    "checkpoint.every_updates=5",
    "--set",
    "ppo.epochs=2",
    "--set",
    "ppo.minibatches=1",
]


def torch_module():
    here = pathlib.Path(support.binary).resolve().parent
    folders = [here, here.parent / "lib", here.parent / "lib" / "rollmill"]
    chosen = os.environ.get("ROLLMILL_MODULE_DIR")
    return any(
        (folder / "librollmill_torch.so").exists()
        for folder in ([pathlib.Path(chosen)] if chosen else folders)
    )


def torchrun():
    venv = os.environ.get("ROLLMILL_VENV", "")
    beside = (
        pathlib.Path(venv, "bin", "torchrun")
        if venv
        else pathlib.Path(sys.executable).parent / "torchrun"
    )
    return str(beside)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(pid):
    """Processes whose parent is `pid`, by their RANK."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]) != pid:
                continue
            env = dict(
                pair.split("=", 1)
                for pair in (folder / "environ").read_text().split("\0")
                if "=" in pair
            )
            if "rollmill" in os.readlink(folder / "exe"):
                found[int(env["RANK"])] = int(folder.name)
        except (OSError, KeyError, ValueError):
            continue
    return found


class RanksTest(JobTest):
    kept = {}

    def setUp(self):
        if not torch_module():
            raise unittest.SkipTest(
                "librollmill_torch.so is absent: configured with ROLLMILL_TORCH=OFF"
            )
        super().setUp()
        self.recipe = support.recipe("cartpole_ppo.toml")
        self.data = self.write("data.toml", DATA)

    def train(self, out, *more):
        return [
            "train",
            self.recipe,
            "--out",
            self.dir / out,
            "--quiet",
            "--set",
            "run.threads=1",
            *more,
        ]

    def generate(self, out, *more):
        return [
            "generate",
            self.data,
            "--out",
            self.dir / out,
            "--quiet",
            "--set",
            "run.threads=1",
            *more,
        ]

    def start_ranks(self, world, arguments, timeout=TIMEOUT):
        """Without a launcher, as a Slurm wrapper would: each rank's exit code is its own."""
        port = free_port()
        ranks = []
        for rank in range(world):
            env = {
                "RANK": rank,
                "WORLD_SIZE": world,
                "LOCAL_RANK": rank,
                "LOCAL_WORLD_SIZE": world,
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "ROLLMILL_TIMEOUT": timeout,
            }
            ranks.append(support.start(*arguments, env={k: str(v) for k, v in env.items()}))
        self.addCleanup(lambda: [process.kill() for process in ranks if process.poll() is None])
        return ranks

    def run_ranks(self, world, arguments, codes=None):
        results = [support.finish(process) for process in self.start_ranks(world, arguments)]
        self.assertEqual(
            [result.code for result in results], codes or [0] * world, "\n".join(map(str, results))
        )
        return results

    def whole(self):
        """The uninterrupted run of SHORT on two ranks; made once."""
        made = RanksTest.kept.get("whole")
        if made is None:
            keep = tempfile.TemporaryDirectory(prefix="rollmill-job-")
            made = RanksTest.kept["whole"] = pathlib.Path(keep.name, "run")
            RanksTest.kept["folder"] = keep  # removed when the process ends
            self.run_ranks(2, self.train(made, *SHORT))
        return made

    def start_torchrun(self, world, arguments):
        return support.start(
            "--standalone",
            "--no-python",
            "--nproc-per-node",
            world,
            support.binary,
            *arguments,
            program=torchrun(),
            env={"ROLLMILL_TIMEOUT": str(TIMEOUT)},
        )

    def run_torchrun(self, world, arguments):
        result = support.finish(self.start_torchrun(world, arguments))
        self.assertEqual(result.code, 0, str(result))
        return result

    def steps_done(self, out, lines):
        metrics = self.dir / out / "metrics.jsonl"
        return lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= lines


class Torchrun(RanksTest):
    def test_train_reaches_the_score(self):
        self.run_torchrun(2, self.train("run"))
        self.ok("evaluate", self.dir / "run", "--quiet", "--min-return", "475")
        self.assertEqual(
            read_json(checkpoints(self.dir / "run")[-1] / "MANIFEST.json")["world_size"], 2
        )
        self.ok("verify", self.dir / "run", "--quiet")

    def test_sigterm_to_torchrun_preempts_all_ranks(self):
        process = self.start_torchrun(2, self.train("run", *SHORT))
        self.assertTrue(support.wait_until(self.steps_done("run", 10), process))
        process.send_signal(signal.SIGTERM)
        result = support.finish(process)
        self.assertNotEqual(result.code, 0)
        status = read_json(self.dir / "run" / "RUN_STATUS.json")
        self.assertEqual((status["state"], status["exit_code"]), ("preempted", 75), str(result))
        self.no_leftovers(self.dir / "run")
        self.run_torchrun(2, self.train("run", *SHORT, "--resume"))
        assert_same_run(self, self.whole(), self.dir / "run", ranks=2)

    def test_killed_rank_under_torchrun(self):
        process = self.start_torchrun(2, self.train("run", *SHORT))
        self.assertTrue(support.wait_until(self.steps_done("run", 12), process))
        os.kill(children(process.pid)[1], signal.SIGKILL)
        begin = time.monotonic()
        result = support.finish(process)
        self.assertNotEqual(result.code, 0, str(result))
        self.assertLess(time.monotonic() - begin, 3 * TIMEOUT)
        for folder in checkpoints(self.dir / "run"):
            self.ok("verify", folder, "--quiet")
        self.run_torchrun(2, self.train("run", *SHORT, "--resume"))
        assert_same_run(self, self.whole(), self.dir / "run", ranks=2)

    def test_generate(self):
        options = ["--set", "generate.transitions=200000"]
        self.ok(*self.generate("d1", *options))
        self.run_torchrun(3, self.generate("d3", *options))
        assert_same_dataset(self, self.dir / "d1", self.dir / "d3")


class Generate(RanksTest):
    def test_ranks_give_the_same_content(self):
        for name, options in (
            ("t", ["--set", "generate.transitions=200000"]),
            ("e", ["--set", "generate.episodes=5000"]),
            ("one", ["--set", "generate.transitions=1"]),
            ("two", ["--set", "generate.episodes=1000"]),
        ):
            self.ok(*self.generate(f"{name}1", *options))
            for world in (2, 3):
                self.run_ranks(world, self.generate(f"{name}{world}", *options))
                assert_same_dataset(self, self.dir / f"{name}1", self.dir / f"{name}{world}")
        self.ok("replay", self.dir / "t3", "--quiet")

    def test_killed_and_resumed_with_other_numbers_of_ranks(self):
        options = ["--set", "generate.transitions=3000000"]
        self.ok(*self.generate("whole", *options))
        rng = support.seeded(11)
        struck = 0
        for world in (2, 3, 1, 2, 3):
            arguments = self.generate("killed", *options, "--resume")
            ranks = self.start_ranks(world, arguments) if world > 1 else [support.start(*arguments)]
            have = lambda: len(list((self.dir / "killed").glob("shard-*[0-9].h5")))
            before = have()
            support.wait_until(lambda: have() > before + 2, ranks[0])
            time.sleep(rng.uniform(0, 0.02))
            victims = ranks if struck % 2 else ranks[-1:]
            for process in victims:
                process.kill()
            codes = [support.finish(process).code for process in ranks]
            struck += any(code != 0 for code in codes)
            self.assertTrue(set(codes) <= {0, 5, -signal.SIGKILL}, codes)
        self.assertGreaterEqual(struck, 3, "the kills do not strike: it ends before them")
        self.run_ranks(2, self.generate("killed", *options, "--resume"))
        assert_same_dataset(self, self.dir / "whole", self.dir / "killed")

    def test_signal_to_one_rank_stops_all(self):
        options = ["--set", "generate.transitions=1000000000"]  # it never ends by itself
        ranks = self.start_ranks(2, self.generate("d", *options))
        self.assertTrue(support.wait_until((self.dir / "d" / "shard-000003.h5").exists, ranks[0]))
        ranks[1].terminate()
        codes = [support.finish(process).code for process in ranks]
        self.assertEqual(codes, [75, 75])
        self.ok("verify", self.dir / "d", "--quiet")

    def test_errors_are_every_ranks(self):
        (self.dir / "foreign").mkdir()
        (self.dir / "foreign" / "thesis.txt").write_text("precious")
        for make in (self.generate, self.train):
            options = ["--set", "generate.transitions=1000"] if make == self.generate else []
            results = self.run_ranks(2, make("foreign", *options), codes=[4, 4])
            # One line in all: rank 0 reports, the other ends with the same code.
            self.one_line(results[0], 4, "thesis.txt")
            self.assertEqual(results[1].lines(), [])


class Train(RanksTest):
    def test_repeatable(self):
        self.run_ranks(2, self.train("again", *SHORT))
        assert_same_run(self, self.whole(), self.dir / "again", ranks=2)

    def test_exact_reduction(self):
        """trainer.reduction = "exact": the same bytes on 1, 2 and 4 ranks; "fast" is told apart."""
        exact = [
            "--set", "trainer.reduction=exact", "--set", "policy.normalize_observations=true",
            "--set", "ppo.target_kl=0.01", "--set", "evaluation.episodes=0",
            "--set", "trainer.total_steps=40000",
        ]  # fmt: skip
        policies = []
        for world in (1, 2, 4):
            self.run_ranks(world, self.train(f"exact{world}", *exact))
            newest = checkpoints(self.dir / f"exact{world}")[-1]
            policies.append((newest / "policy.safetensors").read_bytes())
        self.assertEqual(policies[0], policies[1])
        self.assertEqual(policies[0], policies[2])
        fast = [text.replace("exact", "fast") for text in exact]
        self.run_ranks(2, self.train("fast", *fast))
        newest = checkpoints(self.dir / "fast")[-1]
        self.assertNotEqual(policies[0], (newest / "policy.safetensors").read_bytes())
        refused = self.run_ranks(3, self.train("three", *exact), codes=[2] * 3)
        self.assertIn("ranks", refused[0].err)

    def test_curriculum(self):
        """A success-rate controller on 1, 2 and 4 ranks: the same difficulty at every update and the same bytes in the end."""
        config = self.write("curriculum.toml", CURRICULUM)
        runs = []
        for world in (1, 2, 4):
            out = self.dir / f"curriculum{world}"
            self.run_ranks(world, ["train", config, "--out", out, "--quiet"])
            lines = (out / "metrics.jsonl").read_text().splitlines()
            newest = checkpoints(out)[-1]
            runs.append(([json.loads(line)["difficulty"] for line in lines], (newest / "policy.safetensors").read_bytes()))
        self.assertGreater(len(set(runs[0][0])), 2, "the difficulty never moved")
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(runs[0], runs[2])

    def test_lost_rank(self):
        """Whichever dies, the other says so in time, and --resume ends with the same weights."""
        for victim in (1, 0):
            out = f"lost{victim}"
            ranks = self.start_ranks(2, self.train(out, *SHORT))
            self.assertTrue(support.wait_until(self.steps_done(out, 12), ranks[0]))
            ranks[victim].kill()
            begin = time.monotonic()
            results = [support.finish(process) for process in ranks]
            self.assertLess(time.monotonic() - begin, 2 * TIMEOUT)
            other = results[1 - victim]
            self.one_line(other, 5, (f"rank {1 - victim} of 2", "collective"))
            self.assertRegex(other.err, f"rank {victim} lost|rendezvous")
            for folder in checkpoints(self.dir / out):
                self.ok("verify", folder, "--quiet")
            self.run_ranks(2, self.train(out, *SHORT, "--resume"))
            assert_same_run(self, self.whole(), self.dir / out, ranks=2)

    def test_late_rank(self):
        ranks = self.start_ranks(2, self.train("run", *SHORT), timeout=8)
        self.assertTrue(support.wait_until(self.steps_done("run", 5), ranks[0]))
        ranks[1].send_signal(signal.SIGSTOP)
        result = support.finish(ranks[0], timeout=60)
        self.one_line(result, 5, ("rank 1 lost or late", "collective"))
        ranks[1].send_signal(signal.SIGCONT)
        self.one_line(support.finish(ranks[1]), 5)

    def test_signal_to_one_rank_stops_all(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            out = f"stopped{code}"
            ranks = self.start_ranks(2, self.train(out, *SHORT))
            self.assertTrue(support.wait_until(self.steps_done(out, 7), ranks[0]))
            ranks[1].send_signal(number)
            self.assertEqual([support.finish(process).code for process in ranks], [code, code])
            self.run_ranks(2, self.train(out, *SHORT, "--resume"))
            assert_same_run(self, self.whole(), self.dir / out, ranks=2)

    def test_other_number_of_ranks_is_refused(self):
        self.run_ranks(2, self.train("run", *SHORT))
        status = self.dir / "run" / "RUN_STATUS.json"
        status.write_text(status.read_text().replace('"done"', '"running"'))
        self.fails(3, *self.train("run", *SHORT, "--resume"), says="2 ranks")

    def test_missing_state_of_a_rank(self):
        """A checkpoint without one rank's state is damaged: the one before is taken."""
        self.run_ranks(2, self.train("run", *SHORT))
        status = self.dir / "run" / "RUN_STATUS.json"
        status.write_text(status.read_text().replace('"done"', '"running"'))
        newest = checkpoints(self.dir / "run")[-1]
        (newest / "state-rank1.h5").unlink()
        results = self.run_ranks(2, self.train("run", *SHORT, "--resume"))
        self.assertTrue(
            re.search(rf"warning: .*{newest.name}.*state-rank1.h5 is missing", results[0].err),
            str(results[0]),
        )
        assert_same_run(self, self.whole(), self.dir / "run", ranks=2)

    def test_indivisible_environments(self):
        ranks = self.start_ranks(3, self.train("run"))
        for process in ranks:
            self.one_line(support.finish(process), 2, "3 ranks")


class OffPolicy(RanksTest):
    """DQN, SAC and TD3 on 1, 2 and 4 ranks: one run, whoever steps its environments."""

    # A moment of each recipe, with checkpoints all the way.
    short = [
        "--set", "env.num_envs=4", "--set", "evaluation.episodes=0",
        "--set", "checkpoint.every_updates=2",
    ]  # fmt: skip
    recipes = {
        "cartpole_dqn": [
            "trainer.total_steps=8000", "dqn.report_every=48", "dqn.updates_per_step=16",
        ],
        "pendulum_sac": ["trainer.total_steps=1200", "env.time_limit=50", "sac.report_every=20"],
        "pendulum_td3": ["trainer.total_steps=1200", "env.time_limit=50", "td3.report_every=20"],
    }  # fmt: skip

    def train(self, recipe, out, *more):
        sets = [part for value in self.recipes[recipe] for part in ("--set", value)]
        arguments = ["train", support.recipe(recipe + ".toml"), "--out", self.dir / out, "--quiet"]
        return [*arguments, "--set", "run.threads=1", *self.short, *sets, *more]

    def test_one_two_and_four_ranks(self):
        for recipe, worlds in (("cartpole_dqn", (1, 2, 4)), ("pendulum_sac", (1, 2)), ("pendulum_td3", (1, 2))):
            runs = []
            for world in worlds:
                out = self.dir / f"{recipe}{world}"
                self.run_ranks(world, self.train(recipe, out.name))
                self.ok("verify", out, "--quiet")
                newest = checkpoints(out)[-1]
                state = support.read_state(newest / "state-rank0.h5")
                # What this rank's environments are is its own.
                shared = {k: v.tobytes() for k, v in state.items() if k not in ("environments", "@num_envs")}
                metrics = list(map(support.without_times, support.read_metrics(out)))
                runs.append(((newest / "policy.safetensors").read_bytes(), shared, metrics))
                for rank in range(1, world):
                    own = support.read_state(newest / f"state-rank{rank}.h5")
                    self.assertNotIn("replay/observations", own)
            self.assertGreater(runs[0][2][-1]["episodes"], 10)
            self.assertGreater(runs[0][2][-1]["gradient_updates"], 100)
            for other in runs[1:]:
                for mine, its in zip(runs[0], other):
                    self.assertEqual(mine, its)

    def test_lost_rank(self):
        """Whichever dies, the other says so in time, and --resume ends as if nothing had been."""
        recipe = "cartpole_dqn"
        self.run_ranks(2, self.train(recipe, "whole"))
        for victim in (1, 0):
            out = f"lost{victim}"
            ranks = self.start_ranks(2, self.train(recipe, out))
            self.assertTrue(support.wait_until(self.steps_done(out, 12), ranks[0]))
            ranks[victim].kill()
            begin = time.monotonic()
            results = [support.finish(process) for process in ranks]
            self.assertLess(time.monotonic() - begin, 2 * TIMEOUT)
            self.one_line(results[1 - victim], 5, (f"rank {1 - victim} of 2", "collective"))
            for folder in checkpoints(self.dir / out):
                self.ok("verify", folder, "--quiet")
            self.run_ranks(2, self.train(recipe, out, "--resume"))
            assert_same_run(self, self.dir / "whole", self.dir / out, ranks=2)

    def test_what_is_refused(self):
        for process in self.start_ranks(3, self.train("cartpole_dqn", "three")):
            self.one_line(support.finish(process), 2, ("env.num_envs", "3 ranks"))
        for process in self.start_ranks(2, self.train("cartpole_dqn", "gpu", "--set", "env.device=cuda")):
            self.one_line(support.finish(process), 2, "env.device")


if __name__ == "__main__":
    support.main()
