"""Event files as the tensorboard package reads them: whole runs, killed ones, resumed ones."""

import shutil
import signal

import numpy as np
import support
from small_jobs import Faults
from support import read_metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util

TAGS = {
    "return_mean": "rollout/return_mean",
    "episodes": "rollout/episodes",
    "policy_loss": "loss/policy",
    "value_loss": "loss/value",
    "approx_kl": "train/approx_kl",
    "explained_variance": "train/explained_variance",
    "collect_seconds": "time/collect_seconds",
    "seconds": "time/seconds",
}


def load(run):
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


class TensorBoard(Faults):
    def files(self, run):
        return sorted((self.dir / run).glob("events.out.tfevents.*"))

    def assert_like_metrics(self, events, run):
        """Every step of metrics.jsonl once and in order, with its float32 values."""
        records = read_metrics(self.dir / run)
        for key, tag in TAGS.items():
            known = [r for r in records if r[key] is not None]
            scalars = events.Scalars(tag)
            self.assertEqual([s.step for s in scalars], [r["step"] for r in known], tag)
            expected = np.array([r[key] for r in known], dtype=np.float32)
            self.assertEqual([s.value for s in scalars], expected.tolist(), tag)
        # Only the first record of a process, which has a file of its own, has no speed.
        speeds = {s.step: s.value for s in events.Scalars("time/steps_per_second")}
        self.assertGreaterEqual(len(speeds), len(records) - len(self.files(run)))
        for before, after in zip(records, records[1:]):
            if after["step"] in speeds:
                expected = (after["step"] - before["step"]) / (after["seconds"] - before["seconds"])
                self.assertAlmostEqual(speeds[after["step"]] / expected, 1, places=6)

    def test_a_whole_run(self):
        self.ok(*self.train("run"))
        (path,) = self.files("run")
        events = load(self.dir / "run")
        self.assert_like_metrics(events, "run")
        self.assertEqual(events.file_version, 2.0)
        first = next(iter(EventFileLoader(str(path)).Load()))
        self.assertEqual(first.file_version, "brain.Event:2")

    def test_config_as_text_and_hyperparameters(self):
        self.ok(*self.train("run", "--set", "ppo.anneal_learning_rate=false"))
        events = load(self.dir / "run")
        (text,) = tensor_util.make_ndarray(events.Tensors("config")[0].tensor_proto)
        lines = [line.removeprefix("    ") for line in text.decode().splitlines()]
        config = (self.dir / "run" / "config.toml").read_text()
        self.assertEqual(lines, config.splitlines() + [""])
        self.assertEqual(events.SummaryMetadata("config").plugin_data.plugin_name, "text")
        content = events.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
        start = hparams.parse_session_start_info_plugin_data(content)
        self.assertEqual(start.hparams["env.id"].string_value, "CartPole-v1")
        self.assertEqual(start.hparams["ppo.horizon"].number_value, 32)
        self.assertEqual(start.hparams["ppo.anneal_learning_rate"].WhichOneof("kind"), "bool_value")
        self.assertEqual(start.hparams["policy.hidden"].string_value, "[64, 64]")

    def test_killed_and_resumed(self):
        """At any moment the file can be read; in the end each step is there once."""
        random = support.seeded(11)
        self.ok(*self.train("whole"))
        for _ in range(12 if support.soak else 4):
            shutil.rmtree(self.dir / "run", ignore_errors=True)
            for attempt in range(3):
                process = support.start(*self.train("run", "--resume"))
                metrics = self.dir / "run" / "metrics.jsonl"
                before = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
                wanted = before + random.randrange(2, 9)
                support.wait_until(
                    lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= wanted,
                    process,
                )
                process.send_signal(signal.SIGKILL)
                support.finish(process)
                scalars = load(self.dir / "run").Scalars("rollout/episodes")
                steps = [s.step for s in scalars]
                self.assertEqual(steps, sorted(set(steps)))
                self.assertGreaterEqual(len(steps), 1)
            self.ok(*self.train("run", "--resume"))
            self.assert_like_metrics(load(self.dir / "run"), "run")
            records, expected = read_metrics(self.dir / "run"), read_metrics(self.dir / "whole")
            self.assertEqual([r["step"] for r in records], [r["step"] for r in expected])

    def test_one_who_watches_forgets_what_is_done_again(self):
        """A TensorBoard that had shown steps after the checkpoint shows the new ones in their place."""
        never = ["--set", "checkpoint.every_updates=0", "--set", "checkpoint.every_seconds=1e9"]
        process = support.start(*self.train("run", *never, "--set", "trainer.total_steps=1000000000", "--set", "stop.mean_return=501"))
        metrics = self.dir / "run" / "metrics.jsonl"
        begun = lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 5
        self.assertTrue(support.wait_until(begun, process))
        process.send_signal(signal.SIGKILL)
        support.finish(process)
        watching = load(self.dir / "run")
        self.assertGreaterEqual(len(watching.Scalars("loss/policy")), 4)
        self.ok(*self.train("run", "--resume", *never))
        watching.Reload()
        self.assert_like_metrics(watching, "run")

    def test_a_torn_file_is_cut(self):
        self.ok(*self.train("run"))
        (path,) = self.files("run")
        with open(path, "ab") as file:
            file.write(b"\x20\x00\x00")
        self.ok(*self.train("run", "--resume", "--set", "trainer.total_steps=70000"))
        self.assertEqual(len(self.files("run")), 2)
        self.assert_like_metrics(load(self.dir / "run"), "run")

    def test_switched_off(self):
        self.ok(*self.train("run", "--set", "run.tensorboard=false"))
        self.assertEqual(self.files("run"), [])
        # It shapes nothing: the same run goes on with it.
        self.ok(*self.train("run", "--resume", "--set", "trainer.total_steps=70000"))
        steps = [s.step for s in load(self.dir / "run").Scalars("loss/policy")]
        self.assertEqual(steps, [r["step"] for r in read_metrics(self.dir / "run")][-len(steps) :])
        self.fails(2, *self.train("x", "--set", "run.tensorboard=maybe"), says="run.tensorboard")

    def test_weights_do_not_depend_on_it(self):
        self.ok(*self.train("with"))
        self.ok(*self.train("without", "--set", "run.tensorboard=false"))
        self.assertEqual(
            support.final_policy(self.dir / "with"), support.final_policy(self.dir / "without")
        )


if __name__ == "__main__":
    support.main()
