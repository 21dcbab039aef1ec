"""Opens a shard of every kind of space with h5py and NumPy alone, and follows each episode by the formulas of
tests/support/counter_env.h: unpacked as docs/formats.md says, every observation, mask, action and reward must be theirs.

Usage: python check_spaces.py PATH_TO_make_spaces
"""

import subprocess
import sys
import tempfile

import h5py
import numpy as np


def bits(shape):
    k = np.arange(np.prod(shape))
    return lambda c: ((k * 7 + c * 13) % (7 + k % 5) < 3).reshape(shape)


def pixels(shape):
    k = np.arange(np.prod(shape))
    return lambda c: ((k * 37 + c * 101) % 256).reshape(shape)


def choices(sizes):
    return lambda c: np.array([(c * (k + 2) + k) % n for k, n in enumerate(sizes)])


def reals(count):
    k = np.arange(count)
    return lambda c: 0.25 * ((c * (k + 1)) % 17) - 2.0


def mask(sizes, c):
    allowed, bit = [], 0
    for n in sizes:
        for a in range(n):
            allowed.append(a == c % n or (bit * 5 + c * 3) % 4 != 0)
            bit += 1
    return np.array(allowed)


# name: kind, shape, observation at a counter, sizes of the choices, real actions, whether there is a mask
SPACES = {
    "choices": ("choices", [3], choices([3, 5, 40]), [30, 7], 0, True),
    "mixed": ("real", [3], reals(3), [3, 2], 2, True),
    "planes": ("bits", [3, 5, 7], bits((3, 5, 7)), [4], 0, False),
    "pixels": ("pixels", [2, 3, 3], pixels((2, 3, 3)), [], 1, False),
    "discrete": ("choices", [1], lambda c: choices([19])(c)[0], [3], 0, True),
}


def unpack(rows, shard):
    if shard.attrs["observation_kind"] != "bits":
        assert "observation_packing" not in shard.attrs
        return rows
    assert shard.attrs["observation_packing"] == "little" and rows.dtype == np.uint8
    shape = tuple(shard.attrs["observation_shape"])
    count = int(np.prod(shape))
    flat = np.unpackbits(rows, axis=1, bitorder="little")
    assert rows.shape[1] == (count + 7) // 8 and not flat[:, count:].any()
    return flat[:, :count].reshape(-1, *shape)


def check(shard, name):
    kind, shape, observe, sizes, real_actions, masked = SPACES[name]
    assert shard.attrs["observation_kind"] == kind and list(shard.attrs["observation_shape"]) == shape
    dtypes = {"real": "f4", "choices": "i4", "bits": "u1", "pixels": "u1"}
    assert shard["observations"].dtype == np.dtype(dtypes[kind])
    assert shard["episodes/final_observation"].dtype == np.dtype(dtypes[kind])
    observations = unpack(shard["observations"][:], shard)
    finals = unpack(shard["episodes/final_observation"][:], shard)
    steps = len(observations)
    # Actions: whole numbers in `actions`, one or several columns; real ones beside them, or alone.
    actions = shard["actions"][:]
    reals_taken = np.zeros((steps, 0), "f4")
    if not sizes:
        reals_taken, actions = actions, np.zeros((steps, 0), int)
    elif real_actions:
        reals_taken = shard["real_actions"][:]
    assert ("real_actions" in shard) == bool(sizes and real_actions)
    if len(sizes) == 1:
        assert actions.dtype == np.int8 and actions.shape == (steps,)
        actions = actions[:, None]
    elif sizes:
        assert actions.dtype == np.int32 and actions.shape == (steps, len(sizes))
    if real_actions:
        assert reals_taken.dtype == np.float32 and reals_taken.shape == (steps, real_actions)
    assert ("action_masks" in shard) == masked
    if masked:
        masks = shard["action_masks"][:]
        assert masks.dtype == bool and masks.shape == (steps, sum(sizes))
    rewards, terminals = shard["rewards"][:], shard["terminals"][:]
    starts, lengths = shard["episodes/start"][:], shard["episodes/length"][:]
    first_bits = np.cumsum([0] + sizes)[:-1]
    for e, (start, length) in enumerate(zip(starts, lengths)):
        counters = [c for c in range(5) if np.array_equal(observations[start], observe(c))]
        assert counters, (name, e)
        counter = counters[0]
        for row in range(start, start + length):
            assert np.array_equal(observations[row], observe(counter)), (name, e, row)
            right = np.array([counter % n for n in sizes], int)
            if masked:
                assert np.array_equal(masks[row], mask(sizes, counter)), (name, e, row)
                assert masks[row][first_bits + actions[row]].all(), (name, e, row)
            assert (actions[row] >= 0).all() and (actions[row] < np.array(sizes, int)).all()
            reward = (actions[row] == right).sum() - np.abs(reals_taken[row] - 0.5).sum()
            assert abs(rewards[row] - reward) < 1e-5, (name, e, row)
            counter += 1 + int(actions[row].sum())
            assert terminals[row] == (counter % 23 == 22), (name, e, row)
        assert np.array_equal(finals[e], observe(counter)), (name, e)
        assert length == 9 or terminals[start + length - 1]
    assert len(starts) == 150
    return int(terminals.sum())


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        ended = 0
        for name in SPACES:
            with h5py.File(f"{folder}/{name}/shard-000000.h5", "r") as shard:
                ended += check(shard, name)
        assert ended > 0
    print("all spaces are as described")


if __name__ == "__main__":
    main()
