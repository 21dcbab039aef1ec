"""Damaged and forged datasets: exit 3, and the shard, episode, step and field are named."""

import os
import shutil

import h5py
import numpy as np

import support
from small_jobs import Generate
from support import assert_same_dataset, content_hash, read_manifest, run, seal, seeded


class Damage(Generate):
    """Every kind of damage ends in exit 3 and one line that names the shard; no crash, no guess."""

    def setUp(self):
        super().setUp()
        self.made = self.make("d", "generate.transitions=50000")
        self.shard = self.made / "shard-000001.h5"
        self.good = self.shard.read_bytes()

    def both_refuse(self, says):
        for command in ("verify", "replay"):
            self.fails(3, command, self.made, "--quiet", says=says)

    def test_flipped_bytes(self):
        size = len(self.good)
        rng = seeded(8)
        places = [0, 7, 9, 40, 96, 512, size // 3, size // 2, size - 1]
        places += [rng.randrange(size) for _ in range(100 if support.soak else 10)]
        for place in places:
            with self.subTest(place=place):
                support.flip(self.shard, place, mask=1 << rng.randrange(8))
                self.both_refuse("shard-000001.h5")
                self.shard.write_bytes(self.good)
        self.ok("verify", self.made, "--quiet")

    def test_truncated(self):
        for size in (0, 1, 8, 100, 2048, len(self.good) // 2, len(self.good) - 1):
            with self.subTest(size=size):
                self.shard.write_bytes(self.good[:size])
                self.both_refuse("shard-000001.h5")

    def test_longer(self):
        self.shard.write_bytes(self.good + b"\0")
        self.both_refuse("shard-000001.h5")

    def test_missing(self):
        self.shard.unlink()
        self.both_refuse("shard-000001.h5")

    def test_another_shard_in_its_place(self):
        shutil.copy(self.made / "shard-000000.h5", self.shard)
        self.both_refuse("shard-000001.h5")

    def test_a_link_or_folder_in_its_place(self):
        self.shard.unlink()
        self.shard.symlink_to(self.made / "shard-000000.h5")
        self.both_refuse("shard-000001.h5")
        self.shard.unlink()
        self.shard.mkdir()
        self.both_refuse("shard-000001.h5")

    def test_damaged_manifest(self):
        path = self.made / "MANIFEST.json"
        good = path.read_text()
        steps = read_manifest(self.made)["steps"]
        for bad in (
            "",
            "{",
            "[]",
            "null",
            good[: len(good) // 2],
            good + good,
            good.replace('"done"', '"perhaps"'),
            good.replace(f'"steps": {steps}', f'"steps": {steps + 1}'),
            good.replace('"seed": 1', '"seed": -1'),
            good.replace('"seed": 1', '"seed": "1"'),
            good.replace('"seed": 1', '"seed": 1, "seed": 1'),
            good.replace("CartPole-v1", "CartPole-v9", 1),
            good.replace("shard-000001.h5", "../shard-000001.h5"),
            good.replace('"format_version": 1', '"format_version": 2'),
            "[" * 100000,
        ):
            path.write_text(bad)
            with self.subTest(bad=bad[:80]):
                self.assertNotEqual(bad, good)
                self.fails(
                    3,
                    "replay",
                    self.made,
                    "--quiet",
                    says=("CartPole-v9" if "v9" in bad else "MANIFEST.json"),
                )
                if "CartPole-v9" not in bad:
                    self.fails(3, "verify", self.made, "--quiet", says="MANIFEST.json")
        path.write_text(good)
        self.ok("verify", self.made, "--quiet")

    def test_resume_makes_damaged_shards_anew(self):
        whole = self.make("whole", "generate.transitions=90000")
        for name, damage in (
            ("truncated", lambda: self.shard.write_bytes(self.good[:-1])),
            ("missing", self.shard.unlink),
            ("flipped", lambda: support.flip(self.shard, len(self.good) // 2)),
        ):
            for state, target in (("unfinished", 90000), ("finished", 50000)):
                with self.subTest(damage=name, state=state):
                    shutil.rmtree(self.made)
                    self.make("d", "generate.transitions=50000")
                    damage()
                    self.ok(*self.job("d", f"generate.transitions={target}", "--resume"))
                    self.ok("verify", self.made, "--quiet")
                    if target == 90000:
                        assert_same_dataset(self, whole, self.made)

    def test_finished_dataset_that_lost_a_shard_is_not_called_complete(self):
        self.shard.unlink()
        self.one_line(
            run(*self.job("d", "generate.transitions=50000")), 3, ("shard-000001.h5", "--resume")
        )

    def test_lost_card_comes_back(self):
        """As after a kill between the last shard and the card."""
        card = (self.made / "CARD.md").read_bytes()
        gone = support.start("--version")
        support.finish(gone)
        os.rename(self.made / "CARD.md", self.made / f"CARD.md.tmp-{gone.pid}")
        self.ok(*self.job("d", "generate.transitions=50000", "--resume"))
        self.assertEqual((self.made / "CARD.md").read_bytes(), card)
        self.no_leftovers(self.made)

    def test_not_a_dataset(self):
        for command in ("verify", "replay", "inspect"):
            self.fails(3, command, self.dir / "nothing", says="nothing")
        (self.dir / "empty").mkdir()
        for command in ("verify", "replay", "inspect"):
            self.fails(3, command, self.dir / "empty", says="empty")


OTHERS = ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")


class ChangedManifest(Generate):
    """A manifest that says other things than its shard does: exit 3 in one line, never a crash."""

    def setUp(self):
        super().setUp()
        if support.xxh3_128(b"") is None:
            self.skipTest("libxxhash is not installed as a shared library")
        self.made = self.make("d", "generate.transitions=10000")
        self.good = read_manifest(self.made)
        self.assertEqual(len(self.good["shards"]), 1)
        params = self.good["environment_params"]
        self.assertEqual(support.xxh3_128(params.encode()), self.good["environment_params_hash"])

    def change(self, **fields):
        support.write_json(self.made / "MANIFEST.json", dict(self.good, **fields))

    def all_refuse(self, says=()):
        for command in ("verify", "replay"):
            self.fails(3, command, self.made, "--quiet", says=says)
        self.fails(3, "inspect", self.made, says=says)

    def test_unchanged(self):
        self.change()
        self.ok("verify", self.made, "--quiet")
        self.ok("replay", self.made, "--quiet")
        self.ok("inspect", self.made)

    def test_another_environment(self):
        keep = ("shards", "episodes", "steps", "content_hash", "state")
        for env in OTHERS:
            other = read_manifest(
                self.make(env, "generate.transitions=500", f'env.id="{env}"'),
            )
            self.assertEqual(other["environment"], env)
            names = [name for name in other if name.startswith("environment")]
            for fields in (
                {"environment": env},
                {name: other[name] for name in names},
                {name: value for name, value in other.items() if name not in keep},
            ):
                with self.subTest(env=env, changed=list(fields)):
                    self.change(**fields)
                    self.all_refuse()

    def test_another_environment_in_the_shard_too(self):
        """Even the shard says so, and every hash is right: its columns are not that world's."""
        for env in OTHERS:
            shutil.rmtree(self.made)
            self.make("d", "generate.transitions=10000")
            other = read_manifest(self.make(env, "generate.transitions=500", f'env.id="{env}"'))
            fields = {name: other[name] for name in other if name.startswith("environment")}
            with h5py.File(self.made / "shard-000000.h5", "r+") as file:
                for name in ("environment", "environment_version", "environment_params"):
                    self.assertIn(name, file.attrs)
                    kind = h5py.string_dtype("utf-8", len(fields[name]))
                    file.attrs.create(name, fields[name], dtype=kind)
            self.change(**fields)
            seal(self.made, "shard-000000.h5")
            with self.subTest(env=env):
                self.ok("verify", self.made, "--quiet")
                self.fails(3, "replay", self.made, "--quiet", says=(env, "columns"))

    def test_parameters_that_are_none(self):
        good = self.good["environment_params"]
        for bad in (
            "{bad",
            "",
            "{}",
            "[]",
            "null",
            '{"gravity":"x"}',
            "[" * 10000,
            good.replace("9.8", "1e999"),
            good.replace("9.8", "-1e30"),
            good.replace("500", "1e30"),
            good.replace("500", "-1"),
            good[:-1] + ',"gravity":9.8}',
            good[:-1] + ',"unknown":1.0}',
        ):
            with self.subTest(bad=bad[:80]):
                self.assertNotEqual(bad, good)
                self.change(environment_params=bad)
                self.all_refuse(("MANIFEST.json", "environment_params"))
                right = support.xxh3_128(bad.encode())
                self.change(environment_params=bad, environment_params_hash=right)
                self.all_refuse()

    def test_what_made_it(self):
        for fields in (
            {"seed": 2},
            {"environment_version": "2"},
            {"policy": "expert"},
            {"policy_hash": "expert"},
        ):
            with self.subTest(changed=fields):
                self.change(**fields)
                self.all_refuse("shard-000000.h5")


class Forgery(Generate):
    """All hashes right, one value wrong: verify cannot know it, replay names where."""

    def setUp(self):
        super().setUp()
        if support.xxh3_128(b"") is None:
            self.skipTest("libxxhash is not installed as a shared library")
        self.original = self.make("d", "generate.transitions=50000")

    def forge(self, name, column, change, shard="shard-000001.h5", row=None, verify=True):
        """Applies `change` to one row in the middle of a shard. Returns (folder, episode, step)."""
        folder = self.dir / name
        shutil.copytree(self.original, folder)
        with h5py.File(folder / shard, "r+") as file:
            starts, ids = file["episodes/start"][()], file["episodes/id"][()]
            per_episode = column.startswith("episodes/")
            rows = len(starts) if per_episode else len(file["rewards"])
            row = rows // 2 if row is None else row
            at = row if per_episode else int(np.searchsorted(starts, row, side="right")) - 1
            step = 0 if per_episode else row - int(starts[at])
            values = file[column][()]
            values[row] = change(values[row])
            file[column][...] = values
        seal(folder, shard)
        if verify:
            self.ok("verify", folder, "--quiet")
        return folder, int(ids[at]), step

    def replay_names(self, folder, episode, step, field):
        says = [f"episode {episode} differs", field] + (
            [f"step {step},"] if step is not None else []
        )
        self.fails(3, "replay", folder, "--quiet", says=says)
        report = support.json.loads(run("replay", folder, "--quiet", "--json").out)
        self.assertFalse(report["equal"])
        self.assertEqual(report["first_difference"]["episode"], episode)
        if step is not None:
            self.assertEqual(report["first_difference"]["step"], step)
        self.assertTrue(report["first_difference"]["field"].startswith(field))

    def test_an_unchanged_forgery_passes(self):
        folder, _, _ = self.forge("same", "rewards", lambda v: v)
        self.assertEqual(content_hash(folder), content_hash(self.original))
        self.ok("replay", folder, "--quiet")

    def test_last_bit_of_an_observation(self):
        for component in range(4):

            def change(row, component=component):
                row = row.copy()
                row[component] = np.nextafter(row[component], np.float32(9))
                return row

            folder, episode, step = self.forge(f"observation{component}", "observations", change)
            self.replay_names(folder, episode, step, f"observations[{component}]")

    def test_reward(self):
        folder, episode, step = self.forge(
            "reward", "rewards", lambda v: np.nextafter(v, np.float32(2))
        )
        self.replay_names(folder, episode, step, "rewards")

    def test_action(self):
        """Another action leads to another next observation, or to another end."""
        folder, episode, step = self.forge("action", "actions", lambda v: 1 - v)
        with h5py.File(folder / "shard-000001.h5") as file:
            at = file["episodes/id"][()].tolist().index(episode)
            length = int(file["episodes/length"][at])
        if step + 1 < length:
            self.replay_names(folder, episode, step + 1, "observations")
        else:
            self.replay_names(folder, episode, None, "")

    def test_action_outside_of_the_space(self):
        """Neither run nor read past a table: data that no policy can have written."""
        with h5py.File(self.original / "shard-000001.h5") as file:
            rows = [int(np.flatnonzero(file["actions"][()] == action)[40]) for action in (0, 1)]
        for value in (2, 7, -1, 127):
            for row in rows:
                with self.subTest(value=value, row=row):
                    name = f"action{value}-{row}"
                    folder, _, _ = self.forge(
                        name, "actions", lambda v, new=value: new, row=row, verify=False
                    )
                    self.fails(3, "replay", folder, "--quiet", says="shard-000001.h5")

    def test_ends(self):
        """A termination that is called a time limit."""
        folder = self.dir / "ends"
        shutil.copytree(self.original, folder)
        with h5py.File(folder / "shard-000000.h5", "r+") as file:
            row = int(file["episodes/length"][0]) - 1
            self.assertTrue(file["terminals"][row])
            file["terminals"][row], file["timeouts"][row] = False, True
        seal(folder, "shard-000000.h5")
        self.replay_names(folder, 0, row, "terminals")

    def test_columns_of_an_episode(self):
        for column, change in (
            ("return", lambda v: v + 1),
            ("outcome", lambda v: 2 if v == 1 else 1),
            ("final_observation", lambda v: np.nextafter(v, np.float32(9))),
        ):
            folder, episode, _ = self.forge(column, f"episodes/{column}", change)
            self.replay_names(folder, episode, None, f"episodes/{column}")

    def test_seed_key(self):
        folder, episode, _ = self.forge("key", "episodes/seed_key", lambda v: v ^ np.uint64(1))
        self.replay_names(folder, episode, None, "episodes/seed_key")

    def test_seed_and_parameters_of_the_manifest(self):
        for old, new in (('"seed": 1,', '"seed": 2,'), ('\\"gravity\\":9.8', '\\"gravity\\":9.7')):
            folder = self.dir / f"spec{len(old)}"
            shutil.copytree(self.original, folder)
            text = (folder / "MANIFEST.json").read_text()
            self.assertIn(old, text)
            (folder / "MANIFEST.json").write_text(text.replace(old, new))
            self.fails(3, "replay", folder, "--quiet")

    def test_nan_is_refused(self):
        for column in ("observations", "rewards"):
            folder, _, _ = self.forge(
                f"nan-{column}", column, lambda v: v * np.float32("nan"), verify=False
            )
            self.fails(3, "replay", folder, "--quiet", says="shard-000001.h5")


if __name__ == "__main__":
    support.main()
