"""Exported policies in programs of others: Gymnasium's own environments, driven by onnxruntime and by torch; and what `export`
writes, prints and refuses."""

import json
import pathlib
import shutil

import gymnasium
import numpy as np
import onnxruntime
import torch

import support
from small_jobs import Faults
from support import checkpoints

FILES = {
    "onnx": "policy.onnx",
    "torchscript": "policy.pt",
    "c": "policy.h",
    "safetensors": "policy.safetensors",
}


def mean_return(env_id, episodes, act):
    """Of Gymnasium's environment; act(observation [1, D]) gives what its step() takes."""
    env, total = gymnasium.make(env_id), 0.0
    for episode in range(episodes):
        x, _ = env.reset(seed=1000 + episode)
        ended = False
        while not ended:
            x, reward, terminated, truncated, _ = env.step(act(np.asarray(x, np.float32)[np.newaxis]))
            total += reward
            ended = terminated or truncated
    return total / episodes


class Elsewhere(support.JobTest):
    """A whole recipe, exported, does in Gymnasium what the recipe promises here."""

    def export(self, name):
        train = ["train", support.recipe(name), "--out", self.dir / "run", "--quiet"]
        # One thread, here and below, waits for nobody on a busy machine.
        train += ["--set", "evaluation.episodes=0", "--set", "run.threads=1"]
        self.ok(*train, timeout=240)
        self.ok("export", self.dir / "run", "--quiet")
        return self.dir / "run" / "export"

    def test_cartpole_with_onnxruntime(self):
        path = str(self.export("cartpole_ppo.toml") / "policy.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        act = lambda x: int(session.run(["choices"], {"observation": x})[0][0, 0])
        self.assertGreater(mean_return("CartPole-v1", 5, act), 475)

    def test_pendulum_with_torch(self):
        """Normalised observations, and an action scaled to the torque's range."""
        torch.set_num_threads(1)
        policy = torch.jit.load(self.export("pendulum_ppo.toml") / "policy.pt")
        act = lambda x: policy(torch.tensor(x))["real_actions"][0].numpy()
        with torch.no_grad():  # -160 in the mean; from one start to another it varies by 90
            self.assertGreater(mean_return("Pendulum-v1", 20, act), -260)


class Command(Faults):
    def setUp(self):
        super().setUp()
        self.run_dir = self.dir / "run"
        self.ok(*self.train("run"))
        self.policy = checkpoints(self.run_dir)[-1] / "policy.safetensors"

    def test_formats(self):
        out = self.dir / "out"
        for chosen in (["c"], ["safetensors", "onnx"], list(FILES)):
            shutil.rmtree(out, ignore_errors=True)
            result = self.ok("export", self.run_dir, "--format", ",".join(chosen), "--out", out)
            names = [file for key, file in FILES.items() if key in chosen] + ["policy.json"]
            self.assertEqual(sorted(p.name for p in out.iterdir()), sorted(names))
            signature = "observation [batch, 4] -> logits [batch, 2], choices [batch, 1], value [batch, 1]"
            lines = [f"{out / n}  {(out / n).stat().st_size} bytes  {signature}" for n in names]
            self.assertEqual(result.out.splitlines(), lines)
        self.assertEqual((out / "policy.safetensors").read_bytes(), self.policy.read_bytes())
        self.no_leftovers(out)

    def test_targets_and_reports(self):
        report = json.loads(self.ok("export", self.run_dir, "--json").out)
        self.assertEqual(report["policy"], str(self.policy))
        files = {pathlib.Path(f["file"]).name: f["bytes"] for f in report["files"]}
        written = {p.name: p.stat().st_size for p in (self.run_dir / "export").iterdir()}
        self.assertEqual(files, written)
        self.assertEqual(len(files), 5)
        for target in (self.policy.parent, self.policy):  # no run: the folder of the command
            here = self.dir / target.name
            here.mkdir()
            result = self.ok("export", target, "--format", "onnx", "--quiet", cwd=here)
            self.assertEqual(result.out + result.err, "")
            onnx = (here / "export" / "policy.onnx").read_bytes()
            self.assertEqual(onnx, (self.run_dir / "export" / "policy.onnx").read_bytes())
        self.ok("inspect", self.run_dir)  # an export within a run disturbs nobody
        self.ok("evaluate", self.run_dir / "export" / "policy.safetensors", "--episodes", 5)

    def test_bad_input(self):
        out = self.dir / "out"
        self.fails(2, "export", says="POLICY")
        self.fails(2, "export", self.run_dir, "--format", "onx", says=["'onx'", "'onnx'?"])
        self.fails(2, "export", self.run_dir, "--format", "onnx,,c", says="''")
        self.fails(3, "export", self.dir / "nothing", says="no such run, checkpoint or policy")
        self.fails(3, "export", self.dir, says="no usable checkpoint")
        self.fails(4, "export", self.run_dir, "--out", self.policy, says="--out")
        data = self.policy.read_bytes()
        cut = self.write("cut.safetensors", data[:-4])
        self.fails(3, "export", cut, "--out", out, says="cut.safetensors")
        other = self.write("other.safetensors", data.replace(b"CartPole-v1", b"CartPole-v9"))
        self.fails(3, "export", other, "--out", out, says=["CartPole-v9", "CartPole-v1", "--plugin"])
        wrong = self.write("wrong.safetensors", data.replace(b'"CartPole-v1"', b'"Acrobot-v1" '))
        self.fails(3, "export", wrong, "--out", out, says="Acrobot-v1")
        missing = {"ROLLMILL_MODULE_DIR": str(self.dir)}
        says = ["librollmill_torch.so", "--format onnx,c,safetensors"]
        self.fails(2, "export", self.run_dir, "--out", out, env=missing, says=says)
        self.assertFalse(out.exists(), "something was written")
        formats = ["--format", "onnx,c,safetensors"]
        self.ok("export", self.run_dir, *formats, "--out", out, env=missing)


if __name__ == "__main__":
    support.main()
