"""`rollmill sweep`: trials are the trainings that `train` makes of the same values, whatever happens in between."""

import json
import os
import shutil
import signal
import subprocess
import time

import support
from support import FOLDER_CODE, JobTest, final_policy, read_json

RECIPE = """[run]
name = "small"
[env]
id = "CartPole-v1"
num_envs = 16
[trainer]
total_steps = {steps}
[ppo]
horizon = 32
anneal_learning_rate = {anneal}
[evaluation]
episodes = 20
"""
SPACE = """"ppo.learning_rate" = { log_uniform = [1e-4, 1e-2] }
"ppo.epochs" = { choice = [1, 2] }
"ppo.clip" = { uniform = [0.1, 0.3] }
"policy.hidden" = [[8], [8, 8]]
"""


def without_times(record):
    return {k: v for k, v in record.items() if k != "seconds"}


class Sweep(JobTest):
    def setUp(self):
        super().setUp()
        self.recipe()

    def recipe(self, steps=4096, anneal="false"):
        self.write("recipe.toml", RECIPE.format(steps=steps, anneal=anneal))

    def sweep(self, keys="trials = 4\n", space=SPACE, name="sweep.toml"):
        return self.write(name, f'[sweep]\nconfig = "recipe.toml"\n{keys}[sweep.space]\n{space}')

    def command(self, out, *more, file=None):
        return ["sweep", file or self.dir / "sweep.toml", "--out", self.dir / out, "--quiet", *more]

    def trials(self, out, name="trials.jsonl"):
        return [json.loads(line) for line in (self.dir / out / name).read_text().splitlines()]

    def contents(self, out, name="trials.jsonl"):
        return list(map(without_times, self.trials(out, name)))

    def run_of(self, out, trial, seed=1):
        return self.dir / out / f"trial_{trial:04}" / f"seed_{seed}"

    def test_trials_are_trainings(self):
        self.sweep("trials = 4\nseeds = [1, 5]\n")
        report = json.loads(self.ok(*self.command("out", "--jobs", "2", "--json")).out)
        records = self.trials("out")
        self.assertEqual([r["trial"] for r in records], [0, 1, 2, 3])
        for r in records:
            self.assertEqual((r["seeds"], r["exit_code"]), ([1, 5], 0))
            sets = [p for k, v in r["values"].items() for p in ("--set", f"{k}={json.dumps(v)}")]
            self.assertTrue(1e-4 <= r["values"]["ppo.learning_rate"] <= 1e-2)
            self.assertTrue(0.1 <= r["values"]["ppo.clip"] <= 0.3)
            steps = 0
            for seed, value in zip(r["seeds"], r["returns"]):
                run = self.run_of("out", r["trial"], seed)
                self.assertEqual(read_json(run / "evaluation.json")["mean_return"], value)
                steps += support.read_metrics(run)[-1]["step"]
                if r["trial"] == 2:
                    alone = self.dir / f"alone{seed}"
                    self.ok("train", self.dir / "recipe.toml", *sets, "--seed", seed, "--out", alone, "--quiet")
                    support.assert_same_run(self, alone, run)
            self.assertEqual(r["steps"], steps)
            self.assertAlmostEqual(r["mean_return"], sum(r["returns"]) / 2)
        best = max(records, key=lambda r: (r["mean_return"], -r["trial"]))
        self.assertEqual(report["best"][0]["trial"], best["trial"])
        self.assertEqual((report["trials"], report["failed"]), (4, 0))
        self.ok("train", self.dir / "out" / "best.toml", "--out", self.dir / "best", "--quiet")
        self.assertEqual(final_policy(self.dir / "best"), final_policy(self.run_of("out", best["trial"])))
        names = ["best.toml", "recipe.toml", "sweep.toml", *(f"trial_{k:04}" for k in range(4)), "trials.jsonl"]
        self.assertEqual(sorted(os.listdir(self.dir / "out")), names)
        self.ok("compare", *sorted((self.dir / "out").glob("trial_*/seed_*")))
        self.no_leftovers(self.dir / "out")

    def test_values_depend_on_seed_and_number_only(self):
        self.sweep("trials = 3\n")
        self.ok(*self.command("a"))
        turned = "".join(line + "\n" for line in reversed(SPACE.splitlines()))
        self.sweep("trials = 2\n", turned, "other.toml")
        self.ok(*self.command("b", "--jobs", "2", file=self.dir / "other.toml"))
        self.assertEqual(self.contents("a")[:2], self.contents("b"))
        self.ok(*self.command("c", "--set", "sweep.seed=2"))
        self.assertNotEqual(self.contents("a")[0]["values"], self.contents("c")[0]["values"])
        done = (self.dir / "a" / "trials.jsonl").read_bytes()
        for more in ([], ["--resume"]):  # a finished sweep is left alone
            self.ok(*self.command("a", *more))
            self.assertEqual((self.dir / "a" / "trials.jsonl").read_bytes(), done)

    def test_grid_and_what_is_said(self):
        self.sweep('method = "grid"\n', '"ppo.epochs" = [1, 2]\nppo.clip = [0.1, 0.2]\n')
        result = self.ok("sweep", self.dir / "sweep.toml", "--out", self.dir / "out")
        values = [(r["values"]["ppo.epochs"], r["values"]["ppo.clip"]) for r in self.trials("out")]
        self.assertEqual(values, [(1, 0.1), (1, 0.2), (2, 0.1), (2, 0.2)])
        said = [line for line in result.lines() if line.startswith("trial ")]
        self.assertEqual([line.split()[1] for line in said], ["0", "1", "2", "3"])
        self.assertIn("rank 1 of 1", said[0])
        self.assertIn("of 4  ppo.epochs=2 ppo.clip=0.2", said[3])
        self.assertIn("4 trials, grid\n", result.out)
        self.assertIn("best.toml", result.out)

    def stop_by(self, number, code, jobs):
        self.recipe(steps=200000)
        self.sweep("trials = 4\nseeds = [1, 2]\n", SPACE.replace("[8]", "[32]"))
        self.ok(*self.command("whole", "--jobs", jobs))
        for trial in (0, 2):  # within the first, and later on
            process = support.start(*self.command("stopped", "--jobs", jobs, "--resume"))
            metrics = self.run_of("stopped", trial, 2) / "metrics.jsonl"
            moved = lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 3
            self.assertTrue(support.wait_until(moved, process), trial)
            process.send_signal(number)
            result = support.finish(process)
            self.assertEqual(result.code, code, str(result))
            states = [read_json(p)["state"] for p in (self.dir / "stopped").glob("trial_*/seed_*/RUN_STATUS.json")]
            self.assertNotIn("running", states)
            self.assertNotIn("failed", states)
            self.no_leftovers(self.dir / "stopped")
        self.fails(FOLDER_CODE, *self.command("stopped"), says="--resume")
        self.ok(*self.command("stopped", "--resume"))
        self.assertEqual(self.contents("whole"), self.contents("stopped"))
        for name in ("best.toml", "sweep.toml"):
            self.assertEqual((self.dir / "whole" / name).read_text(), (self.dir / "stopped" / name).read_text())

    def test_sigterm_is_75_and_resumable(self):
        self.stop_by(signal.SIGTERM, 75, jobs=2)

    def test_sigint_is_130_and_resumable(self):
        self.stop_by(signal.SIGINT, 130, jobs=1)

    def test_signal_to_all_processes_at_once(self):
        """As Slurm does it: the trainings get it twice, from Slurm and from the sweep."""
        self.recipe(steps=10**9)  # it never ends by itself, however late the signal comes
        self.sweep("trials = 2\n")
        process = support.start(*self.command("out"), start_new_session=True)
        self.addCleanup(process.kill)
        metrics = self.run_of("out", 0) / "metrics.jsonl"
        self.assertTrue(support.wait_until(lambda: metrics.exists() and metrics.stat().st_size > 0, process))
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        for pid in [*children, process.pid]:
            os.kill(int(pid), signal.SIGTERM)
        self.assertEqual(support.finish(process).code, 75)
        self.assertEqual(read_json(self.run_of("out", 0) / "RUN_STATUS.json")["state"], "preempted")

    def test_killed_sweep_leaves_no_training_behind(self):
        self.recipe(steps=4000000)
        self.sweep("trials = 1\n")
        process = support.start(*self.command("out"))
        status = self.run_of("out", 0) / "RUN_STATUS.json"
        self.assertTrue(support.wait_until(status.exists, process))
        pid = read_json(status)["pid"]
        process.kill()
        support.finish(process)
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{pid}"), "the training goes on without its sweep")
        self.assertEqual(read_json(status)["state"], "preempted")
        # Resumed at once, while the orphan still writes.
        process = support.start(*self.command("out", "--resume"))
        self.assertTrue(support.wait_until(lambda: read_json(status)["pid"] != pid, process))
        process.kill()
        support.finish(process)
        self.ok(*self.command("out", "--resume"))
        self.assertEqual([r["exit_code"] for r in self.trials("out")], [0])

    def test_failed_trials_do_not_stop_a_sweep(self):
        """One diverges (exit 6); one is killed, and only that one is tried again."""
        self.write("recipe.toml", RECIPE.format(steps=400000, anneal="false").replace("CartPole-v1", "Pendulum-v1"))
        space = '"ppo.learning_rate" = [1e-3, 10.0, 2e-3]\n"ppo.max_grad_norm" = [0.0]\n'
        self.sweep('method = "grid"\n', space)
        process = support.start("sweep", self.dir / "sweep.toml", "--out", self.dir / "out")
        status = self.run_of("out", 2) / "RUN_STATUS.json"
        self.assertTrue(support.wait_until(status.exists, process))
        os.kill(read_json(status)["pid"], signal.SIGKILL)
        result = support.finish(process)
        self.assertEqual(result.code, 0, str(result))
        records = self.trials("out")
        self.assertEqual([r["exit_code"] for r in records], [0, 6, 128 + 9])
        self.assertEqual([r["mean_return"] is None for r in records], [False, True, True])
        self.assertIn("trial 1  failed (exit 6)", result.err)
        self.assertIn("3 trials, grid, 2 failed", result.out)
        shutil.copytree(self.dir / "out", self.dir / "ranks")
        report = json.loads(self.ok(*self.command("out", "--resume", "--json")).out)
        self.assertEqual(report["failed"], 1)
        self.assertEqual([r["exit_code"] for r in self.trials("out")], [0, 6, 0])
        self.assertEqual(without_times(self.trials("out")[1]), without_times(records[1]))
        # On ranks, of which two have nothing to do and must wait for the third.
        results = self.ranks(3, *self.command("ranks", "--resume", "--json"))
        self.assertEqual([r.code for r in results], [0, 0, 0], "\n".join(map(str, results)))
        self.assertEqual([json.loads(r.out)["failed"] for r in results if r.out], [1])
        self.assertEqual(self.contents("ranks"), self.contents("out"))
        self.assertEqual(sorted(os.listdir(self.dir / "ranks")), sorted(os.listdir(self.dir / "out")))
        self.sweep('method = "grid"\n', space.replace("1e-3, 10.0, 2e-3", "10.0"))
        self.fails(6, *self.command("none"), says="all 1 trials failed")

    def test_parts(self):
        self.sweep("trials = 5\n")
        self.ok(*self.command("whole"))
        parts = [support.start(*self.command("out", "--part", f"{i}/3")) for i in range(3)]
        for process in parts:
            result = support.finish(process)
            self.assertEqual(result.code, 0, str(result))
        for i in range(3):
            found = self.contents("out", f"trials.{i}-of-3.jsonl")
            self.assertEqual(found, [r for r in self.contents("whole") if r["trial"] % 3 == i])
        self.assertFalse((self.dir / "out" / "best.toml").exists())
        self.fails(FOLDER_CODE, *self.command("out", "--part", "0/2"), says="other parts")
        # A part that is lost is trained by the merging run.
        os.unlink(self.dir / "out" / "trials.1-of-3.jsonl")
        self.fails(FOLDER_CODE, *self.command("out"), says="--resume")
        self.ok(*self.command("out", "--resume"))
        self.assertEqual(self.contents("out"), self.contents("whole"))
        self.assertEqual(sorted(os.listdir(self.dir / "out")), sorted(os.listdir(self.dir / "whole")))
        for name in ("best.toml", "sweep.toml"):
            self.assertEqual((self.dir / "out" / name).read_text(), (self.dir / "whole" / name).read_text())

    def ranks(self, world, *arguments, file=None):
        """Processes such as srun starts them: nobody meets anybody."""
        processes = []
        for rank in range(world):
            env = dict(RANK=rank, WORLD_SIZE=world, LOCAL_RANK=rank, LOCAL_WORLD_SIZE=world, MASTER_ADDR="127.0.0.1", MASTER_PORT=29778)
            processes.append(support.start(*arguments, env={k: str(v) for k, v in env.items()}))
        return [support.finish(process) for process in processes]

    def test_ranks_share_a_sweep(self):
        """Under a launcher each rank takes its trials, and who is last takes them all in: the files of one process."""
        self.sweep("trials = 5\n")
        self.ok(*self.command("whole"))
        for world in (3, 7):  # more ranks than trials, too
            out = f"ranks{world}"
            results = self.ranks(world, "sweep", self.dir / "sweep.toml", "--out", self.dir / out)
            self.assertEqual([r.code for r in results], [0] * world, "\n".join(map(str, results)))
            self.assertEqual(["best.toml" in r.out for r in results].count(True), 1, "\n".join(map(str, results)))
            self.assertEqual(self.contents(out), self.contents("whole"))
            self.assertEqual(sorted(os.listdir(self.dir / out)), sorted(os.listdir(self.dir / "whole")))
            self.assertEqual((self.dir / out / "best.toml").read_text(), (self.dir / "whole" / "best.toml").read_text())
        refused = self.ranks(2, *self.command("more", "--part", "0/2"))
        self.assertEqual([r.code for r in refused], [2, 2])
        self.assertIn("--part: under a launcher", refused[0].err)
        self.assertEqual(refused[1].err, "")
        self.sweep('method = "halving"\ntrials = 4\n')
        refused = self.ranks(2, *self.command("more"))
        self.assertEqual([r.code for r in refused], [2, 2])
        self.assertIn("halving compares", refused[0].err)
        self.assertEqual(refused[1].err, "")
        self.assertFalse((self.dir / "more").exists())

    def test_one_holder(self):
        self.recipe(steps=4000000)
        self.sweep("trials = 2\n")
        process = support.start(*self.command("out", "--part", "0/2"))
        self.assertTrue(support.wait_until((self.run_of("out", 0) / "RUN_STATUS.json").exists, process))
        self.fails(FOLDER_CODE, *self.command("out", "--part", "0/2", "--resume"), says="in use by job sweep")
        self.fails(FOLDER_CODE, *self.command("out", "--resume"), says="in use by job sweep")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(support.finish(process).code, 75)
        self.no_leftovers(self.dir / "out")

    def halving(self, anneal, steps):
        self.recipe(steps=steps, anneal=anneal)
        self.sweep(f'method = "halving"\ntrials = 6\neta = 2\nmin_steps = {steps * 2 // 9}\n')
        self.ok(*self.command("out", "--jobs", "2"))
        records = self.trials("out")
        rungs = [[r for r in records if r.get("rung", 0) == k] for k in range(3)]
        self.assertEqual([len(r) for r in rungs], [6, 3, 1])
        for rung, after in zip(rungs, rungs[1:]):
            order = sorted(rung, key=lambda r: (-r["mean_return"], r["trial"]))
            self.assertEqual(sorted(r["trial"] for r in order[: len(after)]), [r["trial"] for r in after])
        last = rungs[2][0]
        # However it got there, it is the training over all steps.
        self.ok("train", self.dir / "out" / "best.toml", "--out", self.dir / "best", "--quiet")
        anew = "rung_2/" if anneal == "true" else ""
        run = self.dir / "out" / f"trial_{last['trial']:04}" / f"{anew}seed_1"
        self.assertEqual(final_policy(self.dir / "best"), final_policy(run))
        self.assertEqual(read_json(self.dir / "best" / "evaluation.json")["mean_return"], last["mean_return"])
        self.assertEqual(last["steps"], steps)
        return records

    def test_halving_goes_on_from_checkpoints(self):
        self.halving("false", 9216)
        log = self.ok(*self.command("out"))  # finished
        self.assertEqual(log.err, "")

    def test_halving_trains_anew_what_anneals(self):
        records = self.halving("true", 460800)
        # Stopped on its second rung, which takes long enough for a signal that comes late.
        process = support.start(*self.command("stopped"))
        later = lambda: any((self.dir / "stopped").glob("trial_*/rung_1/seed_1/metrics.jsonl"))
        self.assertTrue(support.wait_until(later, process))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(support.finish(process).code, 75)
        self.fails(FOLDER_CODE, *self.command("stopped"), says="--resume")
        self.ok(*self.command("stopped", "--resume"))
        self.assertEqual(self.contents("stopped"), list(map(without_times, records)))

    def test_check(self):
        self.sweep('method = "halving"\ntrials = 9\n')
        out = self.ok(*self.command("out", "--check")).out
        self.assertIn("# rungs: 9 trials of 456 steps, 3 trials of 1366 steps, 1 trials of 4096 steps", out)
        self.assertIn("[sweep.space.ppo.learning_rate]", out)
        self.assertFalse((self.dir / "out").exists())

    def test_wrong_sweep_files(self):
        def refused(says, keys="trials = 2\n", space=SPACE, more=()):
            self.sweep(keys, space)
            self.fails(2, *self.command("out", *more), says=says)

        refused(["sweep.toml:5", "trial 0", "ppo.lerning_rate: unknown key; did you mean ppo.learning_rate"], space='"ppo.lerning_rate" = [1e-3]\n')
        refused(["sweep.toml:5", "ppo.clip", "out of range"], space='"ppo.clip" = [-1.0]\n')
        refused(["sweep.toml:5", "trial", "ppo.epochs", "whole number"], space='"ppo.epochs" = { uniform = [1, 4] }\n')
        refused(["sweep.toml:5", "policy.activation", "is not a choice"], space='"policy.activation" = ["tanhh"]\n')
        refused(["sweep.toml:4", "sweep.space", "empty"], space="")
        refused(["sweep.toml:5", "lower end"], space='"ppo.clip" = { uniform = [0.3, 0.1] }\n')
        refused(["sweep.toml:5", "above 0"], space='"ppo.clip" = { log_uniform = [0, 0.1] }\n')
        refused(["sweep.toml:3", "trails", "did you mean sweep.trials"], keys="trails = 2\n")
        refused(["evaluation.episodes"], space='"evaluation.episodes" = [0]\n')
        refused(["conv_kernel"], space='"policy.conv_kernel" = [[3]]\n')
        refused(["sweep.min_steps", "nothing is halved"], keys='method = "halving"\ntrials = 4\nmin_steps = 4000\n')
        for part in ("2/2", "-1/2", "1", "a/b", "1/2/3", "/"):
            refused("--part", more=[f"--part={part}"])
        refused("--part: halving", keys='method = "halving"\ntrials = 4\n', more=["--part", "0/2"])
        refused("--jobs", more=["--jobs", "0"])
        self.sweep()
        self.fails(2, *self.command("out", "--set", "sweep.config=absent.toml"), says=["sweep.config", "absent.toml", "no such config file"])
        self.fails(2, *self.command("out", file=self.dir / "absent.toml"), says="no such config file")
        self.assertFalse((self.dir / "out").exists(), "something was begun")

    def test_changed_sweeps_are_refused(self):
        self.sweep("trials = 1\n")
        self.ok(*self.command("out"))
        self.fails(FOLDER_CODE, *self.command("out", "--resume", "--set", "sweep.trials=2"), says=["another sweep", "trials: 1 there, 2 here"])
        self.sweep("trials = 1\n", SPACE.replace("1e-2", "1e-1"))
        self.fails(FOLDER_CODE, *self.command("out", "--resume"), says="another sweep")
        self.sweep("trials = 1\n")
        self.recipe(steps=8192)
        self.fails(FOLDER_CODE, *self.command("out", "--resume"), says="recipe")
        self.recipe()
        (self.dir / "out" / "trials.jsonl").write_text("half a li")
        self.fails(3, *self.command("out", "--resume"), says="trials.jsonl:1")
        (self.dir / "full").mkdir()
        (self.dir / "full" / "thesis.tex").write_text("")
        self.fails(FOLDER_CODE, *self.command("full"), says="thesis.tex")


if __name__ == "__main__":
    support.main()
