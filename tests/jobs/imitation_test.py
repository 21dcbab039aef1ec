"""Imitation as commands: clone a dataset, start from it, distil a policy; killed, resumed, and with wrong input."""

import json
import signal

import support
from support import JobTest, final_policy, read_metrics

CORRIDOR = """[env]
id = "Rollmill/MemoryCorridor-v0"
num_envs = 32

[policy]
hidden = [32]
activation = "relu"
trunk = "shared"
memory = "gru"
memory_size = 32

[trainer]
algorithm = "bc"
total_steps = 600_000

[bc]
dataset = "{data}"
horizon = 32
batch_size = 256
batches = 8
learning_rate = 3e-3
anneal_learning_rate = true
"""

DATA = """[env]
id = "Rollmill/MemoryCorridor-v0"

[generate]
policy = "expert"
episodes = 3000
"""

CARTPOLE = """[env]
id = "CartPole-v1"
num_envs = 64

[policy]
hidden = [16]

[trainer]
algorithm = "{algorithm}"
total_steps = 100_000

[ppo]
horizon = 32
learning_rate = 3e-3
anneal_learning_rate = true
"""


class Imitation(JobTest):
    def dataset(self):
        data = self.dir / "data"
        self.ok("generate", self.write("data.toml", DATA), "--out", data, "--quiet")
        return data

    def test_cloning_the_expert(self):
        """As good as the expert; killed in the middle and resumed it is the same policy."""
        config = self.write("bc.toml", CORRIDOR.format(data=self.dataset()))
        whole = self.ok("train", config, "--out", self.dir / "whole", "--json", "--quiet")
        evaluation = json.loads(whole.out)["evaluation"]
        self.assertGreaterEqual(evaluation["mean_return"], 0.99)
        self.assertGreater(read_metrics(self.dir / "whole")[-1]["passes"], 1)
        killed = ["train", config, "--out", self.dir / "killed", "--quiet", "--set", "checkpoint.every_updates=20"]
        support.run_killed(1.0, *killed, number=signal.SIGKILL)
        self.ok(*killed, "--resume")
        self.assertEqual(
            final_policy(self.dir / "killed"), final_policy(self.dir / "whole"))

    def test_another_dataset_in_the_same_place(self):
        data = self.dataset()
        config = self.write("bc.toml", CORRIDOR.format(data=data))
        run = ["train", config, "--out", self.dir / "run", "--quiet", "--set", "evaluation.episodes=0"]
        self.ok(*run, "--set", "trainer.total_steps=20000")
        for file in data.iterdir():
            file.unlink()
        self.ok("generate", self.write("other.toml", DATA), "--seed", "9", "--out", data, "--quiet")
        self.fails(3, *run, "--resume", says=["another content", str(data)])

    def test_starting_from_a_dataset(self):
        """PPO that has imitated solves the corridor in its first rollouts; alone it is far from it."""
        text = CORRIDOR.format(data="").split("[bc]")[0].replace('"bc"', '"ppo"').replace("600_000", "8192")
        config = self.write("ppo.toml", text + "[ppo]\nhorizon = 32\n")
        start = [f"init.dataset={self.dataset()}", "init.epochs=10", "init.learning_rate=3e-3"]
        sets = [word for key in start for word in ("--set", key)]
        returns = {}
        for name, options in {"alone": [], "started": sets}.items():
            out = self.ok("train", config, "--out", self.dir / name, "--json", "--quiet", *options).out
            returns[name] = json.loads(out)["evaluation"]["mean_return"]
        self.assertLess(returns["alone"], 0.7)
        self.assertGreater(returns["started"], 0.95)

    def test_distilling(self):
        teacher = self.dir / "teacher"
        self.ok("train", support.recipe("cartpole_ppo.toml"), "--out", teacher, "--quiet")
        config = self.write("distill.toml", CARTPOLE.format(algorithm="distill"))
        out = self.ok("train", config, "--set", f"distill.teacher={teacher}", "--out", self.dir / "student",
                      "--json", "--quiet").out
        self.assertGreaterEqual(json.loads(out)["evaluation"]["mean_return"], 475)
        # A student that starts from the teacher has nothing to learn but noise.
        same = self.write("same.toml", CARTPOLE.format(algorithm="ppo").replace("[16]", "[64, 64]"))
        out = self.ok("train", same, "--set", f"init.policy={teacher}", "--set", "trainer.total_steps=2048",
                      "--set", "ppo.learning_rate=0", "--out", self.dir / "same", "--json", "--quiet").out
        self.assertGreaterEqual(json.loads(out)["evaluation"]["mean_return"], 475)
        self.fails(2, "train", config, "--set", f"init.policy={teacher}", "--set", f"distill.teacher={teacher}",
                   "--out", self.dir / "other", says=["init.policy", "64, 64", "16"])

    def test_another_teacher_in_the_same_place(self):
        teacher = self.dir / "teacher"
        train = ["train", support.recipe("cartpole_ppo.toml"), "--out", teacher, "--quiet", "--set", "evaluation.episodes=0"]
        self.ok(*train, "--set", "trainer.total_steps=20000")
        config = self.write("distill.toml", CARTPOLE.format(algorithm="distill"))
        student = ["train", config, "--set", f"distill.teacher={teacher}", "--out", self.dir / "student", "--quiet",
                   "--set", "evaluation.episodes=0"]
        self.ok(*student, "--set", "trainer.total_steps=8192")
        self.ok(*student, "--set", "trainer.total_steps=16384", "--resume")
        self.ok(*train, "--set", "trainer.total_steps=40000", "--resume")
        self.fails(3, *student, "--set", "trainer.total_steps=32768", "--resume", says=["another teacher", "distill.teacher"])

    def test_wrong_input(self):
        data = self.dataset()
        config = self.write("bc.toml", CORRIDOR.format(data=data))
        out = ["--out", self.dir / "run"]
        self.fails(2, "train", config, *out, "--set", "bc.batch_size=100", says=["bc.batch_size", "bc.horizon"])
        self.fails(2, "train", config, *out, "--set", "bc.epochs=3", says=["bc.epochs"])
        self.fails(2, "train", config, *out, "--set", "stop.mean_return=1", says=["stop.mean_return"])
        huge = ["bc.horizon=1", "bc.batch_size=1048576", "bc.batches=4096"]
        self.fails(2, "train", config, *out, *[w for key in huge for w in ("--set", key)], says=["bc.batches"])
        ppo = self.write("ppo.toml", CORRIDOR.format(data="").split("[bc]")[0].replace('"bc"', '"ppo"'))
        uneven = ["ppo.horizon=64", "ppo.sequence_length=16", "ppo.minibatches=64", f"init.dataset={data}"]
        self.fails(2, "train", ppo, *out, *[w for key in uneven for w in ("--set", key)], says=["init.dataset", "minibatches"])
        self.fails(2, "train", config, *out, "--set", "init.epochs=3", says=["init.epochs"])
        self.fails(3, "train", config, *out, "--set", f"bc.dataset={self.dir}/none", says=["none"])
        self.fails(3, "train", config, "--out", self.dir / "run2", "--set", "env.id=CartPole-v1",
                   "--set", "policy.memory=none", says=["MemoryCorridor", "CartPole-v1"])
        (data / "shard-000000.h5").write_bytes((data / "shard-000000.h5").read_bytes()[:-100])
        self.fails(3, "train", config, "--out", self.dir / "run3", says=["shard-000000.h5"])
        distill = self.write("distill.toml", CARTPOLE.format(algorithm="distill"))
        self.fails(2, "train", distill, *out, says=["distill.teacher"])
        self.fails(2, "train", distill, *out, "--set", "distill.teacher=x", "--set", "ppo.clip=0.1", says=["ppo.clip"])
        self.fails(3, "train", distill, "--out", self.dir / "run4", "--set", f"distill.teacher={data}",
                   says=[str(data)])


if __name__ == "__main__":
    support.main()
