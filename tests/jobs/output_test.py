"""What commands print: one JSON object a job, nothing where --quiet; what options they refuse."""

import json
import shutil
import signal

import support
from small_jobs import Faults
from support import checkpoints, read_metrics, read_state

STEPS = 60416  # the first whole number of updates of 32 x 32 steps that reaches 60,000
KEYS = [
    "run", "finished", "steps", "updates", "seconds", "steps_per_second", "checkpoint", "policy",
]  # fmt: skip
MARK = 12345.0  # seconds that no evaluation here takes: a report with it came from the folder


class TrainJson(Faults):
    """`train --json` prints exactly one object, however the job ends."""

    def report(self, result, code=0):
        self.assertEqual(result.code, code, str(result))
        report = json.loads(result.out)  # refuses a second object
        self.assertEqual([key for key in report if key != "evaluation"], KEYS)
        self.assertEqual(report["run"], str(self.dir / "run"))
        last = checkpoints(self.dir / "run")[-1]
        self.assertEqual(report["checkpoint"], str(last))
        self.assertEqual(report["policy"], str(last / "policy.safetensors"))
        self.assertEqual(report["steps"], int(last.name[5:]))
        self.assertEqual(report["updates"], read_metrics(self.dir / "run")[-1]["update"])
        self.assertEqual(report["finished"], code == 0)
        return report

    def test_finished_and_already_done(self):
        report = self.report(support.run(*self.train("run", "--json")))
        self.assertEqual(report["steps"], STEPS)
        self.assertGreater(report["seconds"], 0)
        self.assertNotIn("evaluation", report)
        for more in ([], ["--resume"]):
            again = self.report(support.run(*self.train("run", "--json", *more)))
            self.assertNotIn("evaluation", again)

    def test_not_quiet(self):
        loud = [word for word in self.train("run", "--json") if word != "--quiet"]
        self.report(support.run(*loud))
        self.report(support.run(*loud))

    def test_evaluated(self):
        for _ in range(2):
            ask = self.train("run", "--json", "--set", "evaluation.episodes=20")
            report = self.report(support.run(*ask))
            self.assertEqual(report["evaluation"]["episodes"], 20)
            self.assertEqual(
                report["evaluation"], support.read_json(self.dir / "run" / "evaluation.json")
            )

    def test_stopped(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            shutil.rmtree(self.dir / "run", ignore_errors=True)
            process = support.start(
                *self.train("run", "--json", "--set", "trainer.total_steps=1000000000", "--set", "stop.mean_return=501")
            )
            metrics = self.dir / "run" / "metrics.jsonl"
            begun = lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 3
            self.assertTrue(support.wait_until(begun, process))
            process.send_signal(number)
            report = self.report(support.finish(process), code)
            self.assertGreater(report["steps"], 0)

    def test_evaluation_stopped(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            process = support.start(
                *("evaluate", "random", "--env", "CartPole-v1", "--episodes", "60000000", "--json")
            )
            self.assertTrue(support.wait_until(lambda: support.handles(process, number), process))
            process.send_signal(number)
            result = support.finish(process)
            self.assertEqual((result.code, result.out), (code, ""), str(result))
            self.assertIn("nothing to report", result.err)


class Quiet(Faults):
    def silent(self, *arguments, code=0):
        result = self.ok(*arguments, code=code)
        self.assertEqual(result.out, "", str(result))

    def test_nothing_on_standard_output(self):
        self.silent(*self.train("run"))
        self.silent(*self.train("run"))
        self.silent(*self.train("run", "--set", "evaluation.episodes=5"))
        self.silent(*self.generate("d", "--set", "generate.transitions=20000"))
        self.silent(*self.generate("d", "--set", "generate.transitions=20000"))
        run, data = self.dir / "run", self.dir / "d"
        for path in (run, checkpoints(run)[-1], data):
            self.silent("verify", path, "--quiet")
        self.silent("evaluate", run, "--episodes", "5", "--quiet")
        out = ["--out", self.dir / "e"]
        for _ in range(2):
            self.silent("evaluate", run, "--episodes", "5", "--quiet", *out, "--resume")
        self.silent("evaluate", run, "--episodes", "5", "--quiet", "--min-return", "501", code=1)

    def test_json_is_not_silenced(self):
        self.assertTrue(json.loads(self.ok(*self.train("run", "--json")).out)["finished"])
        ask = ["--episodes", "5", "--quiet", "--json", "--out", self.dir / "e", "--resume"]
        for _ in range(2):  # the second is answered from the folder
            result = self.ok("evaluate", self.dir / "run", *ask)
            self.assertEqual(json.loads(result.out)["episodes"], 5)


class Options(Faults):
    def test_combinations_that_are_refused(self):
        for sets, says in (
            (['env.device="cuda"', 'trainer.reduction="exact"'], "trainer.reduction"),
            (['env.device="cuda"', "ppo.overlap=true", 'policy.memory="gru"'], ("ppo.overlap", "is for policies without memory")),
            (["env.num_envs=2097152", "ppo.horizon=1024"], "ppo.horizon"),
            (["env.num_envs=1048576", "ppo.horizon=2048"], "ppo.horizon"),
        ):
            with self.subTest(sets=sets):
                words = [part for key in sets for part in ("--set", key)]
                self.fails(2, *self.train("run", *words), says=says)
                self.assertFalse((self.dir / "run").exists())

    def test_window_without_a_return_to_stop_at(self):
        recipe = support.recipe("pendulum_ppo.toml")  # has no [stop] of its own
        self.fails(2, "train", recipe, "--out", self.dir / "run", "--set", "stop.window=50", says="stop.mean_return")
        self.assertFalse((self.dir / "run").exists())

    def test_smaller_window_on_resume(self):
        """The episodes that the mean is over are the last ones, as many as asked for now."""
        never = ["--set", "stop.mean_return=501"]
        longer = ["--set", "trainer.total_steps=70000"]
        sizes = []
        for window, more in ((100, []), (7, ["--resume", *longer])):
            self.ok(*self.train("run", *never, "--set", f"stop.window={window}", *more))
            state = read_state(checkpoints(self.dir / "run")[-1] / "state-rank0.h5")
            sizes.append(len(state["recent_returns"]))
        self.assertEqual(sizes, [100, 7])


class Evaluate(Faults):
    def ask(self, *more, target="run", code=0):
        result = self.ok(
            "evaluate", self.dir / target, "--out", self.dir / "e", "--json", *more, code=code
        )
        return json.loads(result.out)

    def mark(self):
        report = self.ask("--episodes", "30")
        self.assertNotEqual(report["seconds"], MARK)
        support.write_json(self.path, dict(report, seconds=MARK))

    def setUp(self):
        super().setUp()
        self.path = self.dir / "e" / "evaluation.json"
        self.ok(*self.train("run"))

    def test_resume_answers_the_very_same_question_from_the_folder(self):
        self.mark()
        for same in ([], ["--greedy"], ["--threads", "1"], ["--env", "CartPole-v1"]):
            report = self.ask("--resume", "--episodes", "30", *same)
            self.assertEqual(report["seconds"], MARK, same)
        last = checkpoints(self.dir / "run")[-1]
        for target in (last, last / "policy.safetensors"):  # the same policy by other names
            report = self.ask("--resume", "--episodes", "30", target=target)
            self.assertEqual(report["seconds"], MARK, target)
        self.assertEqual(
            self.ask("--resume", "--episodes", "30", "--min-return", "501", code=1)["seconds"], MARK
        )
        self.assertNotEqual(self.ask("--episodes", "30")["seconds"], MARK)  # without --resume

    def test_resume_answers_no_other_question(self):
        older = checkpoints(self.dir / "run")[-2]
        for field, value, more in (
            ("episodes", 31, ["--episodes", "31"]),
            ("seed", 5, ["--episodes", "30", "--seed", "5"]),
            ("greedy", False, ["--episodes", "30", "--sampled"]),
            ("env_params", None, ["--episodes", "30", "--set", "env.params.gravity=20"]),
            ("env_params", None, ["--episodes", "30", "--set", "env.time_limit=400"]),
        ):
            with self.subTest(more=more):
                self.mark()
                before = support.read_json(self.path)
                report = self.ask("--resume", *more)
                self.assertNotEqual(report["seconds"], MARK)
                self.assertNotEqual(report[field], before[field])
                if value is not None:
                    self.assertEqual(report[field], value)
                self.assertEqual(support.read_json(self.path), report)
        self.mark()
        report = self.ask("--resume", "--episodes", "30", target=older)
        self.assertNotEqual(report["seconds"], MARK)

    def test_resume_answers_in_text_too(self):
        self.mark()
        ask = ["--out", self.dir / "e", "--resume", "--episodes", "30"]
        text = self.ok("evaluate", self.dir / "run", *ask).out
        self.assertIn(f"{support.read_json(self.path)['mean_return']:.2f}", text)
        self.assertNotIn("{", text)
        self.assertEqual(support.read_json(self.path)["seconds"], MARK)

    def test_damaged_report_is_no_answer(self):
        """Nor is one that lacks something or has another kind of value there: evaluated anew."""
        self.mark()
        good = self.path.read_text()
        report = json.loads(good)
        damaged = ["", "{", "[]", "null", good[: len(good) // 2], good + good, "[" * 10000, "{}"]
        for field in ("policy_hash", "env", "env_params", "seed", "greedy", "episodes"):
            damaged += [json.dumps(dict(report, **{field: v})) for v in (None, [], "x", -1.5, {})]
            damaged.append(json.dumps({k: v for k, v in report.items() if k != field}))
        damaged += [json.dumps(dict(report, mean_return=v)) for v in (None, [], "x", {})]
        for bad in damaged:
            with self.subTest(bad=bad[:400]):
                self.path.write_text(bad)
                anew = self.ask("--resume", "--episodes", "30")
                self.assertEqual(anew, dict(report, seconds=anew["seconds"]))
                self.assertNotEqual(anew["seconds"], MARK)
                self.assertEqual(support.read_json(self.path), anew)

    def test_environment_without_a_time_limit_ends(self):
        """Pendulum has no other end: it is cut after a million steps, which is no limit of its own."""
        endless = ["--env", "Pendulum-v1", "--set", "env.time_limit=0", "--episodes", "2"]
        report = json.loads(self.ok("evaluate", "random", *endless, "--json").out)
        self.assertEqual(report["ends"], {"time_limit": 0, "cut": 2})
        self.assertEqual((report["min_length"], report["max_length"]), (1000000, 1000000))


if __name__ == "__main__":
    support.main()
