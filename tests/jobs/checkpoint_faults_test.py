"""Damaged and foreign checkpoints and policies: refused or passed over, and named."""

import hashlib
import json
import shutil
import struct

import h5py
import numpy as np
import support
from small_jobs import SHORT, Faults
from support import assert_same_run, checkpoints


def set_running(run_dir):
    """As a kill leaves it."""
    path = run_dir / "RUN_STATUS.json"
    path.write_text(path.read_text().replace('"done"', '"running"'))


def score(result):
    """A report without the time that it took."""
    return support.without_times(json.loads(result.out))


class Checkpoints(Faults):
    def setUp(self):
        super().setUp()
        self.ok(*self.train("whole"))
        self.stop_early("run")

    def stop_early(self, out):
        """A run with three checkpoints that is not finished."""
        self.ok(*self.train(out))
        set_running(self.dir / out)
        shutil.rmtree(checkpoints(self.dir / out)[-1])

    def damage(self, path, how):
        good = path.read_bytes()
        if how == "missing":
            path.unlink()
        elif how == "empty":
            path.write_bytes(b"")
        elif how == "truncated":
            path.write_bytes(good[: len(good) // 2])
        else:
            support.flip(path, len(good) * 2 // 3)

    def test_damaged_checkpoint_falls_back_to_the_one_before(self):
        for name in ("policy.safetensors", "state-rank0.h5", "MANIFEST.json"):
            for how in ("truncated", "flipped", "empty", "missing"):
                with self.subTest(file=name, how=how):
                    shutil.rmtree(self.dir / "copy", ignore_errors=True)
                    shutil.copytree(self.dir / "run", self.dir / "copy")
                    newest = checkpoints(self.dir / "copy")[-1]
                    self.damage(newest / name, how)
                    verify = self.fails(3, "verify", self.dir / "copy", "--quiet", says=newest.name)
                    self.assertNotIn("\n\n", verify.err)
                    result = self.ok(*self.train("copy", "--resume"))
                    self.assertEqual(len(result.lines()), 1, str(result))
                    self.assertIn("warning: ", result.err)
                    self.assertIn(newest.name, result.err)
                    assert_same_run(self, self.dir / "whole", self.dir / "copy")

    def test_evaluate_says_which_checkpoint_it_went_back_to(self):
        newest, older = checkpoints(self.dir / "run")[-1], checkpoints(self.dir / "run")[-2]
        wanted = score(self.ok("evaluate", older, "--episodes", "50", "--json"))
        self.assertNotEqual(
            score(self.ok("evaluate", self.dir / "run", "--episodes", "50", "--json")), wanted
        )
        self.damage(newest / "policy.safetensors", "flipped")
        result = self.ok("evaluate", self.dir / "run", "--episodes", "50", "--json")
        self.assertEqual(len(result.lines()), 1, str(result))
        for text in ("warning: ", str(newest), str(older)):
            self.assertIn(text, result.err)
        self.assertEqual(score(result), wanted)
        self.fails(3, "evaluate", newest, says=newest.name)

    def test_finished_run_with_a_damaged_end(self):
        """Not called done: an error that names the cure, and the cure gives the same bytes."""
        for name in ("policy.safetensors", "state-rank0.h5", "MANIFEST.json"):
            with self.subTest(file=name):
                copy = self.dir / "copy"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(self.dir / "whole", copy)
                newest = checkpoints(copy)[-1]
                self.damage(newest / name, "flipped")
                self.fails(3, *self.train("copy"), says=(newest.name, "--resume"))
                result = self.ok(*self.train("copy", "--resume"))
                self.assertEqual(len(result.lines()), 1, str(result))
                self.assertIn("warning: ", result.err)
                assert_same_run(self, self.dir / "whole", copy)
                self.no_leftovers(copy)
                self.ok(*self.train("copy"))

    def test_checkpoint_begun_is_removed(self):
        folder = self.dir / "run" / "checkpoints"
        for name in ("step_000000099999.tmp", "step_000000061440.tmp"):
            shutil.copytree(checkpoints(self.dir / "run")[-1], folder / name)
        (folder / "step_000000061440.tmp" / "MANIFEST.json").unlink()
        (folder / "step_000000000000.tmp").mkdir()
        self.ok(*self.train("run", "--resume"))
        self.no_leftovers(self.dir / "run")
        assert_same_run(self, self.dir / "whole", self.dir / "run")

    def test_killed_while_a_checkpoint_replaced_one_of_its_number(self):
        """A run resumed at its very end saves its last checkpoint again: old away, new in."""
        gone = support.start("--version")
        support.finish(gone)
        for state in ("begun", "moved away", "in place"):
            for old_is_good in (True, False):
                with self.subTest(state=state, old_is_good=old_is_good):
                    copy = self.dir / "copy"
                    shutil.rmtree(copy, ignore_errors=True)
                    shutil.copytree(self.dir / "whole", copy)
                    set_running(copy)
                    newest = checkpoints(copy)[-1]
                    new = newest.with_name(newest.name + ".tmp")
                    old = newest.with_name(f"{newest.name}.tmp-{gone.pid}")
                    shutil.copytree(newest, new)
                    if not old_is_good:
                        self.damage(newest / "state-rank0.h5", "truncated")
                    if state != "begun":
                        newest.rename(old)
                    if state == "in place":
                        new.rename(newest)
                    self.ok(*self.train("copy", "--resume"))
                    assert_same_run(self, self.dir / "whole", copy)
                    self.no_leftovers(copy)

    def test_killed_at_its_very_end(self):
        """The same, killed for real."""
        copy = self.dir / "copy"
        rng = support.seeded(12)
        shutil.copytree(self.dir / "whole", copy)
        for _ in range(60 if support.soak else 12):
            set_running(copy)
            support.run_killed(rng.uniform(0, 0.08), *self.train("copy", "--resume"))
            self.ok("verify", copy, "--quiet")
        set_running(copy)
        self.ok(*self.train("copy", "--resume"))
        assert_same_run(self, self.dir / "whole", copy)
        self.no_leftovers(copy)

    def test_policy_is_scored_in_the_world_it_was_trained_in(self):
        world = ["env.params.gravity=20", "env.time_limit=300"]
        sets = [part for key in world for part in ("--set", key)]
        self.ok(*self.train("heavy", *sets))
        folder = checkpoints(self.dir / "heavy")[-1]
        bare = self.write("bare.safetensors", (folder / "policy.safetensors").read_bytes())
        ask = ["--episodes", "200", "--json"]
        wanted = score(self.ok("evaluate", self.dir / "heavy", *ask))
        self.assertIn('"gravity":20.0', wanted["env_params"])
        self.assertIn('"time_limit":300', wanted["env_params"])
        self.assertLessEqual(wanted["max_length"], 300)
        for target in (folder, folder / "policy.safetensors", bare):
            self.assertEqual(score(self.ok("evaluate", target, *ask)), wanted)
            self.assertEqual(score(self.ok("evaluate", target, *ask, *sets)), wanted)
        for target in (self.dir / "heavy", bare):
            # So heavy that no policy keeps the pole up to the limit: the override must show in the score.
            other = score(self.ok("evaluate", target, *ask, "--set", "env.params.gravity=95"))
            self.assertIn('"gravity":95.0,', other["env_params"])
            self.assertIn('"time_limit":300', other["env_params"])
            self.assertNotEqual(other["mean_return"], wanted["mean_return"])

    def test_policy_of_a_world_that_is_none(self):
        policy = (checkpoints(self.dir / "run")[-1] / "policy.safetensors").read_bytes()
        for old, new in (
            (b"gravity", b"gravitx"),
            (b"9.8", b"1e9"),
            (b":9.8", b":nan"),
            (b"500,", b'"ab,'),
        ):
            with self.subTest(new=new):
                self.assertEqual(policy.count(old), 1)
                path = self.write("odd.safetensors", policy.replace(old, new))
                self.fails(3, "evaluate", path, says="odd.safetensors")

    def test_no_checkpoint_left(self):
        for folder in checkpoints(self.dir / "run"):
            self.damage(folder / "policy.safetensors", "flipped")
        before = [p.name for p in checkpoints(self.dir / "run")]
        self.fails(3, *self.train("run", "--resume"), says=("no usable checkpoint", before[0]))
        self.fails(3, "evaluate", self.dir / "run", says="no usable checkpoint")
        self.assertEqual([p.name for p in checkpoints(self.dir / "run")], before)

    def transplant(self, name, *train):
        """The checkpoints of another run in the folder of this one."""
        self.ok("train", *train, "--out", self.dir / name, *SHORT)
        shutil.rmtree(self.dir / "run" / "checkpoints")
        shutil.copytree(self.dir / name / "checkpoints", self.dir / "run" / "checkpoints")

    def test_checkpoint_of_another_environment(self):
        self.transplant("acrobot", support.recipe("acrobot_ppo.toml"))
        self.fails(3, *self.train("run", "--resume"), says="Acrobot-v1")

    def test_checkpoint_of_another_shape(self):
        self.transplant("small", self.recipe, "--set", "policy.hidden=[32]")
        self.fails(3, *self.train("run", "--resume"), says="section policy")

    def test_checkpoint_of_other_environments(self):
        self.transplant("few", self.recipe, "--set", "env.num_envs=16")
        self.fails(3, *self.train("run", "--resume"))

    def test_checkpoint_of_an_older_format(self):
        """Its policy can be used, but the run not resumed: the environments' columns were of another length."""
        for folder in checkpoints(self.dir / "run"):
            state, path = folder / "state-rank0.h5", folder / "MANIFEST.json"
            with h5py.File(state, "r+") as file:
                file.attrs.modify("format_version", np.int64(1))
            manifest = json.loads(path.read_text())
            manifest["format_version"] = 1
            manifest["sha256"]["state-rank0.h5"] = hashlib.sha256(state.read_bytes()).hexdigest()
            path.write_text(json.dumps(manifest))
        self.fails(3, *self.train("run", "--resume"), says=("state-rank0.h5", "an older format"))
        self.ok("evaluate", self.dir / "run", "--episodes", "10")

    def test_damaged_metrics_and_status(self):
        with open(self.dir / "run" / "metrics.jsonl", "ab") as file:
            file.write(b'{"step":999999,"upda')
        (self.dir / "run" / "RUN_STATUS.json").write_text("{")
        (self.dir / "run" / "checkpoints" / "latest").write_text("step_nowhere\n")
        self.ok(*self.train("run", "--resume"))
        assert_same_run(self, self.dir / "whole", self.dir / "run")

    def test_garbage_policies(self):
        policy = (checkpoints(self.dir / "run")[-1] / "policy.safetensors").read_bytes()
        header = struct.unpack("<Q", policy[:8])[0]
        json_start = policy[8 : 8 + header]
        garbage = {
            "empty": b"",
            "short": b"\0" * 7,
            "zeros": bytes(4096),
            "noise": bytes(support.seeded(9).randbytes(5000)),
            "huge header": struct.pack("<Q", 1 << 62) + policy[8:],
            "pickle": b"\x80\x04\x95" + bytes(100),
            "cut": policy[:-1],
            "half": policy[: len(policy) // 2],
            "longer": policy + b"\0",
            "duplicate": struct.pack("<Q", header)
            + json_start.replace(b'"', b"'", 1)
            + policy[8 + header :],
            "nan": policy[:-4] + struct.pack("<f", float("nan")),
            "other dtype": policy.replace(b'"F32"', b'"F16"', 1),
            "no env": policy.replace(b"CartPole-v1", b"CartPole-v9"),
            "deep": struct.pack("<Q", 100000) + b"[" * 100000,
        }
        for name, data in garbage.items():
            path = self.write(f"{name}.safetensors", data)
            with self.subTest(garbage=name):
                self.fails(
                    3,
                    "evaluate",
                    path,
                    "--env",
                    "CartPole-v1",
                    "--episodes",
                    "5",
                    says=f"{name}.safetensors",
                )
                if name != "no env":
                    self.fails(3, "inspect", path, says=f"{name}.safetensors")
                self.fails(
                    3,
                    *self.generate("out", "--set", f"generate.policy={path}"),
                    says=f"{name}.safetensors",
                )
        self.fails(3, "evaluate", self.dir / "none", says="none")
        self.fails(3, "evaluate", self.dir, says=str(self.dir))
        good = self.write("good.safetensors", policy)
        self.ok("evaluate", good, "--episodes", "5", "--quiet")
        self.fails(3, "evaluate", good, "--env", "Acrobot-v1", says="CartPole-v1")

    def test_min_return_is_a_gate(self):
        self.ok("evaluate", self.dir / "run", "--episodes", "50", "--quiet", "--min-return", "5")
        result = self.fails(
            1, "evaluate", self.dir / "run", "--episodes", "50", "--quiet", "--min-return", "501"
        )
        self.assertIn("501", result.err)


if __name__ == "__main__":
    support.main()
