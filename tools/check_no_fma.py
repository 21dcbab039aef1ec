#!/usr/bin/env python3
"""Holds "same bits on every CPU" in the objects of the environment batches: no fused multiply-add.

    tools/check_no_fma.py FILE.o ...   disassembles with objdump; fails on vfmadd, vfmsub, vfnmadd, vfnmsub and their kin
    tools/check_no_fma.py --self-test
"""

import argparse
import re
import subprocess
import sys

INSTRUCTION = re.compile(r"^\s*[0-9a-f]+:\s+(?:(?:lock|rep|repz|repnz|data16|cs|ds)\s+)*(\{\w+\}\s*)?([a-z][a-z0-9]*)")
FUSED = re.compile(r"^(v?fn?m(add|sub|addsub|subadd)\w*|fn?m(la|ls|add|sub)\w*)$")  # x86 FMA3 and FMA4; Arm
ARITHMETIC = re.compile(r"^(v?(add|sub|mul)[ps][sd]|fadd|fsub|fmul)$")
SYMBOL = re.compile(r"^[0-9a-f]+ <(.+)>:$")


def check(name, lines):
    problems, arithmetic, symbol = [], 0, "?"
    for line in lines:
        if match := SYMBOL.match(line):
            symbol = match.group(1)
            continue
        match = INSTRUCTION.match(line)
        if not match:
            continue
        mnemonic = match.group(2)
        arithmetic += bool(ARITHMETIC.match(mnemonic))
        if FUSED.match(mnemonic):
            problems.append(f"{name}: fused multiply-add in {symbol}: {' '.join(line.split())}")
    if arithmetic == 0:
        problems.append(f"{name}: no floating-point arithmetic at all: this is no environment's object")
    return problems, arithmetic


EXAMPLES = [
    ("  10:\tvaddps %ymm1,%ymm2,%ymm3", 0),
    ("  10:\taddss  %xmm1,%xmm2", 0),
    ("  10:\tvmulps 0x20(%rax){1to16},%zmm2,%zmm3", 0),
    ("  10:\tvfmadd231ps %ymm1,%ymm2,%ymm3", 1),
    ("  10:\tvfmsub132ss %xmm1,%xmm2,%xmm3", 1),
    ("  10:\tvfnmadd213sd %xmm1,%xmm2,%xmm3", 1),
    ("  10:\tvfnmsub213pd %zmm1,%zmm2,%zmm3{%k1}", 1),
    ("  10:\tvfmaddsub132ps %ymm1,%ymm2,%ymm3", 1),
    ("  10:\t{evex} vfmadd231ps %xmm1,%xmm2,%xmm3", 1),
    ("  10:\tvfmaddps %xmm1,%xmm2,%xmm3,%xmm4", 1),
    ("  10:\tfmla v0.4s, v1.4s, v2.4s", 1),
    ("  10:\tfmadd s0, s1, s2, s3", 1),
    ("  10:\tcallq  20 <vfmadd_named_function>", 0),
]


def self_test():
    wrong = 0
    for line, expected in EXAMPLES:
        problems, _ = check("x.o", ["0 <f>:", "  0:\taddss %xmm0,%xmm1", line])
        if len(problems) != expected:
            wrong += 1
            print(f"self-test: {line!r}: expected {expected} problems, got {problems}")
    if not check("x.o", ["0 <f>:", "  0:\tret"])[0]:
        wrong += 1
        print("self-test: an object without arithmetic passed")
    print(f"self-test: {len(EXAMPLES) + 1 - wrong} of {len(EXAMPLES) + 1} examples judged rightly")
    return wrong


def main():
    parser = argparse.ArgumentParser(description="Check objects of environment batches for fused multiply-adds.")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 1 if self_test() else 0
    if not arguments.files:
        parser.error("no object files")
    failed = 0
    for name in arguments.files:
        command = [arguments.objdump, "-d", "--no-show-raw-insn", "-C", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{name}: objdump says {done.stderr.strip()}")
            return 1
        problems, arithmetic = check(name, done.stdout.splitlines())
        failed += len(problems)
        print("\n".join(problems[:20]) or f"{name}: {arithmetic} additions and multiplications, none fused")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
