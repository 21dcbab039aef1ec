"""PPO as one plain torch loop over Gymnasium's vector environments, in the style CleanRL made common; the code is ours."""
import collections

import gymnasium
import numpy as np
import torch
from torch import nn


def layer(inputs, outputs, gain=2 ** 0.5):
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


def perceptron(inputs, hidden, outputs, gain):
    parts = []
    for size in hidden:
        parts += [layer(inputs, size), nn.Tanh()]
        inputs = size
    return nn.Sequential(*parts, layer(inputs, outputs, gain))


def make_envs(env_id, num_envs, kind):
    """sync: a Python loop over single environments, reset within the step that ends them; numpy: Gymnasium's own vectorised
    version, which spends a step on each reset."""
    if kind == "numpy":
        return gymnasium.make_vec(env_id, num_envs=num_envs, vectorization_mode="vector_entry_point")
    return gymnasium.make_vec(env_id, num_envs=num_envs, vectorization_mode="sync",
                              vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP})


class Trainer:
    """settings: see train.py. Each advance() is one update."""

    compile_seconds = 0.0

    def __init__(self, settings, seed=0, total_updates=None, threads=1, envs="sync"):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.s, self.total_updates, self.updates = settings, total_updates, 0
        self.num_envs, self.horizon = settings["num_envs"], settings["horizon"]
        self.envs = make_envs(settings["gymnasium"], self.num_envs, envs)
        inputs = int(np.prod(self.envs.single_observation_space.shape))
        self.actor = perceptron(inputs, settings["hidden"], int(self.envs.single_action_space.n), 0.01)
        self.critic = perceptron(inputs, settings["hidden"], 1, 1.0)
        self.parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings["learning_rate"], eps=1e-5)
        shape = (self.horizon, self.num_envs)
        self.observations = torch.zeros(*shape, inputs)
        self.actions = torch.zeros(shape, dtype=torch.long)
        self.logprobs, self.rewards, self.dones, self.values = (torch.zeros(shape) for _ in range(4))
        self.observation = torch.from_numpy(self.envs.reset(seed=seed)[0])
        self.done = torch.zeros(self.num_envs)
        self.running = np.zeros(self.num_envs)
        self.returns = collections.deque(maxlen=100)

    def collect(self):
        for t in range(self.horizon):
            self.observations[t], self.dones[t] = self.observation, self.done
            with torch.no_grad():
                chance = torch.distributions.Categorical(logits=self.actor(self.observation))
                self.actions[t] = action = chance.sample()
                self.logprobs[t] = chance.log_prob(action)
                self.values[t] = self.critic(self.observation).flatten()
            observation, reward, terminated, truncated, _ = self.envs.step(action.numpy())
            done = np.logical_or(terminated, truncated)
            self.rewards[t] = torch.as_tensor(reward, dtype=torch.float32)
            self.observation, self.done = torch.from_numpy(observation), torch.as_tensor(done, dtype=torch.float32)
            self.running += reward
            self.returns.extend(self.running[done])
            self.running[done] = 0.0

    def advantages(self):
        gamma, decay = self.s["gamma"], self.s["gamma"] * self.s["gae_lambda"]
        with torch.no_grad():
            value, done = self.critic(self.observation).flatten(), self.done
        advantages, last = torch.zeros_like(self.rewards), 0.0
        for t in reversed(range(self.horizon)):
            alive = 1.0 - done
            last = self.rewards[t] + gamma * value * alive - self.values[t] + decay * alive * last
            advantages[t] = last
            value, done = self.values[t], self.dones[t]
        return advantages

    def loss(self, rows):
        s = self.s
        observation, action, logprob, old_value, advantage, target = rows
        chance = torch.distributions.Categorical(logits=self.actor(observation))
        ratio = (chance.log_prob(action) - logprob).exp()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        policy_loss = torch.max(-advantage * ratio, -advantage * ratio.clamp(1 - s["clip"], 1 + s["clip"])).mean()
        value = self.critic(observation).flatten()
        error = (value - target) ** 2
        if s.get("value_clip"):
            near = old_value + (value - old_value).clamp(-s["value_clip"], s["value_clip"])
            error = torch.max(error, (near - target) ** 2)
        return (policy_loss + s["value_coefficient"] * 0.5 * error.mean()
                - s["entropy_coefficient"] * chance.entropy().mean())

    def advance(self):
        if self.total_updates:
            left = max(0.0, 1.0 - self.updates / self.total_updates)
            self.optimizer.param_groups[0]["lr"] = left * self.s["learning_rate"]
        self.collect()
        advantages = self.advantages()
        batch = self.horizon * self.num_envs
        flat = [x.reshape(batch, *x.shape[2:]) for x in
                (self.observations, self.actions, self.logprobs, self.values, advantages, advantages + self.values)]
        for _ in range(self.s["epochs"]):
            for part in torch.randperm(batch).chunk(self.s["minibatches"]):
                self.optimizer.zero_grad()
                self.loss([x[part] for x in flat]).backward()
                nn.utils.clip_grad_norm_(self.parameters, self.s["max_grad_norm"])
                self.optimizer.step()
        self.updates += 1
        return batch

    def recent_return(self):
        """Of the last 100 episodes, with sampled actions."""
        return float(np.mean(self.returns)) if self.returns else None

    def evaluate(self, episodes):
        """Mean greedy return of one episode each of so many environments."""
        envs = make_envs(self.s["gymnasium"], episodes, "numpy")
        observation, total, alive = envs.reset(seed=12345)[0], np.zeros(episodes), np.ones(episodes, bool)
        while alive.any():
            with torch.no_grad():
                action = self.actor(torch.from_numpy(observation)).argmax(1).numpy()
            observation, reward, terminated, truncated, _ = envs.step(action)
            total += reward * alive
            alive &= ~(terminated | truncated)
        return float(total.mean())
