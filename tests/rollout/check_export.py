"""Exported policies as others read them: the ONNX file with onnx's checker and onnxruntime, the TorchScript file with torch,
the C header with this machine's compiler as C and as C++, the weights with NumPy in float64. All must say what the program
itself computed.

Tolerance 1e-5, times the largest number where that is above 1: float32 sums of at most 150 terms of size 1 in another
order, once or twice through tanh.

Usage: python check_export.py PATH_TO_export_probe
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch

from check_policy import read_safetensors
from exported_c import C_BUILDS, run_c
from near import near

CASES = ["discrete", "continuous", "linear", "mixed_frames", "choices_masked", "planes", "pixels"]
CASES += ["shared", "squashed", "beta", "deterministic", "gru", "gru_shared", "mingru", "mingru_actor"]
CASES += ["conv", "conv_gru"]


class Case:
    def __init__(self, probe, name, folder):
        self.name, self.folder = name, folder
        text = subprocess.run([probe, name, folder], check=True, capture_output=True, text=True).stdout
        rows = np.array([[float(w) for w in line.split()] for line in text.splitlines()])
        with open(self.path("policy.json"), encoding="utf-8") as file:
            self.json = json.load(file)
        self.inputs = [(t["name"], t["shape"][1]) for t in self.json["inputs"]]
        self.choices = [c["count"] for c in self.json["action"]["choices"]]
        reals = len(self.json["action"]["real_actions"])
        memory = dict(self.inputs).get("memory", 0)
        widths = [w for _, w in self.inputs] + [len(self.choices), reals, 1, 1, len(self.choices), reals, memory]
        assert rows.shape == (128, sum(widths)), (rows.shape, widths)
        parts = np.split(rows, np.cumsum(widths)[:-1], axis=1)
        self.feed = {n: parts[k].astype(np.float32) for k, (n, _) in enumerate(self.inputs)}
        self.sampled, self.raw, self.logprob, self.value, self.best, self.best_reals, self.memory = parts[len(self.inputs) :]
        assert len(np.unique(self.feed["observation"], axis=0)) > 8, "rows should differ"

    def path(self, file):
        return os.path.join(self.folder, file)

    def check(self, what, outputs):
        """A dictionary of outputs against the program's own rows: values, log-probabilities, greedy actions."""
        assert sorted(outputs) == sorted(t["name"] for t in self.json["outputs"]), what
        rows = len(self.value)
        for tensor in self.json["outputs"]:
            shape = tuple(rows if s == "batch" else s for s in tensor["shape"])
            array = np.asarray(outputs[tensor["name"]])
            assert array.shape == shape, (what, tensor, array.shape)
            assert array.dtype == tensor["dtype"] or what.startswith("C"), (what, tensor, array.dtype)
        worst = 0.0
        if "value" in outputs:
            worst = near(f"{what}: value", outputs["value"], self.value)
        if "memory" in self.feed:
            worst = max(worst, near(f"{what}: next memory", outputs["next_memory"], self.memory))
            assert np.max(np.abs(self.memory - self.feed["memory"])) > 0.1, "nothing is remembered"
        logprob = np.zeros((rows, 1))
        if self.choices:
            logits = np.asarray(outputs["logits"], np.float64).copy()
            if "action_mask" in self.feed:
                logits[self.feed["action_mask"] == 0] = -np.inf
            for c, z in enumerate(np.split(logits, np.cumsum(self.choices)[:-1], axis=1)):
                top = z.max(axis=1, keepdims=True)
                z = z - top - np.log(np.sum(np.exp(z - top), axis=1, keepdims=True))
                logprob += np.take_along_axis(z, self.sampled[:, [c]].astype(int), 1)
                best = self.best[:, c].astype(int)
                gap = np.sort(z, axis=1)
                clear = gap[:, -1] - gap[:, -2] > 1e-5
                assert np.mean(clear) > 0.9 and len(set(best)) > 1, f"{what}: choices hardly differ"
                assert np.array_equal(np.asarray(outputs["choices"])[clear, c], best[clear]), what
        if self.raw.shape[1]:
            kind = self.json["action"]["distribution"]
            greedy = {"gaussian": "mean", "beta": "(alpha - beta) / (alpha + beta)"}.get(kind, "tanh(mean)")
            assert self.json["action"]["greedy_x"] == greedy
            if kind == "beta":
                shapes = [torch.tensor(np.asarray(outputs[k], np.float64)) for k in ("alpha", "beta")]
                density = torch.distributions.Beta(*shapes).log_prob(torch.tensor(self.raw))
                logprob += np.sum(density.numpy() - np.log(2), axis=1, keepdims=True)
            elif kind != "deterministic":
                logprob += self.reals_logprob(outputs, kind == "squashed")
            worst = max(worst, near(f"{what}: actions", outputs["real_actions"], self.best_reals))
            bounds = self.json["action"]["real_actions"]
            low, high = ([f[k] for f in bounds] for k in ("low", "high"))
            assert np.all(self.best_reals >= low) and np.all(self.best_reals <= high)
            assert np.ptp(self.best_reals) > 0.1, f"{what}: actions hardly differ"
        worst = max(worst, near(f"{what}: log-probability", logprob, self.logprob))
        print(f"{self.name}, {what}: largest difference {worst:.1e}")

    def reals_logprob(self, outputs, squashed):
        """Of the raw samples; where they are squashed, of their tanh."""
        log_std = np.asarray(outputs["log_std"], np.float64)
        z = (self.raw - np.asarray(outputs["mean"], np.float64)) / np.exp(log_std)
        logprob = -0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)
        if squashed:
            logprob = logprob - np.log(1 - np.tanh(self.raw) ** 2)
        return np.sum(logprob, axis=1, keepdims=True)


def run_numpy(case):
    """From the safetensors file alone, with what policy.json says about observations and actions."""
    metadata, tensors = read_safetensors(case.path("policy.safetensors"))
    tensors = {name: t.numpy() for name, t in tensors.items()}
    x = case.feed["observation"].astype(np.float64)
    for key, plain in [("activation", "tanh"), ("trunk", "separate"), ("memory", "none"), ("memory_size", "0")]:
        assert str(case.json["network"][key]) == metadata.get(key, plain), key
    normaliser = case.json["normaliser"]
    assert (normaliser is not None) == (metadata["normalize_observations"] == "1")
    if normaliser:
        variance = tensors["normalizer.m2"] / tensors["normalizer.count"]
        near("shift", normaliser["shift"], tensors["normalizer.mean"], 1e-6)
        near("scale", normaliser["scale"], 1 / np.sqrt(variance + 1e-8), 1e-6)
        frames = case.json["observation"]["frame_stack"]
        mean, deviation = (np.tile(v, frames) for v in (tensors["normalizer.mean"], np.sqrt(variance + 1e-8)))
        if frames > 1:  # frames from before the episode become 0, and there are some
            before = np.array(case.json["observation"]["before_episode"], np.float32)
            near("before the episode", (before - tensors["normalizer.mean"]), np.zeros(len(before)), 1e-6)
            assert np.any(np.all(case.feed["observation"][:, : len(before)] == before, axis=1))
        x = np.clip((x - mean) / deviation, -normaliser["clip"], normaliser["clip"])

    activation = {"tanh": np.tanh, "relu": lambda y: np.maximum(y, 0)}[metadata["activation"]]
    memories = []

    def network(name):
        y = x
        if metadata.get("conv_channels"):
            _, height, width = case.json["observation"]["frame_shape"]
            y = y.reshape(len(x), -1, height, width)
            for k, stride in enumerate(metadata["conv_stride"].split(",")):
                weight, bias = (torch.tensor(tensors[f"{name}.conv.{k}.{part}"]) for part in ("weight", "bias"))
                y = activation(torch.conv2d(torch.tensor(y), weight, bias, int(stride)).numpy())
            y = y.reshape(len(x), -1)
        layers = sum(re.fullmatch(name + r"\.\d+\.weight", k) is not None for k in tensors)
        for layer in range(layers):
            if layer + 1 == layers and "memory" in case.feed:
                size = int(metadata["memory_size"])
                start = 0 if name == "actor" else size
                y = remember(name + ".memory.", y, case.feed["memory"][:, start : start + size].astype(np.float64))
                memories.append(y)
            y = y @ tensors[f"{name}.{layer}.weight"].T + tensors[f"{name}.{layer}.bias"]
            y = activation(y) if layer + 1 < layers else y
        return y

    def remember(prefix, y, h):
        """torch's own cell; MinGRU by the formulas of its paper (Feng et al. 2024, section 3.1)."""
        part = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        size = h.shape[1]
        if metadata["memory"] == "gru":
            cell = torch.nn.GRUCell(y.shape[1], size, dtype=torch.float64)
            cell.load_state_dict({k: torch.tensor(v) for k, v in part.items()})
            with torch.no_grad():
                return cell(torch.tensor(y), torch.tensor(h)).numpy()
        z, candidate = np.split(y @ part["weight_ih"].T + part["bias_ih"], 2, axis=1)
        z = 1 / (1 + np.exp(-z))
        return (1 - z) * h + z * candidate

    head, total = network("actor"), sum(case.choices)
    trunk = metadata.get("trunk", "separate")
    outputs = {}
    if trunk == "shared":
        head, outputs["value"] = head[:, :-1], head[:, -1:].astype(np.float32)
    if trunk == "separate":
        outputs["value"] = network("critic").astype(np.float32)
    if memories:
        outputs["next_memory"] = np.concatenate(memories, axis=1).astype(np.float32)
    if total:
        logits = head[:, :total]
        allowed = case.feed.get("action_mask", np.ones_like(logits)) > 0
        parts = np.split(np.where(allowed, logits, -np.inf), np.cumsum(case.choices)[:-1], axis=1)
        outputs["choices"] = np.stack([p.argmax(axis=1) for p in parts], axis=1)
        outputs["logits"] = logits.astype(np.float32)
    if head.shape[1] > total:
        bounds = case.json["action"]["real_actions"]
        low, high = (np.array([f[k] for f in bounds]) for k in ("low", "high"))
        kind = metadata.get("distribution", "gaussian")
        mean = head[:, total : total + len(bounds)]
        unit = mean if kind == "gaussian" else np.tanh(mean)
        if kind == "beta":
            shapes = 1 + np.logaddexp(0, head[:, total:])
            outputs["alpha"], outputs["beta"] = np.split(shapes.astype(np.float32), 2, axis=1)
            alpha, beta = np.split(shapes, 2, axis=1)
            unit = (alpha - beta) / (alpha + beta)
        action = np.clip((low + high) / 2 + (high - low) / 2 * unit, low, high)
        outputs["real_actions"] = action.astype(np.float32)
        if kind != "beta":
            outputs["mean"] = mean.astype(np.float32)
        if kind == "gaussian":
            outputs["log_std"] = tensors["log_std"][np.newaxis].astype(np.float32)
        if kind == "squashed":
            outputs["log_std"] = np.clip(head[:, total + len(bounds) :], -20, 2).astype(np.float32)
    case.check("safetensors in NumPy", outputs)


def run_onnx(case):
    model = onnx.load(case.path("policy.onnx"))
    onnx.checker.check_model(model, full_check=True)  # with shape inference, which must agree with what we declare
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)] and model.ir_version == 7
    for declared, described in [(model.graph.input, case.json["inputs"]), (model.graph.output, case.json["outputs"])]:
        for value, tensor in zip(declared, described, strict=True):
            shape = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert (value.name, shape, dtype) == (tensor["name"], tensor["shape"], tensor["dtype"])
            assert value.doc_string == tensor["meaning"] and len(tensor["meaning"]) > 10
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    case.check("ONNX", dict(zip(names, session.run(None, case.feed))))
    one = dict(zip(names, session.run(None, {k: v[:1] for k, v in case.feed.items()})))
    first = next(name for name in ("mean", "alpha", "logits") if name in names)
    everything = dict(zip(names, session.run(None, case.feed)))
    near("a batch of one", one[first], everything[first][:1])


def run_torchscript(case):
    policy = torch.jit.load(case.path("policy.pt"))
    feed = [torch.tensor(case.feed[name]) for name, _ in case.inputs]
    for what, module in [("TorchScript", policy), ("TorchScript, frozen", torch.jit.freeze(policy))]:
        with torch.no_grad():
            for _ in range(3):  # later calls are optimised for what the first ones saw
                outputs = module(*feed)
            case.check(what, {name: t.numpy() for name, t in outputs.items()})


def check_bytes(probe, case):
    """The same policy gives the same files."""
    with tempfile.TemporaryDirectory() as again:
        subprocess.run([probe, case.name, again], check=True, capture_output=True)
        for file in ("policy.onnx", "policy.h", "policy.pt", "policy.json", "policy.safetensors"):
            assert open(case.path(file), "rb").read() == open(os.path.join(again, file), "rb").read(), file


def main():
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(sys.argv[1], name, folder)
            run_numpy(case)
            run_onnx(case)
            run_torchscript(case)
            for number, compiler in enumerate(C_BUILDS):
                run_c(case, compiler, number)
            if name in ("mixed_frames", "gru"):
                check_bytes(sys.argv[1], case)
    print("ok")


if __name__ == "__main__":
    main()
