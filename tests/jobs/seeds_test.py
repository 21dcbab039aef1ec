"""`rollmill train --seeds`: each seed's run is the one that --seed trains, stopped and resumed as one run is."""

import json
import os
import shutil
import signal

import numpy as np
import support
from support import FOLDER_CODE, JobTest, assert_same_run, final_policy, read_json

SHORT = [
    part
    for key in ("trainer.total_steps=40000", "evaluation.episodes=50", "checkpoint.every_seconds=1000")
    for part in ("--set", key)
]
T_975 = {3: 4.3027}  # Student's t, two-sided 5 %, two degrees of freedom


class Seeds(JobTest):
    def train(self, out, *more):
        return ["train", support.recipe("cartpole_ppo.toml"), "--out", self.dir / out, *SHORT, *more]

    def same_as_single(self, folder, seeds, *more):
        for seed in seeds:
            single = f"single{seed}"
            if not (self.dir / single).exists():
                self.ok(*self.train(single, "--seed", seed, "--quiet", *more))
            run = self.dir / folder / f"seed_{seed}"
            assert_same_run(self, self.dir / single, run)
            for name in ("config.toml", "evaluation.json"):
                a, b = ((d / name).read_text() for d in (self.dir / single, run))
                if name.endswith("json"):  # times and the policy's path
                    a, b = ({k: v for k, v in json.loads(t).items() if k not in ("seconds", "policy")} for t in (a, b))
                self.assertEqual(a, b)
            self.no_leftovers(run)

    def test_each_is_the_run_of_its_seed(self):
        report = json.loads(self.ok(*self.train("all", "--seeds", "3", "--json", "--quiet")).out)
        self.same_as_single("all", (1, 2, 3))
        self.assertEqual([r["seed"] for r in report["seeds"]], [1, 2, 3])
        means = []
        for row in report["seeds"]:
            e = read_json(os.path.join(row["run"], "evaluation.json"))
            means.append(e["mean_return"])
            self.assertEqual((row["mean_return"], row["mean_return_95"]), (e["mean_return"], e["mean_return_95"]))
            self.assertEqual(row["steps"], support.read_metrics(row["run"])[-1]["step"])
            self.assertGreater(row["seconds"], 0)
        self.assertAlmostEqual(report["mean_return"], np.mean(means), 9)
        half = T_975[3] * np.std(means, ddof=1) / np.sqrt(3)
        np.testing.assert_allclose(report["mean_return_95"], [np.mean(means) - half, np.mean(means) + half], rtol=1e-4, atol=1e-4)

    def test_a_list_and_the_table(self):
        out = self.ok(*self.train("some", "--seeds", "7,3")).out
        self.same_as_single("some", (3, 7))
        lines = out.splitlines()
        self.assertEqual(lines[0], "2 seeds of CartPole-v1")
        self.assertEqual([line.split()[0] for line in lines[1:5]], ["seed", "7", "3", "all"])
        self.assertIn("of 3 seeds or more", lines[4])  # two returns are no interval
        self.assertNotIn("[", lines[4])
        self.assertEqual(sorted(p.name for p in (self.dir / "some").iterdir()), ["seed_3", "seed_7"])

    def stop_by(self, number, code):
        """In the second seed: the first is kept, the second checkpointed, the third not begun."""
        folder = self.dir / "stopped"
        # (Time enough for a signal that comes late.)
        threads = ("--set", "run.threads=1", "--set", "trainer.total_steps=400000")
        arguments = self.train("stopped", "--seeds", "3", "--quiet", "--json", *threads)
        process = support.start(*arguments)
        metrics = folder / "seed_2" / "metrics.jsonl"
        self.assertTrue(support.wait_until(lambda: metrics.exists() and metrics.stat().st_size > 0, process))
        process.send_signal(number)
        result = support.finish(process)
        self.assertEqual(result.code, code, str(result))
        self.assertEqual([r["seed"] for r in json.loads(result.out)["seeds"]], [1])
        self.assertEqual(read_json(folder / "seed_1" / "RUN_STATUS.json")["state"], "done")
        status = read_json(folder / "seed_2" / "RUN_STATUS.json")
        self.assertEqual((status["state"], status["exit_code"]), ("preempted", code))
        self.assertFalse((folder / "seed_3").exists())
        self.fails(FOLDER_CODE, *arguments, says=["--resume", "seed_2"])
        before = {p: p.stat().st_mtime_ns for p in (folder / "seed_1").rglob("*") if p.is_file()}
        report = json.loads(self.ok(*arguments, "--resume").out)
        self.assertTrue(report["finished"])
        self.assertEqual([r["seed"] for r in report["seeds"]], [1, 2, 3])
        after = {p: p.stat().st_mtime_ns for p in (folder / "seed_1").rglob("*") if p.is_file()}
        self.assertEqual(before, after, "a finished seed was touched")
        self.same_as_single("stopped", (1, 2, 3), *threads)

    def test_sigterm_is_75_and_resumable(self):
        self.stop_by(signal.SIGTERM, 75)

    def test_sigint_is_130_and_resumable(self):
        self.stop_by(signal.SIGINT, 130)

    def test_stopped_side_by_side(self):
        """Two at a time: both that are under way are checkpointed, and all three come to what they would have alone."""
        folder = self.dir / "pair"
        threads = ("--set", "run.threads=2")
        arguments = self.train("pair", "--seeds", "3", "--quiet", "--json", *threads)
        process = support.start(*arguments)
        metrics = [folder / f"seed_{seed}" / "metrics.jsonl" for seed in (1, 2)]
        self.assertTrue(support.wait_until(lambda: all(m.exists() and m.stat().st_size > 0 for m in metrics), process))
        process.send_signal(signal.SIGTERM)
        result = support.finish(process)
        self.assertEqual(result.code, 75, str(result))
        done = [r["seed"] for r in json.loads(result.out)["seeds"]]
        for seed in (1, 2):
            status = read_json(folder / f"seed_{seed}" / "RUN_STATUS.json")
            expected = ("done", 0) if seed in done else ("preempted", 75)
            self.assertEqual((status["state"], status["exit_code"]), expected)
        report = json.loads(self.ok(*arguments, "--resume").out)
        self.assertEqual([r["seed"] for r in report["seeds"]], [1, 2, 3])
        self.same_as_single("pair", (1, 2, 3), *threads)

    def test_a_failure_is_reported_once_the_others_are_done(self):
        folder = self.dir / "all"
        (folder / "seed_1").mkdir(parents=True)
        (folder / "seed_1" / "notes.txt").write_text("mine")
        threads = ("--set", "run.threads=2")
        arguments = self.train("all", "--seeds", "3", "--quiet", *threads)
        self.fails(FOLDER_CODE, *arguments, says=["seed_1", "notes.txt"])
        self.assertFalse((folder / "seed_3").exists())
        if (folder / "seed_2").exists():
            self.same_as_single("all", (2,), *threads)

    def test_a_lost_evaluation_is_made_again(self):
        arguments = self.train("all", "--seeds", "2", "--quiet", "--json")
        first = json.loads(self.ok(*arguments).out)
        path = self.dir / "all" / "seed_2" / "evaluation.json"
        path.unlink()
        self.assertEqual(json.loads(self.ok(*arguments, "--resume").out), first)
        self.assertTrue(path.exists())

    def test_without_evaluation(self):
        report = json.loads(self.ok(*self.train("all", "--seeds", "2", "--quiet", "--json", "--set", "evaluation.episodes=0")).out)
        self.assertNotIn("mean_return", report)
        self.assertNotIn("mean_return", report["seeds"][0])

    def test_refused(self):
        self.fails(2, *self.train("x", "--seeds", "3", "--seed", "1"), says="--seeds and --seed")
        self.fails(2, *self.train("x", "--seeds", "3", "--set", "run.seed=4"), says="--set run.seed=4")
        for bad in ("0", "-1", "three", "1,,2", "1,2,", ",", "1.5", "4,4", "99999999"):
            self.fails(2, *self.train("x", f"--seeds={bad}"), says=["--seeds", "5 means seeds 1 to 5"])
        ranks = dict(RANK="0", WORLD_SIZE="2", LOCAL_RANK="0", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="29777")
        self.fails(2, *self.train("x", "--seeds", "2"), env=ranks, says="--seeds trains in one process")
        other = support.run(*self.train("x", "--seeds", "2"), env={**ranks, "RANK": "1", "LOCAL_RANK": "1"})
        self.assertEqual((other.code, other.err), (2, ""), str(other))
        self.fails(2, *self.train("x", "--seeds", "2", "--set", "ppo.clap=1"), says="ppo.clip")
        self.assertFalse((self.dir / "x").exists())
        self.ok(*self.train("single1", "--seed", "1", "--quiet"))
        self.fails(FOLDER_CODE, *self.train("single1", "--seeds", "2"), says="is a training run itself")
        self.ok(*self.train("all", "--seeds", "2", "--quiet"))
        self.fails(FOLDER_CODE, *self.train("all", "--seed", "1"), says="not a training run")


if __name__ == "__main__":
    support.main()
