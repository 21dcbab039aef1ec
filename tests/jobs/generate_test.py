"""A dataset job gives one content for any threads, kills and targets, in the promised format."""

import shutil
import signal
import sys
import time

import h5py
import numpy as np

import support
from small_jobs import CONFIG, Generate
from support import (
    FOLDER_CODE,
    assert_same_dataset,
    content_hash,
    read_manifest,
    run_killed,
    seeded,
)

sys.path.insert(0, str(support.ROOT / "tests" / "datasets"))
import check_shard  # noqa: E402  (the layout checks of the unit test of datasets/)


class SameContent(Generate):
    def kill_series(self, out, rng, longest, kills, options):
        struck = 0
        for k in range(kills):
            threads = f"run.threads={1 + k % 3}"
            result = run_killed(
                rng.uniform(0, longest), *self.job(out, *options, threads, "--resume")
            )
            if result.code == 0:
                return struck
            self.assertEqual(result.code, -signal.SIGKILL, str(result))
            struck += 1
        self.ok(*self.job(out, *options, "--resume"))
        return struck

    def kill_many(self, config, options, wanted, seed):
        begin = time.monotonic()
        expected = self.make("whole", *options, config=config)
        longest = time.monotonic() - begin
        rng = seeded(seed)
        struck = series = 0
        while struck < wanted:
            struck += self.kill_series(
                "killed", rng, 0.5 * longest, min(7, wanted - struck), options
            )
            assert_same_dataset(self, expected, self.dir / "killed")
            shutil.rmtree(self.dir / "killed")
            series += 1
            self.assertLess(series, 20 * wanted, "the kills do not strike: it ends before them")

    def test_killed_at_random_moments(self):
        self.kill_many(None, ["generate.transitions=1500000"], 200 if support.soak else 21, seed=4)

    def test_killed_with_compression(self):
        options = [
            "generate.transitions=150000",
            "generate.compress=true",
            "generate.policy_outputs=true",
        ]
        self.kill_many(None, options, 60 if support.soak else 5, seed=5)

    def test_killed_with_continuous_actions(self):
        self.config = self.write("pendulum.toml", CONFIG.format(env="Pendulum-v1", policy="random"))
        self.kill_many(None, ["generate.episodes=3000"], 60 if support.soak else 5, seed=6)

    def test_thread_counts(self):
        for env in ("CartPole-v1", "MountainCarContinuous-v0"):
            config = self.write(f"{env}.toml", CONFIG.format(env=env, policy="random"))
            made = [
                self.make(
                    f"{env}{n}", "generate.transitions=100000", f"run.threads={n}", config=config
                )
                for n in (1, 2, 3)
            ]
            for other in made[1:]:
                assert_same_dataset(self, made[0], other)

    def test_compression_changes_files_but_not_content(self):
        plain = self.make("plain", "generate.transitions=60000")
        packed = self.make("packed", "generate.transitions=60000", "generate.compress=true")
        self.assertEqual(content_hash(plain), content_hash(packed))
        self.assertEqual(support.logical_content(plain), support.logical_content(packed))
        size = lambda folder: sum(shard["bytes"] for shard in read_manifest(folder)["shards"])
        self.assertLess(size(packed), size(plain))

    def test_seed_changes_content(self):
        a, b = self.make("a", "generate.transitions=5000"), self.make(
            "b", "generate.transitions=5000", "run.seed=2"
        )
        self.assertNotEqual(content_hash(a), content_hash(b))

    def test_growing_equals_a_larger_job(self):
        for key, targets in (
            ("transitions", (1, 30000, 30001, 90000)),
            ("episodes", (1, 1000, 3000)),
        ):
            for target in targets:
                self.make(f"grown-{key}", f"generate.{key}={target}", "--resume")
            whole = self.make(f"whole-{key}", f"generate.{key}={targets[-1]}")
            assert_same_dataset(self, whole, self.dir / f"grown-{key}")
            self.ok("replay", self.dir / f"grown-{key}", "--quiet")

    def test_growing_needs_resume(self):
        self.make("small", "generate.transitions=3000")
        self.fails(FOLDER_CODE, *self.job("small", "generate.transitions=60000"), says="--resume")
        again = self.make(
            "small", "generate.transitions=3000"
        )  # the same job again is done already
        self.assertEqual(
            content_hash(again), content_hash(self.make("fresh", "generate.transitions=3000"))
        )

    def test_a_smaller_target_leaves_the_dataset(self):
        large = self.make("large", "generate.transitions=60000")
        before = content_hash(large)
        for more in ((), ("--resume",)):
            self.make("large", "generate.transitions=3000", *more)
            self.assertEqual(content_hash(large), before)

    def test_cut_exactly_at_the_episode_that_passes_the_target(self):
        whole = self.make("whole", "generate.transitions=50000")
        lengths, shard_ends = [], []
        for shard in read_manifest(whole)["shards"]:
            with h5py.File(whole / shard["file"]) as file:
                lengths += file["episodes/length"][()].tolist()
            shard_ends.append(sum(lengths))
        ends = np.cumsum(lengths)
        first, second = int(ends[0]), int(ends[1])
        for target in (
            1,
            first - 1,
            first,
            first + 1,
            second,
            25000,
            int(ends[999]),
            shard_ends[0] - 1,
            shard_ends[0],
            shard_ends[0] + 1,
            shard_ends[1],
        ):
            wanted = (
                int(np.searchsorted(ends, target)) + 1
            )  # episodes up to the first that reaches the target
            made = self.make(f"cut{target}", f"generate.transitions={target}")
            manifest = read_manifest(made)
            self.assertEqual(
                (manifest["episodes"], manifest["steps"]), (wanted, int(ends[wanted - 1])), target
            )
            self.ok("verify", made, "--quiet")
        exact = read_manifest(self.make("episodes", "generate.episodes=1234"))
        self.assertEqual((exact["episodes"], exact["steps"]), (1234, int(ends[1233])))

    def stopped_by(self, number, code, out):
        """A job that never ends by itself, however late the signal comes."""
        arguments = self.job(out, "generate.transitions=1000000000")
        process = support.start(*arguments)
        self.addCleanup(process.kill)
        self.assertTrue(support.wait_until((self.dir / out / "shard-000003.h5").exists, process))
        process.send_signal(number)
        self.assertEqual(support.finish(process).code, code)
        self.assertEqual(read_manifest(self.dir / out)["state"], "running")
        self.no_leftovers(self.dir / out)
        self.ok("verify", self.dir / out)  # what is there is sound
        self.fails(FOLDER_CODE, *arguments, says="--resume")

    def test_signals(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            out = f"stopped{code}"
            self.stopped_by(number, code, out)
            have = sum(shard["steps"] for shard in read_manifest(self.dir / out)["shards"])
            options = [f"generate.transitions={have + 1000000}"]
            self.ok(*self.job(out, *options, "--resume"))
            assert_same_dataset(self, self.make(f"whole{code}", *options), self.dir / out)

    def test_a_smaller_target_of_an_unfinished_dataset(self):
        """What lies beyond the target goes."""
        self.stopped_by(signal.SIGTERM, 75, "large")
        shards = read_manifest(self.dir / "large")["shards"]
        whole = sum(shard["steps"] for shard in shards[:2])  # exactly two shards, and less
        for k, target in enumerate((f"transitions={whole}", "transitions=12345", f"episodes={shards[0]['episodes'] + 1}", "episodes=7")):
            shutil.copytree(self.dir / "large", self.dir / f"less{k}")
            self.ok(*self.job(f"less{k}", f"generate.{target}", "--resume"))
            assert_same_dataset(self, self.make(f"fresh{k}", f"generate.{target}"), self.dir / f"less{k}")
            self.ok("verify", self.dir / f"less{k}")

    def test_a_signal_does_not_wait_for_the_shard(self):
        """A shard of Seaquest's expert, who looks three steps ahead, takes a minute; a batch system gives half of one."""
        options = ['env.id="MinAtar/Seaquest-v1"', "generate.policy=expert", "generate.transitions=4000000"]
        process = support.start(*self.job("slow", *options))
        manifest = self.dir / "slow" / "MANIFEST.json"
        self.assertTrue(support.wait_until(manifest.exists, process))
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(support.finish(process).code, 75)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(read_manifest(self.dir / "slow")["state"], "running")
        self.no_leftovers(self.dir / "slow")

    def test_killed_while_the_folder_was_made(self):
        gone = support.start("--version")
        support.finish(gone)
        expected = self.make("whole", "generate.transitions=3000")
        for name in ("MANIFEST.json", "probe"):
            for more in ((), ("--resume",)):
                with self.subTest(leftover=name, more=more):
                    out = f"early{name}{len(more)}"
                    (self.dir / out).mkdir()
                    (self.dir / out / f"{name}.tmp-{gone.pid}").write_text("{")
                    (self.dir / out / "lock.json").write_text("")
                    self.make(out, "generate.transitions=3000", *more)
                    assert_same_dataset(self, expected, self.dir / out)

    def test_policies_from_training(self):
        run_dir = self.dir / "run"
        self.ok(
            "train",
            support.recipe("cartpole_ppo.toml"),
            "--out",
            run_dir,
            "--quiet",
            "--set",
            "trainer.total_steps=20000",
            "--set",
            "evaluation.episodes=0",
        )
        config = self.write("policy.toml", CONFIG.format(env="CartPole-v1", policy=run_dir))
        made = [
            self.make(
                f"policy{n}",
                "generate.transitions=20000",
                "generate.policy_outputs=true",
                f"run.threads={n}",
                config=config,
            )
            for n in (1, 3)
        ]
        assert_same_dataset(self, *made)
        self.ok("replay", made[0], "--quiet")


class Promises(Generate):
    def test_h5py_finds_what_the_format_page_promises(self):
        compressed = [False, True]
        for gzip in compressed:
            made = self.make(
                f"d{gzip}",
                "generate.transitions=50000",
                "generate.policy_outputs=true",
                f"generate.compress={str(gzip).lower()}",
                "run.seed=7",
            )
            manifest = read_manifest(made)
            self.assertEqual(
                (manifest["format"], manifest["format_version"]), ("rollmill-dataset", 1)
            )
            self.assertEqual((manifest["state"], manifest["environment"]), ("done", "CartPole-v1"))
            self.assertGreaterEqual(len(manifest["shards"]), 3)
            first = 0
            for index, shard in enumerate(manifest["shards"]):
                self.assertEqual(shard["file"], f"shard-{index:06d}.h5")
                self.assertEqual(shard["first_episode"], first)
                self.check_shard(made / shard["file"], manifest, shard, index, gzip)
                first += shard["episodes"]
            self.assertEqual(manifest["episodes"], first)
            self.assertEqual(manifest["steps"], sum(shard["steps"] for shard in manifest["shards"]))

    def check_shard(self, path, manifest, info, index, gzip):
        expected = {
            name: spec for name, spec in check_shard.COLUMNS.items() if name != "episodes/params"
        }
        with h5py.File(path, "r") as shard:
            found = []
            shard.visititems(
                lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
            )
            self.assertEqual(sorted(found), sorted(expected))
            self.assertEqual([column["name"] for column in manifest["columns"]], list(expected))
            for name, (dtype, row) in expected.items():
                self.assertEqual(
                    (shard[name].dtype, shard[name].shape[1:]), (np.dtype(dtype), row), name
                )
                check_shard.check_layout(shard[name], gzip)
                if shard[name].dtype.kind == "f":
                    self.assertTrue(np.isfinite(shard[name][()]).all(), name)
            check_shard.check_bool(shard["terminals"])
            check_shard.check_bool(shard["timeouts"])
            self.check_episodes(shard, info, manifest)
            for key in (
                "format",
                "format_version",
                "environment",
                "environment_version",
                "environment_params",
                "environment_params_hash",
                "policy",
                "policy_hash",
                "seed",
                "build",
                "action_description",
            ):
                self.assertEqual(shard.attrs[key], manifest[key], key)
            for key in ("observation_names", "observation_units", "outcome_names"):
                self.assertEqual(list(shard.attrs[key]), manifest[key], key)
            self.assertEqual(shard.attrs["seed"], 7)
            self.assertEqual(
                (shard.attrs["shard_index"], shard.attrs["first_episode"]),
                (index, info["first_episode"]),
            )
            self.assertEqual(shard.attrs["content"], info["content"])

    def check_episodes(self, shard, info, manifest):
        lengths, starts = shard["episodes/length"][()], shard["episodes/start"][()]
        self.assertEqual((len(lengths), len(shard["rewards"])), (info["episodes"], info["steps"]))
        self.assertTrue((lengths >= 1).all())
        self.assertEqual(starts.tolist(), [0, *np.cumsum(lengths)[:-1].tolist()])
        ids = np.arange(info["first_episode"], info["first_episode"] + info["episodes"])
        self.assertTrue(np.array_equal(shard["episodes/id"][()], ids))
        terminals, timeouts = shard["terminals"][()], shard["timeouts"][()]
        self.assertTrue(np.array_equal(np.flatnonzero(terminals | timeouts), starts + lengths - 1))
        self.assertFalse((terminals & timeouts).any())
        returns = np.add.reduceat(shard["rewards"][()].astype(np.float64), starts)
        self.assertTrue(np.array_equal(shard["episodes/return"][()], returns.astype(np.float32)))
        # From CartPole's physics: x' = x + 0.02 x_dot, to float32 rounding.
        observations = shard["observations"][()]
        inner = np.flatnonzero(~(terminals | timeouts))
        gap = observations[inner + 1, 0] - (
            observations[inner, 0] + np.float32(0.02) * observations[inner, 1]
        )
        self.assertLess(np.abs(gap).max(), 1e-6)
        self.assertTrue((np.abs(observations) < 100).all())
        final = shard["episodes/final_observation"][()]
        fell = np.abs(final[:, 2]) > 12 * 2 * np.pi / 360
        outcome = np.array(manifest["outcome_names"])[shard["episodes/outcome"][()]]
        self.assertTrue(fell[outcome == "pole_fell"].all())

    def test_content_hash_is_what_the_format_page_says(self):
        if support.xxh3_128(b"") is None:
            self.skipTest("libxxhash is not installed as a shared library")
        self.assertEqual(
            support.xxh3_128(b""), "99aa06d3014798d86001c324468d497f"
        )  # published test vector
        made = self.make("d", "generate.transitions=30000")
        manifest = read_manifest(made)
        for shard in manifest["shards"]:
            self.assertEqual(
                support.shard_content(made / shard["file"], manifest["columns"]), shard["content"]
            )
        self.assertEqual(support.dataset_content(manifest["shards"]), manifest["content_hash"])
        self.assertEqual(
            support.xxh3_128(manifest["environment_params"].encode()),
            manifest["environment_params_hash"],
        )

    def test_reports(self):
        made = self.make("d", "generate.transitions=30000")
        verified = support.json.loads(self.ok("verify", made, "--json").out)
        self.assertTrue(verified["ok"])
        self.assertEqual(verified["content_hash"], content_hash(made))
        replayed = support.json.loads(self.ok("replay", made, "--json", "--quiet").out)
        self.assertTrue(replayed["equal"])
        self.assertEqual(replayed["steps"], read_manifest(made)["steps"])
        inspected = support.json.loads(self.ok("inspect", made, "--json").out)
        self.assertEqual(inspected["transitions"], read_manifest(made)["steps"])
        for threads in (1, 2, 3):
            self.ok("replay", made, "--quiet", "--threads", threads)


if __name__ == "__main__":
    support.main()
