"""Exported policies as others read them: the ONNX file with onnx's checker and onnxruntime, the TorchScript file with torch,
the C header with this machine's compiler as C and as C++, the weights with NumPy in float64. All must say what the program
itself computed.

Tolerance 1e-5, times the largest number where that is above 1: float32 sums of at most 150 terms of size 1 in another
order, once or twice through tanh.

Usage: python check_export.py PATH_TO_export_probe
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch

from check_policy import read_safetensors

TOLERANCE = 1e-5
CASES = ["discrete", "continuous", "linear", "mixed_frames", "choices_masked", "planes", "pixels"]
# As strict as a careful user compiles, and as careless: -ffast-math must not break the header's tanh.
C_BUILDS = [
    ["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Werror"],
    ["c++", "-std=c++11", "-O0", "-Wall", "-Wextra", "-pedantic", "-Wshadow", "-Werror"],
    ["cc", "-std=c99", "-O3", "-ffast-math", "-march=native"],
]
WRAPPER = """#include "policy.h"
#ifdef __cplusplus
extern "C" {
#endif
void policy(const float* x, float* outputs, float* value);
void act(%(parameters)s);
float tanh_of(float x);
void policy(const float* x, float* outputs, float* value) { %(name)s_policy(x, outputs, value); }
void act(%(parameters)s) { %(name)s_act(%(arguments)s); }
float tanh_of(float x) { return %(tanh)s; }
#ifdef __cplusplus
}
#endif
"""


def near(what, ours, theirs, tolerance=TOLERANCE):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    scale = max(1.0, np.max(np.abs(theirs)))
    worst = np.max(np.abs(ours - theirs)) / scale
    assert worst < tolerance, f"{what}: largest difference {worst:.2e}"
    return worst


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
        widths = [w for _, w in self.inputs] + [len(self.choices), reals, 1, 1, len(self.choices), reals]
        assert rows.shape == (128, sum(widths)), (rows.shape, widths)
        parts = np.split(rows, np.cumsum(widths)[:-1], axis=1)
        self.feed = {n: parts[k].astype(np.float32) for k, (n, _) in enumerate(self.inputs)}
        (self.sampled, self.raw, self.logprob, self.value, self.best, self.best_reals) = parts[len(self.inputs) :]
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
        worst = near(f"{what}: value", outputs["value"], self.value)
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
            log_std = np.asarray(outputs["log_std"], np.float64)
            z = (self.raw - np.asarray(outputs["mean"], np.float64)) / np.exp(log_std)
            logprob += np.sum(-0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi), axis=1, keepdims=True)
            worst = max(worst, near(f"{what}: actions", outputs["real_actions"], self.best_reals))
            bounds = self.json["action"]["real_actions"]
            low, high = ([f[k] for f in bounds] for k in ("low", "high"))
            assert np.all(self.best_reals >= low) and np.all(self.best_reals <= high)
            assert np.ptp(self.best_reals) > 0.1, f"{what}: actions hardly differ"
        worst = max(worst, near(f"{what}: log-probability", logprob, self.logprob))
        print(f"{self.name}, {what}: largest difference {worst:.1e}")


def run_numpy(case):
    """From the safetensors file alone, with what policy.json says about observations and actions."""
    metadata, tensors = read_safetensors(case.path("policy.safetensors"))
    tensors = {name: t.numpy() for name, t in tensors.items()}
    x = case.feed["observation"].astype(np.float64)
    normaliser = case.json["normaliser"]
    assert (normaliser is not None) == (metadata["normalize_observations"] == "1")
    if normaliser:
        variance = tensors["normalizer.m2"] / tensors["normalizer.count"]
        near("shift", normaliser["shift"], tensors["normalizer.mean"], 1e-6)
        near("scale", normaliser["scale"], 1 / np.sqrt(variance + 1e-8), 1e-6)
        frames = case.json["observation"]["frame_stack"]
        mean, deviation = (np.tile(v, frames) for v in (tensors["normalizer.mean"], np.sqrt(variance + 1e-8)))
        x = np.clip((x - mean) / deviation, -normaliser["clip"], normaliser["clip"])

    def network(name):
        y, layers = x, sum(k.startswith(name + ".") and k.endswith(".weight") for k in tensors)
        for layer in range(layers):
            y = y @ tensors[f"{name}.{layer}.weight"].T + tensors[f"{name}.{layer}.bias"]
            y = np.tanh(y) if layer + 1 < layers else y
        return y

    head, total = network("actor"), sum(case.choices)
    outputs = {"value": network("critic").astype(np.float32)}
    if total:
        logits = head[:, :total]
        allowed = case.feed.get("action_mask", np.ones_like(logits)) > 0
        parts = np.split(np.where(allowed, logits, -np.inf), np.cumsum(case.choices)[:-1], axis=1)
        outputs["choices"] = np.stack([p.argmax(axis=1) for p in parts], axis=1)
        outputs["logits"] = logits.astype(np.float32)
    if head.shape[1] > total:
        bounds = case.json["action"]["real_actions"]
        low, high = (np.array([f[k] for f in bounds]) for k in ("low", "high"))
        mean = head[:, total:]
        action = np.clip((low + high) / 2 + (high - low) / 2 * mean, low, high)
        outputs["mean"], outputs["real_actions"] = mean.astype(np.float32), action.astype(np.float32)
        outputs["log_std"] = tensors["log_std"][np.newaxis].astype(np.float32)
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
    near("a batch of one", one["value"], case.value[:1])


def run_torchscript(case):
    policy = torch.jit.load(case.path("policy.pt"))
    feed = [torch.tensor(case.feed[name]) for name, _ in case.inputs]
    for what, module in [("TorchScript", policy), ("TorchScript, frozen", torch.jit.freeze(policy))]:
        with torch.no_grad():
            case.check(what, {name: t.numpy() for name, t in module(*feed).items()})


def run_c(case, compiler, number):
    names = [name for name, _ in case.inputs]
    counts = {"choices": len(case.choices), "real_actions": case.raw.shape[1]}
    kinds = {"choices": "int*", "real_actions": "float*"}
    actions = [k for k in kinds if counts[k]]
    hidden = case.json["network"]["hidden"]
    fill = {
        "name": case.json["name"],
        "parameters": ", ".join([f"const float* {n}" for n in names] + [f"{kinds[k]} {k}" for k in actions]),
        "arguments": ", ".join(names + actions),
        "tanh": case.json["name"] + "_tanh(x)" if hidden else "x",
    }
    source = case.path("wrapper.c" if compiler[0] == "cc" else "wrapper.cc")
    library = case.path(f"policy{number}.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(WRAPPER % fill)
    subprocess.run([*compiler, "-shared", "-fPIC", "-I" + case.folder, source, "-o", library], check=True)
    c = ctypes.CDLL(library)
    floats = lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    distribution = [t for t in case.json["outputs"] if t["name"] in ("logits", "mean", "log_std")]
    width = sum(t["shape"][1] for t in distribution)
    rows = len(case.value)
    outputs, value = np.full((rows, width + 1), np.nan, np.float32), np.full((rows, 1), np.nan, np.float32)
    chosen, reals = np.full((rows, counts["choices"]), -1, np.int32), np.full((rows, counts["real_actions"]), np.nan, np.float32)
    for r in range(rows):
        row = [np.ascontiguousarray(case.feed[name][r]) for name in names]
        c.policy(floats(row[0]), floats(outputs[r]), floats(value[r]))
        before = outputs[r].copy()
        c.policy(floats(row[0]), floats(outputs[r]), None)
        assert np.array_equal(before, outputs[r], equal_nan=True)
        into = {"choices": chosen[r].ctypes.data_as(ctypes.POINTER(ctypes.c_int)), "real_actions": floats(reals[r])}
        c.act(*map(floats, row), *(into[k] for k in actions))
    assert np.all(np.isnan(outputs[:, -1])), "wrote beyond its outputs"
    parts = np.split(outputs[:, :-1], np.cumsum([t["shape"][1] for t in distribution])[:-1], axis=1)
    result = {t["name"]: p if t["shape"][0] == "batch" else p[:1] for t, p in zip(distribution, parts)}
    result["value"] = value
    result.update({k: {"choices": chosen, "real_actions": reals}[k] for k in actions})
    case.check("C with " + " ".join(compiler[:3]), result)
    if hidden and "-ffast-math" not in compiler:
        check_tanh(c)


def check_tanh(c):
    """Within 3 units in the last place of float32, as core/math's; exact at 0, far out and for no number."""
    c.tanh_of.restype, c.tanh_of.argtypes = ctypes.c_float, [ctypes.c_float]
    x = np.concatenate([np.linspace(-12, 12, 20001), np.logspace(-30, 1, 5000), [0.1732, 0.1733, 9.02]]).astype(np.float32)
    ours = np.array([c.tanh_of(v) for v in x])
    exact = np.tanh(x.astype(np.float64))
    ulp = np.max(np.abs(ours - exact) / np.spacing(np.abs(exact).astype(np.float32)))
    assert ulp < 3 and np.max(np.abs(ours)) == 1, ulp
    assert c.tanh_of(0.0) == 0 and c.tanh_of(np.inf) == 1 and c.tanh_of(-np.inf) == -1 and np.isnan(c.tanh_of(np.nan))
    print(f"  tanh: largest error {ulp:.2f} ulp")


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
            if name == "mixed_frames":
                check_bytes(sys.argv[1], case)
    print("ok")


if __name__ == "__main__":
    main()
