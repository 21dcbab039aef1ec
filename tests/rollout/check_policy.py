"""Reads policy.safetensors with nothing but json and NumPy, computes the policy in float64 with torch, and compares with
what the program computed. Tolerance: float32 sums of at most 40
terms of size 1, twice through tanh, come to about 40 * 2^-24 * 4 = 1e-5.

Usage: python check_policy.py PATH_TO_policy_probe
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch

TOLERANCE = 1e-5


def read_safetensors(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    kinds = {"F32": np.float32, "F64": np.float64}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], dtype=kinds[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.tensor(array.astype(np.float64))
    return metadata, tensors


def network(name, tensors, x):
    layers = sum(key.startswith(name + ".") and key.endswith(".weight") for key in tensors)
    for layer in range(layers):
        x = torch.nn.functional.linear(x, tensors[f"{name}.{layer}.weight"], tensors[f"{name}.{layer}.bias"])
        if layer + 1 < layers:
            x = torch.tanh(x)
    return x


def check(probe, kind, path):
    rows = subprocess.run([probe, kind, path], check=True, capture_output=True, text=True).stdout
    rows = torch.tensor(np.array([[float(w) for w in line.split()] for line in rows.splitlines()]))
    metadata, tensors = read_safetensors(path)
    assert metadata["format"] == "rollmill-policy-1" and metadata["actions"] == kind, metadata
    assert metadata["hidden"] == "24,40" and metadata["activation"] == "tanh", metadata
    n = int(metadata["observations"])
    actions = 1 if kind == "discrete" else int(metadata["outputs"])
    x, taken, logprob, value, greedy = torch.split(rows, [n, actions, 1, 1, actions], dim=1)
    variance = tensors["normalizer.m2"] / tensors["normalizer.count"]
    clip = float(metadata["clip_observations"])
    x = torch.clamp((x - tensors["normalizer.mean"]) / torch.sqrt(variance + 1e-8), -clip, clip)
    head = network("actor", tensors, x)
    if kind == "discrete":
        expected = torch.log_softmax(head, dim=1).gather(1, taken.long())
        assert torch.equal(greedy[:, 0].long(), head.argmax(dim=1))
        assert len(set(taken[:, 0].tolist())) == int(metadata["outputs"]), "every action should be taken once"
    else:
        normal = torch.distributions.Normal(head, torch.exp(tensors["log_std"]))
        expected = normal.log_prob(taken).sum(dim=1, keepdim=True)
        assert torch.max(torch.abs(greedy - head)) < TOLERANCE
    for what, ours, theirs in [("logprob", logprob, expected), ("value", value, network("critic", tensors, x))]:
        worst = float(torch.max(torch.abs(ours - theirs)))
        print(f"{kind} {what}: largest difference {worst:.2e}, largest value {float(torch.max(torch.abs(theirs))):.3g}")
        assert worst < TOLERANCE, (kind, what, worst)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("discrete", "continuous"):
            check(sys.argv[1], kind, os.path.join(folder, kind + ".safetensors"))
    print("ok")


if __name__ == "__main__":
    main()
