#!/usr/bin/env python3
"""Holds "same bits on CPU and GPU" in the PTX of the environment kernels.

    tools/check_ptx.py FILE ...      of .ptx files and of objects that nvcc made with --no-compress: fails on any floating-point
                                     instruction that may round differently from the CPU's
    tools/check_ptx.py --self-test   feeds it wrong and right lines; each must be judged rightly

PTX is the place to look: an add or mul without a rounding mode may be fused by the assembler, one with `.rn` may not.
(Machine code holds FMAs of its own inside IEEE division and square root, rightly.)
"""

import argparse
import re
import sys

FLOAT = re.compile(r"\.(f16|f16x2|bf16|bf16x2|tf32|f32|f32x2|f64)\b")
ROUNDED = {"add", "sub", "mul", "div", "sqrt", "rcp"}  # right with .rn, and only then
FORBIDDEN = {"fma", "mad", "ex2", "lg2", "sin", "cos", "tanh", "rsqrt"}
# An optional predicate and label, then the opcode.
INSTRUCTION = re.compile(r"^\s*(?:@!?%\w+\s+)?([a-z][a-z0-9]*)((?:\.[A-Za-z0-9_:]+)*)[\s;]")


def judge(line):
    """(None or what is wrong, whether the line is rounded arithmetic)."""
    line = line.split("//")[0]
    match = INSTRUCTION.match(line)
    if not match:
        return None, False
    opcode, suffix = match.groups()
    if opcode == "call" and re.search(r"__(nv|internal)_", line):
        return "call of a device library function", False
    if not FLOAT.search(suffix):
        return None, False
    if opcode in FORBIDDEN:
        return f"{opcode} is fused or approximate", False
    for modifier in ("approx", "full", "ftz", "sat", "relu"):
        if f".{modifier}" in suffix:
            return f".{modifier} does not round as the CPU does", False
    if opcode in ROUNDED:
        if not re.search(r"\.rn\b", suffix):
            return f"{opcode} without .rn may be fused or rounds otherwise", False
        return None, True
    return None, False


def check(name, lines):
    """(problems, rounded arithmetic instructions, kernels)."""
    problems, arithmetic, kernels = [], 0, 0
    for number, line in enumerate(lines, 1):
        kernels += bool(re.match(r"\s*(\.\w+\s+)?\.entry\b", line))
        problem, rounded = judge(line)
        arithmetic += rounded
        if problem:
            problems.append(f"{name}:{number}: {problem}: {line.strip()}")
    if kernels == 0 or arithmetic == 0:
        problems.append(f"{name}: {kernels} kernels, {arithmetic} rounded operations: this is no environment's PTX")
    return problems, arithmetic, kernels


def texts(data):
    """The PTX in a file's bytes: of an object all that it holds, each ended by a zero."""
    return [part.decode() for part in data.split(b"\0") if re.search(rb"^\.version \d", part, re.MULTILINE)]


EXAMPLES = [
    ("\tadd.rn.f32 \t%f1, %f2, %f3;", None),
    ("\tmul.rn.f32 %f1, %f2, 0f3F800000;", None),
    ("\tdiv.rn.f32 \t%f9, %f8, %f7;", None),
    ("\tsqrt.rn.f32 \t%f9, %f8;", None),
    ("\tsub.rn.f64 \t%fd1, %fd2, %fd3;", None),
    ("\t@%p1 add.rn.f32 \t%f1, %f2, %f3;", None),
    ("\tmad.lo.s64 \t%rd1, %rd2, %rd3, %rd4;", None),
    ("\tadd.s32 \t%r1, %r2, %r3;", None),
    ("\tmul.wide.u32 \t%rd1, %r2, %r3;", None),
    ("\tcvt.rn.f32.s32 \t%f1, %r1;", None),
    ("\tsetp.lt.f32 \t%p1, %f1, %f2;", None),
    ("\tneg.f32 \t%f1, %f2;", None),
    ("\tld.global.f32 \t%f1, [%rd1];", None),
    ("\t// fma.rn.f32 in a comment", None),
    ("\tadd.f32 \t%f1, %f2, %f3;", "without .rn"),
    ("\t@%p1 mul.f32 \t%f1, %f2, %f3;", "without .rn"),
    ("\tsub.f64 \t%fd1, %fd2, %fd3;", "without .rn"),
    ("\tadd.rz.f32 \t%f1, %f2, %f3;", "without .rn"),
    ("\tadd.rn.ftz.f32 \t%f1, %f2, %f3;", ".ftz"),
    ("\tfma.rn.f32 \t%f1, %f2, %f3, %f4;", "fma"),
    ("\tfma.rn.f64 \t%fd1, %fd2, %fd3, %fd4;", "fma"),
    ("\t@!%p3 fma.rn.f32 \t%f1, %f2, %f3, %f4;", "fma"),
    ("\tmad.rn.f32 \t%f1, %f2, %f3, %f4;", "mad"),
    ("\tdiv.approx.f32 \t%f1, %f2, %f3;", ".approx"),
    ("\tdiv.full.f32 \t%f1, %f2, %f3;", ".full"),
    ("\tsqrt.approx.ftz.f32 \t%f1, %f2;", ".approx"),
    ("\tex2.approx.f32 \t%f1, %f2;", "ex2"),
    ("\tlg2.approx.f32 \t%f1, %f2;", "lg2"),
    ("\tsin.approx.f32 \t%f1, %f2;", "sin"),
    ("\tcos.approx.f32 \t%f1, %f2;", "cos"),
    ("\ttanh.approx.f32 \t%f1, %f2;", "tanh"),
    ("\tcvt.rn.ftz.f32.f64 \t%f1, %fd1;", ".ftz"),
    ("\tadd.rn.f32x2 \t%rd1, %rd2, %rd3;", None),
    ("\tadd.f32x2 \t%rd1, %rd2, %rd3;", "without .rn"),
]


def self_test():
    wrong = 0
    for line, expected in EXAMPLES:
        problem, _ = judge(line)
        if (problem is None) != (expected is None) or (expected and expected not in problem):
            wrong += 1
            print(f"self-test: {line!r}: expected {expected!r}, got {problem!r}")
    for text in ("", ".visible .entry k()\n{\n ret;\n}\n", "\tadd.rn.f32 \t%f1, %f2, %f3;\n"):
        if not check("x.ptx", text.splitlines())[0]:
            wrong += 1
            print(f"self-test: {text!r} passed as an environment's PTX")
    ptx = b".version 9.0\n.entry k()"
    if texts(b"\x7fELF\0// made by\n" + ptx + b"\0\0x.version\0" + ptx + b"\0") != ["// made by\n" + ptx.decode(), ptx.decode()]:
        wrong += 1
        print("self-test: an object's PTX was not found")
    print(f"self-test: {len(EXAMPLES) + 4 - wrong} of {len(EXAMPLES) + 4} examples judged rightly")
    return wrong


def main():
    parser = argparse.ArgumentParser(description="Check the PTX of environment kernels.")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 1 if self_test() else 0
    if not arguments.files:
        parser.error("no PTX files")
    failed = 0
    for name in arguments.files:
        with open(name, "rb") as file:
            found = texts(file.read())
        if not found:
            failed += 1
            print(f"{name}: no PTX in it")
        for text in found:
            problems, arithmetic, kernels = check(name, text.splitlines())
            failed += len(problems)
            print("\n".join(problems[:20]) or f"{name}: {kernels} kernels, {arithmetic} rounded operations, none fused")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
