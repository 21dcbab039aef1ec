#!/usr/bin/env python3
"""Holds "an environment per SIMD lane": the loops of the CPU runtime over environments that g++ must vectorise.

    tools/check_vectorised.py BUILD_DIR [ENV ...]     of the environments named, or one of each folder
    tools/check_vectorised.py BUILD_DIR --headers     one of each header: variants of one game step the same loops
    tools/check_vectorised.py --self-test

Compiles each environment's batch once more as compile_commands.json says, for AVX-512, and reads g++'s report on the loops that
envs/batch_cpu.h marks with `#pragma GCC ivdep`. One that stays scalar costs up to ten times its speed and shows in no result:
a struct copied where a reference would do has been enough. Only the reset of an environment that says reset_searches may be scalar.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

RUNTIME = "envs/batch_cpu.h"
FLAGS = ["-march=x86-64-v4", "-mprefer-vector-width=512", "-fopt-info-vec-optimized-missed", "-w", "-S", "-o", os.devnull]
NOTE = re.compile(r"batch_cpu\.h:(\d+):\d+: (missed: couldn't vectorize loop|optimized: loop vectorized)")


def marked_loops(text):
    """Line of each marked loop -> the function it is in."""
    loops, function = {}, "?"
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if match := re.match(r"\s+(?:static )?\w[\w:<>&* ]*? (\w+)\(", line):
            function = match.group(1)
        if line.strip() == "#pragma GCC ivdep":
            loops[number + 1] = function
    return loops


def scalar_loops(report, loops):
    """Functions whose loop g++ gave up in one of its forms, or of which it says nothing."""
    notes = [(loops.get(int(m.group(1))), m.group(2)) for m in NOTE.finditer(report)]
    missed = {function for function, note in notes if note.startswith("missed")}
    return sorted(function for function in loops.values() if function in missed or function not in dict(notes))


def environment_of(entry):
    match = re.search(r"generated/envs/(\w+)_cpu\.cc$", entry["file"])
    return match.group(1) if match else None


def header_of(entry):
    with open(os.path.join(entry["directory"], entry["file"]), encoding="utf-8") as file:
        return re.search(r'#include "(.+)"', file.read()).group(1)


def first_of_each(entries, place):
    """The first environment of each place, a function of its header's path."""
    seen = {}
    for name in sorted(entries):
        seen.setdefault(place(header_of(entries[name])), name)
    return sorted(seen.values())


def searches(entry, root):
    """Whether the environment's header says reset_searches."""
    with open(os.path.join(root, header_of(entry)), encoding="utf-8") as file:
        return "bool reset_searches = true" in file.read()


def report_of(entry):
    command = entry.get("arguments") or shlex.split(entry["command"])
    if os.path.basename(command[0]) == "ccache":
        command = command[1:]
    kept, skip = [], False
    for word in command:
        if skip or word in ("-c", "-o"):
            skip = word == "-o" and not skip
            continue
        if not word.startswith(("-march=", "-mprefer-vector-width=", "-W")):
            kept.append(word)
    done = subprocess.run(kept + FLAGS, capture_output=True, text=True, cwd=entry["directory"], check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{entry['file']}: {done.stderr.strip()[-2000:]}")
    return done.stderr


def self_test():
    loops = marked_loops("  static void step_lanes(int a,\n      int b) {\n#pragma GCC ivdep\n    for (;;) {}\n")
    assert loops == {4: "step_lanes"}, loops
    good = "/x/envs/batch_cpu.h:4:9: optimized: loop vectorized using 64 byte vectors\n"
    missed = "/x/envs/batch_cpu.h:4:9: missed: couldn't vectorize loop\n"
    assert scalar_loops(good, loops) == []
    assert scalar_loops(missed, loops) == scalar_loops(good + missed, loops) == ["step_lanes"]
    assert scalar_loops(good + missed.replace(":4:", ":5:"), loops) == []
    assert scalar_loops(good + missed.replace("batch_cpu", "other"), loops) == []
    assert scalar_loops("", loops) == scalar_loops(good.replace(":4:", ":5:"), loops) == ["step_lanes"]
    print("self-test: 8 of 8 examples judged rightly")


def main():
    parser = argparse.ArgumentParser(description="Are the loops over environments vectorised?")
    parser.add_argument("build_dir", nargs="?")
    parser.add_argument("environments", nargs="*")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--headers", action="store_true", help="one environment of each header instead of each folder")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return 0
    if not arguments.build_dir:
        parser.error("no build directory")
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    with open(os.path.join(root, RUNTIME), encoding="utf-8") as file:
        loops = marked_loops(file.read())
    if sorted(loops.values()) != ["observe_loop", "reset_lanes", "step_loop"]:
        print(f"{RUNTIME}: expected one marked loop in step_loop, in observe_loop and in reset_lanes, found {loops}")
        return 1
    with open(os.path.join(arguments.build_dir, "compile_commands.json"), encoding="utf-8") as file:
        entries = {environment_of(entry): entry for entry in json.load(file) if environment_of(entry)}
    names = arguments.environments or first_of_each(entries, str if arguments.headers else os.path.dirname)
    if unknown := [name for name in names if name not in entries]:
        print(f"no environment {', '.join(unknown)} in {arguments.build_dir}")
        return 1
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, report in zip(names, pool.map(lambda n: report_of(entries[n]), names)):
            scalar = scalar_loops(report, loops)
            known = ["reset_lanes"] if "reset_lanes" in scalar and searches(entries[name], root) else []
            bad = [loop for loop in scalar if loop not in known]
            failed += bool(bad)
            print(f"{name}: {'SCALAR: ' + ', '.join(bad) if bad else 'a lane for each environment'}"
                  f"{' (but for its reset)' if scalar and not bad else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
