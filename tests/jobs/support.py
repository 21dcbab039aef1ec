"""What the job tests share: running the binary, killing it, reading what it left.

Each test is a script: python tests/jobs/x_test.py [--binary PATH] [--soak] [unittest arguments].
ctest sets ROLLMILL_BINARY and ROLLMILL_VENV. Only the standard library, NumPy and h5py are used.
"""

import ctypes
import ctypes.util
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER_CODE = (
    4  # the output folder holds something else, or an unfinished job and --resume was not given
)
LIMIT_SECONDS = 120  # no single command of these tests takes a tenth of it on a free machine

binary = os.environ.get("ROLLMILL_BINARY", "")
soak = False


def main():
    """Takes --binary and --soak out of the arguments; unittest gets the rest."""
    global binary, soak
    arguments = sys.argv[1:]
    if "--soak" in arguments:
        arguments.remove("--soak")
        soak = True
    if "--binary" in arguments:
        at = arguments.index("--binary")
        binary = arguments[at + 1]
        del arguments[at : at + 2]
    if not os.access(binary, os.X_OK):
        sys.exit(f"no rollmill binary at '{binary}': give --binary PATH or set ROLLMILL_BINARY")
    binary = os.path.abspath(binary)
    unittest.main(argv=[sys.argv[0]] + arguments, verbosity=2)


def recipe(name):
    return str(ROOT / "configs" / name)


def clean_environment(extra=None):
    """Nothing of a launcher, and no GPU: these tests must say the same on every machine."""
    drop = (
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "ROLLMILL_TIMEOUT",
    )
    env = {
        k: v for k, v in os.environ.items() if k not in drop and not k.startswith("TORCHELASTIC")
    }
    env["CUDA_VISIBLE_DEVICES"] = ""
    env.update(extra or {})
    return env


class Result:
    def __init__(self, code, out, err, command):
        self.code, self.out, self.err, self.command = code, out, err, command

    def __str__(self):
        streams = f"stdout: {self.out[-1500:]}\n  stderr: {self.err[-1500:]}"
        return f"{' '.join(self.command)}\n  exit {self.code}\n  {streams}"

    def lines(self):
        return [line for line in self.err.splitlines() if line]


def start(*arguments, env=None, prefix=(), program=None, **options):
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    command = [*prefix, program or binary, *map(str, arguments)]
    return subprocess.Popen(
        command, env=clean_environment(env), stdin=subprocess.DEVNULL, **options
    )


def finish(process, timeout=LIMIT_SECONDS):
    """Waits for a started process; a hang fails the test and leaves no process behind."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(
            f"still running after {timeout} s: {process.args}\n{(err or b'').decode()[-2000:]}"
        )
    decode = lambda data: (data or b"").decode("utf-8", "replace")
    return Result(process.returncode, decode(out), decode(err), list(map(str, process.args)))


def run(*arguments, timeout=LIMIT_SECONDS, **options):
    return finish(start(*arguments, **options), timeout)


def run_killed(delay, *arguments, number=signal.SIGKILL, **options):
    """Runs until done or until `delay` seconds passed, then sends the signal."""
    process = start(*arguments, **options)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    return finish(process)


def wait_until(condition, process, seconds=60):
    """Polls; False when the process ended or the time passed first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return condition()
        time.sleep(0.002)
    return False


def handles(process, number):
    """Whether a started process has a handler for a signal by now."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    except (OSError, StopIteration):  # it is gone, or as good as
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


class JobTest(unittest.TestCase):
    """A fresh folder for each test, readable by other users (some faults need one)."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="rollmill-job-"))
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def ok(self, *arguments, code=0, **options):
        result = run(*arguments, **options)
        self.assertEqual(result.code, code, str(result))
        return result

    def fails(self, code, *arguments, says=(), **options):
        """Exit code `code` and exactly one line, which names everything in `says`."""
        return self.one_line(run(*arguments, **options), code, says)

    def one_line(self, result, code, says=()):
        self.assertEqual(result.code, code, str(result))
        self.assertEqual(len(result.lines()), 1, "more or less than one line\n" + str(result))
        self.assertIn("rollmill: ", result.err)
        self.assertIn("error: ", result.err)
        for bad in ("unexpected", "what():", "terminate called", "Assertion"):
            self.assertNotIn(bad, result.err, str(result))
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, result.err, str(result))
        return result

    def write(self, name, text):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def no_leftovers(self, folder):
        left = [
            str(p)
            for p in pathlib.Path(folder).rglob("*")
            if ".tmp" in p.name or p.name == "lock.json"
        ]
        self.assertEqual(left, [], "left behind")


# ---- runs ----


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def write_json(path, value):
    pathlib.Path(path).write_text(json.dumps(value, indent=1) + "\n")


def checkpoints(run_dir):
    """Complete checkpoints, oldest first."""
    return sorted(
        p
        for p in (pathlib.Path(run_dir) / "checkpoints").glob("step_" + 12 * "[0-9]")
        if p.is_dir()
    )


def final_policy(run_dir):
    return (checkpoints(run_dir)[-1] / "policy.safetensors").read_bytes()


def read_state(path):
    """All arrays and attributes of a state-rankN.h5."""
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
        for name, value in file.attrs.items():
            found["@" + name] = np.asarray(value)
    return found


def read_metrics(run_dir):
    with open(os.path.join(run_dir, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def without_times(record):
    return {k: v for k, v in record.items() if not k.endswith("seconds")}


def assert_same_run(test, expected, actual, ranks=1):
    """Final weights byte for byte, all state, and each step's metrics once and in order."""
    a, b = checkpoints(expected)[-1], checkpoints(actual)[-1]
    test.assertEqual(a.name, b.name)
    test.assertEqual(final_policy(expected), final_policy(actual), "the final weights differ")
    for rank in range(ranks):
        x, y = (read_state(folder / f"state-rank{rank}.h5") for folder in (a, b))
        test.assertEqual(sorted(x), sorted(y))
        for name in x:
            test.assertEqual(
                np.asarray(x[name]).tobytes(),
                np.asarray(y[name]).tobytes(),
                f"state {name} differs",
            )
    m, n = read_metrics(expected), read_metrics(actual)
    test.assertEqual([r["step"] for r in n], [r["step"] for r in m], "steps in metrics.jsonl")
    test.assertEqual(list(map(without_times, n)), list(map(without_times, m)))
    test.assertEqual(read_json(os.path.join(actual, "RUN_STATUS.json"))["state"], "done")
    for folder in checkpoints(actual):
        for name, sha256 in read_json(folder / "MANIFEST.json")["sha256"].items():
            test.assertEqual(hashlib.sha256((folder / name).read_bytes()).hexdigest(), sha256)


# ---- safetensors, read by hand ----


def read_safetensors(data):
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    return header, data[8 + size :]


# ---- datasets ----


def read_manifest(folder):
    return read_json(os.path.join(folder, "MANIFEST.json"))


def content_hash(folder):
    return read_manifest(folder)["content_hash"]


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(data):
    """The reference implementation, canonical hex; None where its shared library is absent."""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    except OSError:
        return None
    library.XXH3_128bits.restype = _Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    digest = library.XXH3_128bits(bytes(data), len(data))
    return f"{digest.high:016x}{digest.low:016x}"


def _text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def shard_content(path, columns):
    """docs/formats.md: number of columns; then name, dtype, rank, dimensions and values of each."""
    data = struct.pack("<Q", len(columns))
    with h5py.File(path, "r") as file:
        for column in columns:
            values = file[column["name"]][()]
            data += _text(column["name"]) + _text(column["dtype"])
            data += struct.pack("<Q", values.ndim) + b"".join(
                struct.pack("<Q", d) for d in values.shape
            )
            data += np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    return xxh3_128(data)


def dataset_content(shards):
    return xxh3_128(b"".join(_text(shard["content"]) for shard in shards))


def seal(folder, file):
    """Makes every hash right again after the shard `file` was changed: what a forger would do."""
    manifest = read_manifest(folder)
    path = os.path.join(folder, file)
    content = shard_content(path, manifest["columns"])
    with h5py.File(path, "r+") as shard:
        attribute = h5py.h5a.open(shard.id, b"content")
        attribute.write(np.array(content, dtype=attribute.dtype))
    for shard in manifest["shards"]:
        if shard["file"] == file:
            raw = pathlib.Path(path).read_bytes()
            shard.update(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest(), content=content)
    manifest["content_hash"] = dataset_content(manifest["shards"])
    write_json(os.path.join(folder, "MANIFEST.json"), manifest)


def logical_content(folder):
    """Every column over all shards, as bytes; independent of how files are laid out."""
    parts = {}
    manifest = read_manifest(folder)
    for shard in manifest["shards"]:
        with h5py.File(os.path.join(folder, shard["file"]), "r") as file:
            for column in manifest["columns"]:
                parts.setdefault(column["name"], []).append(file[column["name"]][()])
    return {
        name: np.concatenate(values).tobytes()
        for name, values in parts.items()
        if name != "episodes/start"
    }


def assert_same_dataset(test, expected, actual):
    a, b = read_manifest(expected), read_manifest(actual)
    test.assertEqual(a["content_hash"], b["content_hash"])
    test.assertEqual(b["state"], "done")
    test.assertEqual(
        a["shards"], b["shards"]
    )  # sizes and sha256 too: the same build writes the same bytes
    test.assertEqual(logical_content(expected), logical_content(actual))
    names = [shard["file"] for shard in b["shards"]] + ["CARD.md", "MANIFEST.json"]
    test.assertEqual(sorted(os.listdir(actual)), sorted(names), "files in the finished dataset")


def flip(path, offset, mask=0x10):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def limit_file_size(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def seeded(seed):
    return random.Random(seed)
