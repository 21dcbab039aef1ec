"""Stable-Baselines3's PPO as a user calls it: make_vec_env, MlpPolicy, learn."""
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class Trainer:
    """settings: see train.py. Each advance() is one update."""

    compile_seconds = 0.0

    def __init__(self, settings, seed=0, total_updates=None, threads=1):
        torch.set_num_threads(threads)
        self.env_id = settings["gymnasium"]
        self.batch = settings["num_envs"] * settings["horizon"]
        rate, clip = settings["learning_rate"], settings["clip"]
        if total_updates:  # its rl-zoo settings let both go down to 0
            rate, clip = (lambda left, top=top: left * top for top in (rate, clip))
        self.model = PPO(
            "MlpPolicy", make_vec_env(settings["gymnasium"], settings["num_envs"], seed=seed), learning_rate=rate,
            n_steps=settings["horizon"], batch_size=self.batch // settings["minibatches"], n_epochs=settings["epochs"],
            gamma=settings["gamma"], gae_lambda=settings["gae_lambda"], clip_range=clip,
            ent_coef=settings["entropy_coefficient"], vf_coef=settings["value_coefficient"],
            max_grad_norm=settings["max_grad_norm"], policy_kwargs={"net_arch": settings["hidden"]}, seed=seed, device="cpu")
        self.total = total_updates and total_updates * self.batch

    def advance(self):
        self.model.learn(self.batch, reset_num_timesteps=False)
        return self.batch

    def recent_return(self):
        """Of the last 100 episodes, with sampled actions."""
        episodes = self.model.ep_info_buffer
        return float(np.mean([e["r"] for e in episodes])) if episodes else None

    def evaluate(self, episodes):
        envs = make_vec_env(self.env_id, 20, seed=12345)
        return float(evaluate_policy(self.model, envs, n_eval_episodes=episodes)[0])

    def learn_until(self, enough):
        """One call of learn over the whole budget, ended by enough(trainer, steps) after an update: its schedules want that."""
        outer = self

        class Watch(BaseCallback):
            def _on_rollout_start(self):
                self.going = not (self.num_timesteps and enough(outer, self.num_timesteps))

            def _on_step(self):
                return self.going

        self.model.learn(self.total, callback=Watch())
