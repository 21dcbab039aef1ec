"""Damaged and foreign checkpoints and policies: refused or passed over, and named."""

import shutil
import struct

import support
from small_jobs import SHORT, Faults
from support import assert_same_run, checkpoints


class Checkpoints(Faults):
    def setUp(self):
        super().setUp()
        self.ok(*self.train("whole"))
        self.stop_early("run")

    def stop_early(self, out):
        """A run with three checkpoints that is not finished."""
        self.ok(*self.train(out))
        status = (self.dir / out / "RUN_STATUS.json").read_text()
        (self.dir / out / "RUN_STATUS.json").write_text(status.replace('"done"', '"running"'))
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
        self.fails(3, *self.train("run", "--resume"), says="hidden")

    def test_checkpoint_of_other_environments(self):
        self.transplant("few", self.recipe, "--set", "env.num_envs=32")
        self.fails(3, *self.train("run", "--resume"))

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
