#!/usr/bin/env python3
"""Holds the layer table of docs/architecture.md: a folder includes only from folders above it.

    tools/check_layers.py [ROOT]      check every source file below ROOT (default: this repository)
    tools/check_layers.py --self-test feed it wrong examples; each must be found

The rules, in words:
  layer 1  core/base math rng schema     one another only
  layer 2  core/log config io device dist image    layer 1; of their own layer only core/log and core/io, which sit
                                         below the rest (io may log; log includes neither)
  layer 3  envs, datasets                layers 1-2, not each other; envs no HDF5, neither torch
  layer 4  rollout                       layers 1-3, no torch
  layer 5  generators, trainer           layers 1-4, not each other; trainer may use torch
  layer 6  evaluation                    layers 1-5
  layer 7  cli                           all
  tests, benchmarks, tools               all; nothing above includes from them
A third-party header belongs to one wrapper, so that replacing a library is a matter of one folder (kOwners below).
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

FOUNDATION = {"core/base", "core/math", "core/rng", "core/schema"}
SERVICES = {"core/log", "core/config", "core/io", "core/device", "core/dist", "core/image"}
CORE = FOUNDATION | SERVICES
ANYTHING = None

# Folder → the folders it may include from, besides itself.
ALLOWED = {
    **{folder: FOUNDATION for folder in FOUNDATION},
    "core/log": FOUNDATION,
    "core/io": FOUNDATION | {"core/log"},
    "core/config": FOUNDATION | {"core/log", "core/io"},
    "core/device": FOUNDATION | {"core/log", "core/io"},
    "core/dist": FOUNDATION | {"core/log", "core/io"},
    "core/image": FOUNDATION | {"core/log", "core/io"},
    "envs": CORE,
    "datasets": CORE,
    "rollout": CORE | {"envs", "datasets"},
    "generators": CORE | {"envs", "datasets", "rollout"},
    "trainer": CORE | {"envs", "datasets", "rollout"},
    "evaluation": CORE | {"envs", "datasets", "rollout", "generators", "trainer"},
    "cli": ANYTHING,
    "tests": ANYTHING,
    "benchmarks": ANYTHING,
    "tools": ANYTHING,
}
UNSEEN = {"tests", "benchmarks", "tools"}  # nobody else may include from these
FREE = {"tests", "benchmarks", "tools"}    # may include any third-party header

# Third-party header, whether a (folder, path) may include it, and the owner in words.
OWNERS = [
    (re.compile(r"^(torch|ATen|c10|caffe2)/"), lambda f, p: f in {"core/dist", "trainer"}, "core/dist, trainer"),
    (re.compile(r"^(hdf5|H5[A-Za-z]*|hdf5_hl)\.h$"), lambda f, p: f == "core/io", "core/io"),
    (re.compile(r"^toml(\+\+|plusplus)?/|^toml\.hpp$"), lambda f, p: f == "core/config", "core/config"),
    (re.compile(r"^spdlog/"), lambda f, p: f == "core/log", "core/log"),
    (re.compile(r"^(png|gif_lib)\.h$|^webp/"), lambda f, p: f == "core/image", "core/image"),
    (re.compile(r"^CLI/"), lambda f, p: f == "cli", "cli"),
    (
        re.compile(
            r"^(cuda|cuda_runtime|cuda_runtime_api|cuda_fp16|cuda_bf16|curand|nvml|cooperative_groups)(\.h|/)"
            r"|^(cub|thrust)/"
        ),
        lambda f, p: f == "core/device" or p.suffix in {".cu", ".cuh"},
        "core/device and *.cu, *.cuh",
    ),
]

SOURCE_SUFFIXES = {".h", ".cuh", ".cc", ".cu", ".inl", ".in"}
SKIPPED = {"build", ".git", ".venv", "shared", "runs"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def folder_of(path):
    """The layer folder a repository path lies in, e.g. core/io or envs; None outside the table."""
    parts = Path(path).parts
    if len(parts) >= 3 and parts[0] == "core":
        folder = f"core/{parts[1]}"
    else:
        folder = parts[0] if len(parts) >= 2 else ""
    return folder if folder in ALLOWED else None


def includes_of(text):
    """(line number, header, quoted) for each include; comments are blanked, line numbers kept."""
    text = COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1) or match.group(2), match.group(1) is not None


def check_quoted(folder, path, header, root):
    if header.startswith(("./", "../")) or "/../" in header:
        return f'"{header}" is relative; includes start at the repository root'
    target = folder_of(header)
    if target is None:
        if (root / path.parent / header).exists():
            return f'"{header}" is relative to the file; includes start at the repository root'
        if header.split("/")[0] in {"core"} or (root / header).exists():
            return f'"{header}" lies in no folder of the layer table'
        return f'"{header}" is no file of this repository; third-party headers go in <>'
    if not (root / header).exists() and "@" not in header and not is_generated(header):
        return f'"{header}" does not exist'
    allowed = ALLOWED[folder]
    if target == folder or (allowed is ANYTHING and (target not in UNSEEN or folder in FREE)):
        return None
    if allowed is ANYTHING or target not in allowed:
        return f'{folder} must not include from {target} ("{header}")'
    return None


def is_generated(header):
    """Headers that CMake writes below the build folder, from a .in of the same name or the environment registry."""
    return "generated" in Path(header).parts or Path(header).name in {"build_info.h", "registry_generated.h"}


def check_angled(folder, path, header):
    if folder in FREE:
        return None
    if folder_of(header):
        return f"<{header}> is ours; write it in quotes"
    for pattern, is_owner, owner in OWNERS:
        if pattern.search(header) and not is_owner(folder, path):
            return f"<{header}> belongs to {owner}, not to {folder}"
    return None


def check_file(root, path):
    folder = folder_of(path)
    if folder is None:
        return
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    for line, header, quoted in includes_of(text):
        problem = None
        if quoted and third_party(header):
            problem = check_angled(folder, path, header)
        elif quoted:
            problem = check_quoted(folder, path, header, root)
        else:
            problem = check_angled(folder, path, header)
        if problem:
            yield f"{path}:{line}: {problem}"


def third_party(header):
    return any(pattern.search(header) for pattern, _, _ in OWNERS)


def check_tree(root):
    problems, count = [], 0
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root)
        if path.suffix not in SOURCE_SUFFIXES or path.parts[0] in SKIPPED or not file.is_file():
            continue
        count += 1
        problems += check_file(root, path)
    return count, problems


# ---- self-test: (file, its text, a part of the message, or None when it is right) ----------------------------------

EXAMPLES = [
    ("core/base/a.h", '#include "core/base/b.h"\n#include <cstdio>\n', None),
    ("core/base/a.h", '#include "core/io/b.h"\n', "core/base must not include from core/io"),
    ("core/math/a.h", '#include "core/log/b.h"\n', "core/math must not include from core/log"),
    ("core/io/a.h", '#include "core/schema/b.h"\n#include "core/log/b.h"\n#include <hdf5.h>\n', None),
    ("core/io/a.h", '#include "core/config/b.h"\n', "core/io must not include from core/config"),
    ("core/log/a.h", '#include "core/io/b.h"\n', "core/log must not include from core/io"),
    ("core/dist/a.cc", '#include "core/device/b.h"\n', "core/dist must not include from core/device"),
    ("core/image/a.cc", '#include "core/io/b.h"\n#include <png.h>\n#include <webp/mux.h>\n', None),
    ("core/image/a.cc", '#include "core/config/b.h"\n', "core/image must not include from core/config"),
    ("envs/a.cc", "#include <gif_lib.h>\n", "<gif_lib.h> belongs to core/image"),
    ("core/device/a.h", '#include "envs/b.h"\n', "core/device must not include from envs"),
    ("envs/a.h", '#include "core/device/b.h"\n#include "core/rng/b.h"\n', None),
    ("envs/classic/a.h", '#include "datasets/b.h"\n', "envs must not include from datasets"),
    ("envs/a.h", '#include "rollout/b.h"\n', "envs must not include from rollout"),
    ("envs/a.cc", "#include <torch/torch.h>\n", "<torch/torch.h> belongs to core/dist, trainer"),
    ("envs/a.cc", "#include <hdf5.h>\n", "<hdf5.h> belongs to core/io"),
    ("envs/a.cc", '#include "hdf5.h"\n', "<hdf5.h> belongs to core/io"),
    ("envs/a.cc", "#include <cuda_runtime.h>\n", "<cuda_runtime.h> belongs to core/device"),
    ("envs/a.cu", "#include <cuda_runtime.h>\n#include <cub/cub.cuh>\n", None),
    ("datasets/a.cc", '#include "envs/b.h"\n', "datasets must not include from envs"),
    ("datasets/a.cc", "#include <H5Dpublic.h>\n", "belongs to core/io"),
    ("rollout/a.h", '#include "envs/b.h"\n#include "datasets/b.h"\n', None),
    ("rollout/a.h", '#include "trainer/b.h"\n', "rollout must not include from trainer"),
    ("rollout/a.h", "#include <ATen/ATen.h>\n", "<ATen/ATen.h> belongs to"),
    ("generators/a.cc", '#include "rollout/b.h"\n', None),
    ("generators/a.cc", '#include "trainer/b.h"\n', "generators must not include from trainer"),
    ("generators/a.cc", "#include <c10/core/Device.h>\n", "<c10/core/Device.h> belongs to"),
    ("trainer/a.cc", '#include "rollout/b.h"\n#include <torch/torch.h>\n', None),
    ("trainer/a.cc", '#include "evaluation/b.h"\n', "trainer must not include from evaluation"),
    ("trainer/a.cc", "#include <toml++/toml.hpp>\n", "belongs to core/config"),
    ("core/config/a.cc", "#include <toml++/toml.hpp>\n#include <spdlog/spdlog.h>\n", "belongs to core/log"),
    ("core/dist/a.cc", "#include <torch/csrc/distributed/c10d/Store.hpp>\n", None),
    ("evaluation/a.cc", '#include "trainer/b.h"\n#include "generators/b.h"\n', None),
    ("evaluation/a.cc", '#include "cli/b.h"\n', "evaluation must not include from cli"),
    ("evaluation/a.cc", "#  include <torch/torch.h>\n", "<torch/torch.h> belongs to"),
    ("cli/commands/a.cc", '#include "trainer/b.h"\n#include <CLI/CLI.hpp>\n', None),
    ("cli/a.cc", '#include "tests/support/b.h"\n', "cli must not include from tests"),
    ("tests/envs/a_test.cc", '#include "tests/support/b.h"\n#include <hdf5.h>\n#include <torch/torch.h>\n', None),
    ("envs/classic/a.h", '#include "../b.h"\n', "is relative"),
    ("envs/classic/a.h", '#include "sibling.h"\n', "relative to the file"),
    ("envs/a.h", '#include "envs/no_such.h"\n', "does not exist"),
    ("envs/a.h", '#include "nlohmann_or_whatever.h"\n', "no file of this repository"),
    ("envs/a.h", "#include <core/base/b.h>\n", "write it in quotes"),
    ("envs/a.h", '/* #include "rollout/b.h" */\n// #include <torch/torch.h>\n', None),
    ("envs/a.h", '/* two\nlines */\n#include "rollout/b.h"\n', "envs/a.h:3: "),
    ("core/surprise/a.h", "", None),
    ("envs/a.h", '#include "core/surprise/b.h"\n', "lies in no folder"),
]


def self_test():
    failures = 0
    for name, text, expected in EXAMPLES:
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            for folder in [*ALLOWED, "tests/support"]:
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / "b.h").write_text("", encoding="utf-8")
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            (file.parent / "sibling.h").write_text("", encoding="utf-8")
            file.write_text(text, encoding="utf-8")
            _, problems = check_tree(root)
        good = not problems if expected is None else len(problems) == 1 and expected in problems[0]
        if not good:
            failures += 1
            print(f"self-test: {name} with {text!r}: expected {expected!r}, got {problems}")
    print(f"self-test: {len(EXAMPLES) - failures} of {len(EXAMPLES)} examples judged rightly")
    return failures


def main():
    parser = argparse.ArgumentParser(description="Check the layering of the sources.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true", help="feed wrong examples; each must be found")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 1 if self_test() else 0
    count, problems = check_tree(arguments.root)
    print("\n".join(problems), end="\n" if problems else "")
    print(f"layers: {count} files, {len(problems)} wrong includes")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
