"""PufferLib 3.0.0's own trainer, policy and C CartPole, with its own settings for that game except what a machine without a
GPU asks for (device) and its recurrent wrapper, which is left off. Runs in DIR/puffer, which setup.sh makes, and in a
temporary folder: it leaves a link and checkpoints in the working directory."""
import configparser
import contextlib
import io
import os

with contextlib.redirect_stdout(io.StringIO()):
    import pufferlib.models
    import pufferlib.pufferl
    import pufferlib.vector
    import torch
    from pufferlib.ocean.cartpole.cartpole import Cartpole


def own_settings():
    """[train] of its defaults and of its cartpole.ini."""
    config = configparser.ConfigParser()
    folder = os.path.join(os.path.dirname(os.path.abspath(pufferlib.pufferl.__file__)), "config")
    config.read([os.path.join(folder, "default.ini"), os.path.join(folder, "ocean/cartpole.ini")])

    def value(text):
        for kind in (lambda t: {"True": True, "False": False}[t], lambda t: int(t.replace("_", "")), float):
            with contextlib.suppress(KeyError, ValueError):
                return kind(text)
        return text

    return {key: value(text) for key, text in config["train"].items()}


class QuietPuffeRL(pufferlib.pufferl.PuffeRL):
    def print_dashboard(self, *_, **__):  # standard output is for answers
        pass


class Trainer:
    """Each advance() is one rollout and one training pass."""

    compile_seconds = 0.0

    def __init__(self, settings, threads=1, backend="Serial"):
        torch.set_num_threads(threads)
        # Its cartpole.ini says 4,096 environments, its default.ini two such vectors.
        env = {"num_envs": settings["num_envs"] // 2, "report_interval": 16}
        vector = {"num_envs": 2}
        if backend == "Multiprocessing":
            vector["num_workers"] = 2
        self.vector = pufferlib.vector.make(Cartpole, env_kwargs=env, backend=getattr(pufferlib.vector, backend), **vector)
        policy = pufferlib.models.Default(self.vector.driver_env)
        config = {**own_settings(), "device": "cpu", "use_rnn": False, "env": "puffer_cartpole",
                  "total_timesteps": settings.get("total_steps", 1_000_000_000)}
        self.trainer = QuietPuffeRL(config, self.vector, policy)
        self.score = None

    def advance(self):
        before = self.trainer.global_step
        scores = self.trainer.evaluate()["score"]
        if isinstance(scores, list) and scores:
            self.score = sum(scores[-8:]) / len(scores[-8:])
        self.trainer.train()
        return self.trainer.global_step - before

    def recent_return(self):
        """Of the episodes of the last rollout, with sampled actions; at most 200, its time limit."""
        return self.score

    def close(self):
        self.trainer.utilization.stop()
        self.vector.close()
