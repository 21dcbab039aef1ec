"""The small jobs that most tests here run: a moment of training, a few shards."""

import support
from support import JobTest

SHORT = [
    "--quiet",
    "--set",
    "trainer.total_steps=60000",
    "--set",
    "evaluation.episodes=0",
    "--set",
    "checkpoint.every_updates=5",
]
DATA = """[env]
id = "CartPole-v1"

[generate]
policy = "random"
transitions = 200000
shard_transitions = 20000
"""
CONFIG = """[env]
id = "{env}"

[generate]
policy = "{policy}"
shard_transitions = 20000
"""


class Faults(JobTest):
    """A fixed recipe for each job; tests add options."""

    def setUp(self):
        super().setUp()
        self.data = self.write("data.toml", DATA)
        self.recipe = support.recipe("cartpole_ppo.toml")

    def train(self, out, *more):
        return ["train", self.recipe, "--out", self.dir / out, *SHORT, *more]

    def generate(self, out, *more):
        return ["generate", self.data, "--out", self.dir / out, "--quiet", *more]


class Generate(JobTest):
    """Datasets of any environment and size; options are "key=value" or "--flag"."""

    def setUp(self):
        super().setUp()
        self.config = self.write("data.toml", CONFIG.format(env="CartPole-v1", policy="random"))

    def job(self, out, *options, config=None):
        sets = [
            part for option in options if not option.startswith("--") for part in ("--set", option)
        ]
        flags = [option for option in options if option.startswith("--")]
        return [
            "generate",
            config or self.config,
            "--out",
            self.dir / out,
            "--quiet",
            *sets,
            *flags,
        ]

    def make(self, out, *options, config=None):
        self.ok(*self.job(out, *options, config=config))
        return self.dir / out
