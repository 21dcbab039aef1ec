"""The C header of an exported policy, compiled as C and as C++ and called row by row. Used by check_export.py."""

import ctypes
import subprocess

import numpy as np

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
void policy(%(policy_parameters)s);
void act(%(parameters)s);
float tanh_of(float x);
void policy(%(policy_parameters)s) { %(name)s_policy(%(policy_arguments)s); }
void act(%(parameters)s) { %(name)s_act(%(arguments)s); }
float tanh_of(float x) { return %(tanh)s; }
#ifdef __cplusplus
}
#endif
"""


def run_c(case, compiler, number):
    names = [name for name, _ in case.inputs]
    counts = {"choices": len(case.choices), "real_actions": case.raw.shape[1]}
    kinds = {"choices": "int*", "real_actions": "float*"}
    actions = [k for k in kinds if counts[k]]
    header = open(case.path("policy.h"), encoding="utf-8").read()
    has_tanh = case.json["name"] + "_tanh(float x)" in header
    has_value = any(t["name"] == "value" for t in case.json["outputs"])
    inputs = [("" if n == "memory" else "const ") + "float* " + n for n in names]
    before = [n for n in names if n != "action_mask"]
    after = ["outputs"] + ["value"] * has_value
    fill = {
        "name": case.json["name"],
        "parameters": ", ".join(inputs + [f"{kinds[k]} {k}" for k in actions]),
        "arguments": ", ".join(names + actions),
        "policy_parameters": ", ".join([i for i in inputs if "mask" not in i] + [f"float* {k}" for k in after]),
        "policy_arguments": ", ".join(before + after),
        "tanh": case.json["name"] + "_tanh(x)" if has_tanh else "x",
    }
    source = case.path("wrapper.c" if compiler[0] == "cc" else "wrapper.cc")
    library = case.path(f"policy{number}.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(WRAPPER % fill)
    subprocess.run([*compiler, "-shared", "-fPIC", "-I" + case.folder, source, "-o", library], check=True)
    c = ctypes.CDLL(library)
    floats = lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    distribution = [t for t in case.json["outputs"] if t["name"] in ("logits", "mean", "log_std", "alpha", "beta")]
    width = sum(t["shape"][1] for t in distribution)
    rows = len(case.value)
    outputs, value = np.full((rows, width + 1), np.nan, np.float32), np.full((rows, 1), np.nan, np.float32)
    chosen, reals = np.full((rows, counts["choices"]), -1, np.int32), np.full((rows, counts["real_actions"]), np.nan, np.float32)
    memories = [np.full((rows, dict(case.inputs).get("memory", 0)), np.nan, np.float32) for _ in range(3)]
    for r in range(rows):
        row = {name: np.ascontiguousarray(case.feed[name][r]) for name in names}

        def inputs_of(call, wanted):
            """The memory is replaced by each call: three calls, three copies."""
            if "memory" in row:
                memories[call][r] = case.feed["memory"][r]
            return [floats(memories[call][r] if name == "memory" else row[name]) for name in wanted]

        c.policy(*inputs_of(0, before), floats(outputs[r]), *[floats(value[r])] * has_value)
        kept = outputs[r].copy()
        c.policy(*inputs_of(1, before), floats(outputs[r]), *[None] * has_value)
        assert np.array_equal(kept, outputs[r], equal_nan=True)
        into = {"choices": chosen[r].ctypes.data_as(ctypes.POINTER(ctypes.c_int)), "real_actions": floats(reals[r])}
        c.act(*inputs_of(2, names), *(into[k] for k in actions))
    assert np.array_equal(memories[0], memories[1]) and np.array_equal(memories[0], memories[2])
    assert np.all(np.isnan(outputs[:, -1])), "wrote beyond its outputs"
    parts = np.split(outputs[:, :-1], np.cumsum([t["shape"][1] for t in distribution])[:-1], axis=1)
    result = {t["name"]: p if t["shape"][0] == "batch" else p[:1] for t, p in zip(distribution, parts)}
    if has_value:
        result["value"] = value
    if "memory" in names:
        result["next_memory"] = memories[0]
    result.update({k: {"choices": chosen, "real_actions": reals}[k] for k in actions})
    case.check("C with " + " ".join(compiler[:3]), result)
    if has_tanh and "-ffast-math" not in compiler:
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
