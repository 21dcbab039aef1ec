"""PPO that XLA compiles whole: environments by vmap, time by scan, and a number of updates in one call.

The idea is PureJaxRL's (Lu et al. 2022, "Discovered Policy Optimisation"); the code is ours. Environments are gymnax's.
float32, or bfloat16 arithmetic in the networks over float32 master weights, optimiser and losses.
"""
import time

import gymnax
import jax
import jax.numpy as jnp

ADAM = (0.9, 0.999, 1e-5)  # beta1, beta2, epsilon


def layer(key, inputs, outputs, gain):
    return {"w": jax.nn.initializers.orthogonal(gain)(key, (inputs, outputs)), "b": jnp.zeros(outputs)}


def dense(p, x):
    return x @ p["w"] + p["b"]


class Perceptrons:
    """Actor and critic apart, each with tanh layers."""

    def __init__(self, inputs, actions, hidden):
        self.sizes, self.actions = (*inputs, *hidden), actions

    def init(self, key):
        keys = iter(jax.random.split(key, 2 * len(self.sizes)))
        net = lambda outputs, gain: [  # noqa: E731
            *(layer(next(keys), a, b, 2 ** 0.5) for a, b in zip(self.sizes, self.sizes[1:])),
            layer(next(keys), self.sizes[-1], outputs, gain)]
        return {"actor": net(self.actions, 0.01), "critic": net(1, 1.0)}

    @staticmethod
    def net(layers, x):
        for p in layers[:-1]:
            x = jnp.tanh(dense(p, x))
        return dense(layers[-1], x)

    def apply(self, params, x):
        return self.net(params["actor"], x), self.net(params["critic"], x)[..., 0]


class Convolution:
    """MinAtar's network: 3 x 3 filters, one dense layer, ReLU, two heads on it.

    The patches are written out and multiplied: jax.lax.conv_general_dilated does the same, but trains at a fifth of the speed on
    XLA's CPU backend."""

    def __init__(self, inputs, actions, channels, hidden):
        self.height, self.width, self.planes = inputs
        self.actions, self.channels, self.hidden = actions, channels, hidden

    def init(self, key):
        keys = jax.random.split(key, 4)
        positions = (self.height - 2) * (self.width - 2)
        return {"conv": layer(keys[0], 9 * self.planes, self.channels, 2 ** 0.5),
                "dense": layer(keys[1], positions * self.channels, self.hidden, 2 ** 0.5),
                "actor": layer(keys[2], self.hidden, self.actions, 0.01), "critic": layer(keys[3], self.hidden, 1, 1.0)}

    def convolve(self, p, x):
        h, w = self.height - 2, self.width - 2
        return dense(p, jnp.concatenate([x[:, i:i + h, j:j + w] for i in range(3) for j in range(3)], -1))

    def apply(self, params, x):
        x = jax.nn.relu(self.convolve(params["conv"], x))
        x = jax.nn.relu(dense(params["dense"], x.reshape(x.shape[0], -1)))
        return dense(params["actor"], x), dense(params["critic"], x)[:, 0]


class Trainer:
    """settings: see train.py. Each advance() is one call of the compiled program. With "seeds" above 1 that many trainings go side by
    side, by vmap over all of it."""

    def __init__(self, settings, seed=0, total_updates=None, updates_per_call=None):
        self.s, self.total_updates = settings, total_updates
        self.env, self.env_params = gymnax.make(settings["gymnax"])
        inputs = self.env.observation_space(self.env_params).shape
        actions = self.env.action_space(self.env_params).n
        if settings["network"] == "cnn":
            self.network = Convolution(inputs, actions, settings["channels"], settings["hidden"][0])
        else:
            self.network = Perceptrons(inputs, actions, settings["hidden"])
        self.batch = settings["num_envs"] * settings["horizon"]
        # About half a second a call, so that what Python does between calls does not count.
        self.seeds = settings.get("seeds", 1)
        self.updates = updates_per_call or max(1, (8192 if settings["network"] == "cnn" else 65536) // (self.batch * self.seeds))
        self.compile_seconds = 0.0
        key, start, call = jax.random.key(seed), self.start, self.call
        if self.seeds > 1:
            key, start, call = jax.random.split(key, self.seeds), jax.vmap(start), jax.vmap(call)
        self.carry = self.compiled(jax.jit(start), key)(key)
        self.run = self.compiled(jax.jit(call, donate_argnums=0), self.carry)
        self.greedy = None
        self.returned, self.finished = 0.0, 0

    def compiled(self, function, *inputs):
        start = time.perf_counter()
        program = function.lower(*inputs).compile()
        self.compile_seconds += time.perf_counter() - start
        return program

    def start(self, key):
        params_key, reset_key, key = jax.random.split(key, 3)
        params = self.network.init(params_key)
        zeros = jax.tree.map(jnp.zeros_like, params)
        keys = jax.random.split(reset_key, self.s["num_envs"])
        observation, state = jax.vmap(self.env.reset, in_axes=(0, None))(keys, self.env_params)
        return {"key": key, "params": params, "m": zeros, "v": zeros, "adam_steps": jnp.int32(0), "updates": jnp.int32(0),
                "observation": observation, "state": state, "running": jnp.zeros(self.s["num_envs"])}

    def forward(self, params, observation):
        if self.s["dtype"] == "bfloat16":
            params, observation = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (params, observation))
        logits, value = self.network.apply(params, observation)
        return logits.astype(jnp.float32), value.astype(jnp.float32)

    def step(self, params, carry, _):
        key, state, observation, running = carry
        key, action_key, step_key = jax.random.split(key, 3)
        logits, value = self.forward(params, observation)
        action = jax.random.categorical(action_key, logits)
        logprob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
        following, state, reward, terminated, truncated, _ = jax.vmap(self.env.step, in_axes=(0, 0, 0, None))(
            jax.random.split(step_key, self.s["num_envs"]), state, action, self.env_params)
        done = terminated | truncated
        running += reward
        row = {"observation": observation, "action": action, "logprob": logprob, "value": value, "reward": reward,
               "done": done, "ended": jnp.where(done, running, 0.0).sum(), "ends": done.sum()}
        return (key, state, following, jnp.where(done, 0.0, running)), row

    def advantages(self, rows, last_value):
        gamma, decay = self.s["gamma"], self.s["gamma"] * self.s["gae_lambda"]

        def back(carry, row):
            advantage, following = carry
            alive = 1.0 - row["done"]
            advantage = row["reward"] + gamma * following * alive - row["value"] + decay * alive * advantage
            return (advantage, row["value"]), advantage

        parts = {name: rows[name] for name in ("done", "reward", "value")}
        return jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), parts, reverse=True)[1]

    def loss(self, params, rows):
        s = self.s
        logits, value = self.forward(params, rows["observation"])
        log_probabilities = jax.nn.log_softmax(logits)
        logprob = jnp.take_along_axis(log_probabilities, rows["action"][:, None], 1)[:, 0]
        advantage = (rows["advantage"] - rows["advantage"].mean()) / (rows["advantage"].std() + 1e-8)
        ratio = jnp.exp(logprob - rows["logprob"])
        clipped = jnp.clip(ratio, 1 - s["clip"], 1 + s["clip"])
        policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
        error = (value - rows["target"]) ** 2
        if s.get("value_clip"):
            near = rows["value"] + jnp.clip(value - rows["value"], -s["value_clip"], s["value_clip"])
            error = jnp.maximum(error, (near - rows["target"]) ** 2)
        entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum(1).mean()
        return policy_loss + s["value_coefficient"] * 0.5 * error.mean() - s["entropy_coefficient"] * entropy

    def learn(self, learning_rate, carry, rows):
        params, m, v, count = carry
        gradient = jax.grad(self.loss)(params, rows)
        norm = jnp.sqrt(sum((g ** 2).sum() for g in jax.tree.leaves(gradient)))
        shrink = jnp.minimum(1.0, self.s["max_grad_norm"] / (norm + 1e-6))
        beta1, beta2, epsilon = ADAM
        count += 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g * shrink, m, gradient)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * (g * shrink) ** 2, v, gradient)
        params = jax.tree.map(
            lambda p, m, v: p - learning_rate * (m / (1 - beta1 ** count)) / (jnp.sqrt(v / (1 - beta2 ** count)) + epsilon),
            params, m, v)
        return (params, m, v, count), None

    def update(self, carry, _):
        s = self.s
        rate = s["learning_rate"]
        if self.total_updates:
            rate *= jnp.maximum(0.0, 1.0 - carry["updates"] / self.total_updates)
        rollout = (carry["key"], carry["state"], carry["observation"], carry["running"])
        (key, state, observation, running), rows = jax.lax.scan(
            lambda c, x: self.step(carry["params"], c, x), rollout, None, s["horizon"])
        ended, ends = rows.pop("ended").sum(), rows.pop("ends").sum()
        rows["advantage"] = self.advantages(rows, self.forward(carry["params"], observation)[1])
        rows["target"] = rows["advantage"] + rows["value"]
        flat = jax.tree.map(lambda x: x.reshape(self.batch, *x.shape[2:]), rows)

        def epoch(learned, key):
            order = jax.random.permutation(key, self.batch)
            parts = jax.tree.map(lambda x: x[order].reshape(s["minibatches"], -1, *x.shape[1:]), flat)
            return jax.lax.scan(lambda c, x: self.learn(rate, c, x), learned, parts)[0], None

        key, shuffle_key = jax.random.split(key)
        (params, m, v, count), _ = jax.lax.scan(epoch, (carry["params"], carry["m"], carry["v"], carry["adam_steps"]),
                                                jax.random.split(shuffle_key, s["epochs"]))
        return {"key": key, "params": params, "m": m, "v": v, "adam_steps": count, "updates": carry["updates"] + 1,
                "observation": observation, "state": state, "running": running}, (ended, ends)

    def call(self, carry):
        carry, (ended, ends) = jax.lax.scan(self.update, carry, None, self.updates)
        return carry, ended.sum(), ends.sum()

    def advance(self):
        self.carry, returned, finished = self.run(self.carry)
        self.returned, self.finished = float(returned.sum()), int(finished.sum())
        return self.updates * self.batch * self.seeds

    def recent_return(self):
        """Of the episodes that ended in the last call, with sampled actions."""
        return self.returned / self.finished if self.finished else None

    def evaluate(self, episodes):
        """Mean greedy return; compiled at the first call."""
        params = self.carry["params"]
        self.greedy = self.greedy or self.compiled(jax.jit(lambda p: self.play(p, episodes)), params)
        return float(self.greedy(params))

    def play(self, params, episodes):
        keys = jax.random.split(jax.random.key(12345), episodes)
        observation, state = jax.vmap(self.env.reset, in_axes=(0, None))(keys, self.env_params)

        def step(carry, _):
            state, observation, alive, total = carry
            action = self.forward(params, observation)[0].argmax(1)
            observation, state, reward, terminated, truncated, _ = jax.vmap(self.env.step, in_axes=(0, 0, 0, None))(
                keys, state, action, self.env_params)
            total += reward * alive
            return (state, observation, alive * (1.0 - (terminated | truncated)), total), None

        start = (state, observation, jnp.ones(episodes), jnp.zeros(episodes))
        (_, _, _, total), _ = jax.lax.scan(step, start, None, self.env_params.max_steps_in_episode)
        return total.mean()
