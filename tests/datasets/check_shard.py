"""Opens shards with h5py alone and asserts what docs/formats.md promises.

Usage: python check_shard.py PATH_TO_make_sample
"""

import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SEED = 0xFEDCBA9876543210
EPISODES = 20000  # of one shard: its columns take several chunks

COLUMNS = {  # name: (dtype, shape of a row)
    "observations": ("float32", (4,)),
    "actions": ("int8", ()),
    "rewards": ("float32", ()),
    "terminals": ("bool", ()),
    "timeouts": ("bool", ()),
    "logprobs": ("float32", ()),
    "values": ("float32", ()),
    "episodes/start": ("int64", ()),
    "episodes/length": ("int32", ()),
    "episodes/id": ("int64", ()),
    "episodes/seed_key": ("uint64", ()),
    "episodes/return": ("float32", ()),
    "episodes/outcome": ("uint8", ()),
    "episodes/final_observation": ("float32", (4,)),
    "episodes/params": ("float32", (2,)),
}


def check_layout(dataset, compressed):
    """Chunks of whole rows, at most 1 MiB; a checksum, or gzip 1 behind shuffle, on every column."""
    assert dataset.chunks is not None, dataset.name
    assert dataset.chunks[1:] == dataset.shape[1:], dataset.name
    chunk_bytes = int(np.prod(dataset.chunks)) * dataset.dtype.itemsize
    assert chunk_bytes <= 1 << 20, (dataset.name, chunk_bytes)
    if dataset.nbytes > 1 << 20:
        assert chunk_bytes >= 256 << 10, (dataset.name, chunk_bytes)
    if compressed:
        assert (dataset.compression, dataset.compression_opts, dataset.shuffle) == ("gzip", 1, True), dataset.name
    else:
        assert dataset.fletcher32 and dataset.compression is None and not dataset.shuffle, dataset.name


def check_bool(dataset):
    kind = dataset.id.get_type()
    assert isinstance(kind, h5py.h5t.TypeEnumID)
    assert kind.get_nmembers() == 2
    assert kind.get_super().equal(h5py.h5t.STD_I8LE)
    assert kind.enum_valueof(b"FALSE") == 0 and kind.enum_valueof(b"TRUE") == 1


def check_values(shard, first):
    ids = np.arange(first, first + EPISODES)
    lengths = 1 + (7 * ids + 3) % 50
    ends = np.cumsum(lengths) - 1
    steps = int(lengths.sum())
    rows = np.arange(steps)
    assert np.array_equal(shard["observations"][:].ravel(), ((np.arange(4 * steps) % 1000) * 0.25).astype("f4"))
    assert np.array_equal(shard["actions"][:], rows % 2)
    assert np.array_equal(shard["values"][:], rows % 7)
    assert (shard["rewards"][:] == 1).all() and (shard["logprobs"][:] == -0.5).all()
    assert np.array_equal(shard["episodes/id"][:], ids)
    assert np.array_equal(shard["episodes/length"][:], lengths)
    assert np.array_equal(shard["episodes/start"][:], ends + 1 - lengths)
    assert np.array_equal(shard["episodes/seed_key"][:], np.uint64(SEED) ^ ids.astype("u8"))
    assert np.array_equal(shard["episodes/return"][:], lengths)
    terminals, timeouts = shard["terminals"][:], shard["timeouts"][:]
    assert np.array_equal(np.flatnonzero(terminals | timeouts), ends)
    assert not (terminals & timeouts).any()
    assert np.array_equal(np.flatnonzero(timeouts), ends[lengths == 50])


def check_shard(path, first, index, compressed):
    with h5py.File(path, "r") as shard:
        found = []
        shard.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        assert sorted(found) == sorted(COLUMNS), found
        for name, (dtype, row) in COLUMNS.items():
            dataset = shard[name]
            assert dataset.dtype == np.dtype(dtype), (name, dataset.dtype)
            assert dataset.shape[1:] == row, (name, dataset.shape)
            assert dataset.dtype.byteorder in "<=|", name
            check_layout(dataset, compressed)
        check_bool(shard["terminals"])
        check_bool(shard["timeouts"])
        attributes = shard.attrs
        assert attributes["format"] == "rollmill-dataset" and attributes["format_version"] == 1
        assert attributes["environment"] == "CartPole-v1" and attributes["policy"] == "random"
        assert json.loads(attributes["environment_params"]) == {"gravity": 9.8}
        assert int(attributes["seed"]) == SEED
        assert list(attributes["observation_names"]) == ["x", "x_dot", "theta", "theta_dot"]
        assert list(attributes["observation_units"]) == ["m", "m/s", "rad", "rad/s"]
        assert list(attributes["columns"]) == list(COLUMNS)
        assert len(attributes["content"]) == 32
        assert attributes["shard_index"] == index and attributes["first_episode"] == first
        check_values(shard, first)


def check_dataset(folder, compressed):
    with open(os.path.join(folder, "MANIFEST.json")) as file:
        manifest = json.load(file)
    assert manifest["state"] == "done" and manifest["seed"] == SEED and manifest["episodes"] == 2 * EPISODES
    files = sorted(os.path.basename(path) for path in glob.glob(os.path.join(folder, "shard-*.h5")))
    assert files == [shard["file"] for shard in manifest["shards"]] == ["shard-000000.h5", "shard-000001.h5"]
    assert sorted(os.listdir(folder)) == ["CARD.md", "MANIFEST.json"] + files
    for index, shard in enumerate(manifest["shards"]):
        path = os.path.join(folder, shard["file"])
        with open(path, "rb") as file:
            content = file.read()
        assert len(content) == shard["bytes"]
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]
        check_shard(path, index * EPISODES, index, compressed)
    return manifest["content_hash"]


def main():
    hashes = set()
    for compressed in (False, True):
        with tempfile.TemporaryDirectory() as root:
            folder = os.path.join(root, "données 1")
            subprocess.run([sys.argv[1], folder, "2", str(EPISODES)] + (["gzip"] if compressed else []), check=True)
            hashes.add(check_dataset(folder, compressed))
    assert len(hashes) == 1, "the content hash depends on compression"
    print("shards are as promised, content hash", hashes.pop())


if __name__ == "__main__":
    main()
