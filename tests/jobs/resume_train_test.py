"""Training that is killed, stopped or run on other thread counts ends with the very same bytes."""

import shutil
import signal
import time

import support
from support import (
    FOLDER_CODE,
    JobTest,
    assert_same_run,
    checkpoints,
    final_policy,
    read_json,
    run_killed,
    seeded,
)

CARTPOLE = ["--quiet", "--set", "evaluation.episodes=0", "--set", "trainer.total_steps=120000"]
PENDULUM = [
    "--quiet",
    "--set",
    "evaluation.episodes=0",
    "--set",
    "trainer.total_steps=60000",
    "--set",
    "ppo.epochs=4",
]


class ResumeTrain(JobTest):
    def train(self, recipe, options, out, *more):
        return ["train", support.recipe(recipe), "--out", self.dir / out, *options, *more]

    def baseline(self, recipe, options, out="whole"):
        begin = time.monotonic()
        self.ok(*self.train(recipe, options, out))
        return time.monotonic() - begin

    def kill_until_done(self, arguments, out, rng, longest, kills):
        """Kills with SIGKILL `kills` times at most, then lets it end. Returns how many struck."""
        struck = 0
        for _ in range(kills):
            result = run_killed(rng.uniform(0, longest), *arguments, "--resume")
            if result.code == 0:
                return struck
            self.assertEqual(result.code, -signal.SIGKILL, str(result))
            struck += 1
        self.ok(*arguments, "--resume")
        self.no_leftovers(self.dir / out)
        return struck

    def kill_many(self, recipe, options, wanted, seed):
        longest = self.baseline(recipe, options)
        rng = seeded(seed)
        struck = series = 0
        while struck < wanted:
            out = f"killed{series}"
            every = [1, 4, 9][series % 3]
            more = ["--set", f"checkpoint.every_updates={every}"]
            arguments = self.train(recipe, options, out, *more)
            struck += self.kill_until_done(
                arguments, out, rng, 0.7 * longest, min(8, wanted - struck)
            )
            assert_same_run(self, self.dir / "whole", self.dir / out)
            shutil.rmtree(self.dir / out)
            series += 1
            self.assertLess(series, 20 * wanted, "the kills do not strike: it ends before them")

    def test_killed_at_random_moments(self):
        self.kill_many("cartpole_ppo.toml", CARTPOLE, 200 if support.soak else 21, seed=1)

    def test_killed_with_continuous_actions_and_a_normaliser(self):
        self.kill_many("pendulum_ppo.toml", PENDULUM, 60 if support.soak else 6, seed=2)

    def test_killed_with_early_stop_and_value_clip(self):
        options = [*CARTPOLE, "--set", "ppo.target_kl=0.01", "--set", "ppo.value_clip=0.5"]
        self.kill_many("cartpole_ppo.toml", options, 60 if support.soak else 4, seed=3)

    def stop_by(self, number, code):
        """A signal in the middle: checkpoint, exit code; --resume ends as if nothing had been."""
        options = [
            *CARTPOLE,
            "--set",
            "trainer.total_steps=400000",  # time enough for a signal that comes late
            "--set",
            "checkpoint.every_seconds=1000",
        ]  # only the signal writes a checkpoint
        self.baseline("cartpole_ppo.toml", options)
        arguments = self.train("cartpole_ppo.toml", options, "stopped")
        metrics = self.dir / "stopped" / "metrics.jsonl"
        lines = lambda: metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        for more in (1, 15):
            before = lines()
            process = support.start(*arguments, "--resume")
            moved = lambda: lines() >= before + more
            self.assertTrue(support.wait_until(moved, process))
            process.send_signal(number)
            result = support.finish(process)
            self.assertEqual(result.code, code, str(result))
            status = read_json(self.dir / "stopped" / "RUN_STATUS.json")
            self.assertEqual((status["state"], status["exit_code"]), ("preempted", code))
            self.no_leftovers(self.dir / "stopped")
            steps = int(checkpoints(self.dir / "stopped")[-1].name[5:])
            self.assertEqual(support.read_metrics(self.dir / "stopped")[-1]["step"], steps)
        refused = support.run(*arguments)
        self.one_line(refused, FOLDER_CODE, "--resume")
        self.ok(*arguments, "--resume")
        assert_same_run(self, self.dir / "whole", self.dir / "stopped")

    def test_sigterm_is_75_and_resumable(self):
        self.stop_by(signal.SIGTERM, 75)

    def test_sigint_is_130_and_resumable(self):
        self.stop_by(signal.SIGINT, 130)

    def test_second_signal_leaves_at_once(self):
        # One update of this takes many seconds: the first signal cannot be obeyed before it ends.
        slow = [
            "--set",
            "env.num_envs=4096",
            "--set",
            "ppo.horizon=1024",
            "--set",
            "ppo.epochs=50",
            "--set",
            "trainer.total_steps=100000000",
        ]
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            out = self.dir / f"slow{code}"
            process = support.start(
                "train", support.recipe("cartpole_ppo.toml"), "--out", out, "--quiet", *slow
            )
            self.assertTrue(support.wait_until((out / "RUN_STATUS.json").exists, process))
            time.sleep(0.3)
            process.send_signal(number)
            time.sleep(1)
            self.assertIsNone(process.poll(), "the update ended too early for this test")
            begin = time.monotonic()
            # (One within a fifth of a second of the first's arrival is taken for the same.)
            while process.poll() is None and time.monotonic() < begin + 10:
                process.send_signal(number)
                time.sleep(0.3)
            self.assertLess(time.monotonic() - begin, 10)
            self.assertEqual(support.finish(process).code, code)

    def test_thread_counts_give_the_same_weights(self):
        for recipe, options in (("cartpole_ppo.toml", CARTPOLE), ("pendulum_ppo.toml", PENDULUM)):
            policies = set()
            for threads in (1, 2, 3):
                out = f"{recipe}-{threads}"
                self.ok(*self.train(recipe, options, out, "--set", f"run.threads={threads}"))
                policies.add(final_policy(self.dir / out))
            self.assertEqual(
                len(policies), 1, f"{recipe}: the weights depend on the number of threads"
            )

    def test_resumed_with_other_threads(self):
        longest = self.baseline("cartpole_ppo.toml", CARTPOLE)
        arguments = self.train(
            "cartpole_ppo.toml", CARTPOLE, "mixed", "--set", "checkpoint.every_updates=3"
        )
        for threads in (1, 3, 2):
            run_killed(0.5 * longest, *arguments, "--resume", "--set", f"run.threads={threads}")
        self.ok(*arguments, "--resume")
        assert_same_run(self, self.dir / "whole", self.dir / "mixed")

    def test_seeds_matter(self):
        """The comparisons above can fail: another seed gives other weights."""
        self.baseline("cartpole_ppo.toml", CARTPOLE)
        self.ok(*self.train("cartpole_ppo.toml", CARTPOLE, "other", "--seed", "2"))
        self.assertNotEqual(final_policy(self.dir / "whole"), final_policy(self.dir / "other"))

    def test_finished_run_is_left_alone(self):
        self.baseline("cartpole_ppo.toml", CARTPOLE)
        before = {p: p.stat().st_mtime_ns for p in (self.dir / "whole" / "checkpoints").rglob("*")}
        for more in ([], ["--resume"]):
            self.ok(*self.train("cartpole_ppo.toml", CARTPOLE, "whole", *more))
            after = {
                p: p.stat().st_mtime_ns for p in (self.dir / "whole" / "checkpoints").rglob("*")
            }
            self.assertEqual(before, after)

    def test_longer_target_continues_a_finished_run(self):
        """Without annealing the first half of a long run is the short run."""
        options = [*CARTPOLE, "--set", "ppo.anneal_learning_rate=false"]
        longer = [*options, "--set", "trainer.total_steps=180000"]
        self.baseline("cartpole_ppo.toml", longer)
        self.ok(*self.train("cartpole_ppo.toml", options, "grown"))
        self.ok(*self.train("cartpole_ppo.toml", longer, "grown", "--resume"))
        assert_same_run(self, self.dir / "whole", self.dir / "grown")

    def test_longer_target_without_resume_is_not_called_done(self):
        """A run that ended at 120,000 steps does not answer a request for 180,000 with success."""
        self.baseline("cartpole_ppo.toml", CARTPOLE)
        result = support.run(
            *self.train(
                "cartpole_ppo.toml", [*CARTPOLE, "--set", "trainer.total_steps=180000"], "whole"
            )
        )
        self.one_line(result, FOLDER_CODE, "--resume")

    def test_killed_while_the_folder_was_made(self):
        """Leftovers of a process that died before config.toml existed do not block the folder."""
        gone = support.start("--version")
        support.finish(gone)
        for name in ("config.toml", "probe"):
            out = self.dir / f"early-{name}"
            out.mkdir()
            (out / f"{name}.tmp-{gone.pid}").write_text("[ru")
            (out / "lock.json").write_text("")
            for more in ([], ["--resume"]):
                with self.subTest(leftover=name, more=more):
                    copy = self.dir / f"copy-{name}-{len(more)}"
                    shutil.copytree(out, copy)
                    self.ok(*self.train("cartpole_ppo.toml", CARTPOLE, copy.name, *more))
                    self.no_leftovers(copy)


if __name__ == "__main__":
    support.main()
