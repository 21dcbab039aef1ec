"""Wrong configs, folders and numbers: one line, the right exit code, nothing lost."""

import os
import pathlib
import shutil

import support
from small_jobs import SHORT, Faults
from support import FOLDER_CODE, assert_same_dataset, assert_same_run, checkpoints, run


class Configs(Faults):
    def bad(self, text, *says, code=2):
        path = self.write("bad.toml", text)
        for command in ("train", "generate"):
            self.fails(code, command, path, "--out", self.dir / "out", says=says)
            self.assertFalse((self.dir / "out").exists(), "a refused job left a folder")

    def test_unknown_key_names_line_and_nearest_key(self):
        for recipe, command, line in (
            (self.recipe, "train", "learning_rat = 1e-3"),
            (self.data, "generate", "polcy = 1"),
        ):
            text = pathlib.Path(recipe).read_text()
            section = "[ppo]" if command == "train" else "[generate]"
            text = text.replace(section, f"{section}\n{line}")
            number = text.splitlines().index(line) + 1
            path = self.write("bad.toml", text)
            nearest = "learning_rate" if command == "train" else "policy"
            self.fails(
                2,
                command,
                path,
                "--out",
                self.dir / "out",
                says=(f"bad.toml:{number}", line.split()[0], nearest),
            )
            self.assertFalse((self.dir / "out").exists())

    def test_unknown_set_key(self):
        self.fails(2, *self.train("out", "--set", "ppo.gama=0.9"), says=("ppo.gama", "gamma"))
        self.fails(
            2,
            *self.generate("out", "--set", "generate.transition=5"),
            says=("generate.transition", "transitions"),
        )

    def test_wrong_types_and_ranges(self):
        for setting in (
            "ppo.gamma=1.5",
            'ppo.gamma="x"',
            "ppo.horizon=0",
            "ppo.horizon=1.5",
            "ppo.horizon=-1",
            "ppo.horizon=99999999999999999999",
            "run.seed=-1",
            "env.num_envs=0",
            "policy.hidden=[]",
            "policy.hidden=[0]",
            "policy.hidden=64",
            'policy.hidden=[64,"a"]',
            "run.threads=-1",
            "ppo.minibatches=7",
            "ppo.learning_rate=nan",
            "ppo.learning_rate=inf",
            "ppo.clip=true",
            "trainer.total_steps=0",
            'trainer.total_steps="many"',
            "env.params.gravity=nan",
            "env.id=5",
            'trainer.kernels="magic"',
            "checkpoint.keep=1",
            "run=1",
            "env=[]",
        ):
            with self.subTest(setting=setting):
                self.fails(2, *self.train("out", "--set", setting), says=setting.split("=")[0])
        for setting in (
            "generate.transitions=-5",
            "generate.transitions=1e6.5",
            "generate.transitions=true",
            "generate.shard_transitions=1",
            "generate.compress=1",
            "generate.episodes=10",
            "generate.transitions=0",
            "generate.policy=[3]",
        ):
            with self.subTest(setting=setting):
                self.fails(2, *self.generate("out", "--set", setting), says="generate.")
        self.assertFalse((self.dir / "out").exists())

    def test_malformed_sets(self):
        for setting in (
            "",
            "=",
            "ppo.gamma",
            "ppo.gamma=",
            "=0.5",
            ".=1",
            "ppo..gamma=1",
            "ppo.gamma=[",
            "a\nb=1",
        ):
            with self.subTest(setting=setting):
                self.fails(2, *self.train("out", "--set", setting))

    def test_malformed_files(self):
        for text in (
            "",
            "[env",
            "[env]\nid = \n",
            "x = 1\nx = 2\n",
            "\x00\x01",
            b"\xff\xfe\x00",
            '[env]\nid = "CartPole-v1"\n[env]\n',
            "= 1",
            "[" * 10000,
            "a = " + "[" * 100000,
            "a." * 20000 + "b = 1",
        ):
            with self.subTest(text=text[:30]):
                self.bad(text, "bad.toml")

    def test_unknown_environment_names_the_nearest(self):
        self.fails(2, *self.train("out", "--set", "env.id=CartPole-v2"), says="CartPole-v1")
        self.fails(2, "envs", "CartPol", says="CartPole-v1")

    def test_missing_file_and_folder_as_config(self):
        for command in ("train", "generate"):
            self.fails(2, command, self.dir / "none.toml", says="none.toml")
            self.fails(2, command, self.dir, says=str(self.dir))
            self.fails(2, command, "/dev/null", "--out", self.dir / "out")

    def test_command_lines(self):
        for arguments in (
            ["train"],
            ["trian", "x"],
            ["train", self.recipe, "--sed", "1"],
            ["train", self.recipe, "--seed"],
            ["train", self.recipe, "--seed", "x"],
            ["train", self.recipe, "more"],
            ["evaluate"],
            ["train", self.recipe, "--seed", "-1"],
            ["evaluate", "random"],
            ["bench", "None-v0"],
            ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "0"],
            ["evaluate", "random", "--env", "CartPole-v1", "--seed", "-1"],
            ["bench", "--threads", "0"],
            ["evaluate", "expert", "--env", "Acrobot-v0"],
            ["evaluate", "random", "--env", "CartPole-v1", "--greedy", "--sampled"],
            ["evaluate", "random", "--env", "CartPole-v1", "--set", "env.trace_steps=4"],
        ):
            with self.subTest(arguments=arguments):
                self.fails(2, *arguments)

    def test_check_writes_nothing(self):
        for job in (self.train("out"), self.generate("out")):
            self.assertIn("[env]", self.ok(*job, "--check").out)
            self.assertFalse((self.dir / "out").exists())

    def test_check_warns_of_what_is_not_there(self):
        job = self.train("out", "--set", f"init.policy={self.dir}/none", "--check")
        self.assertIn("warning: init.policy: ", self.ok(*job).err)

    def test_cuda_where_there_is_none(self):
        for device in ("cuda", "cuda:0", "cuda:7", "check"):
            with self.subTest(device=device):
                self.fails(7, *self.train(f"out-{device}", "--set", f"env.device={device}"))
        for device in ("gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", '""'):
            with self.subTest(device=device):
                self.fails(
                    2, *self.train("out", "--set", f"env.device={device}"), says="env.device"
                )

    def test_launcher_variables(self):
        for env in (
            {"RANK": "0", "WORLD_SIZE": "2"},
            {"RANK": "0"},
            {"RANK": "x", "WORLD_SIZE": "2"},
            {"WORLD_SIZE": "2"},
            {
                "RANK": "2",
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": "1",
                "LOCAL_RANK": "0",
            },
            {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_PORT": "29500"},
            {
                "RANK": "0",
                "WORLD_SIZE": "2",
                "LOCAL_RANK": "0",
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": "x",
            },
        ):
            for job in (self.train("out"), self.generate("out")):
                with self.subTest(env=env, job=job[0]):
                    result = self.fails(2, *job, env=env)
                    if env == {"RANK": "0", "WORLD_SIZE": "2"}:
                        self.assertIn("MASTER_ADDR", result.err)
        self.assertFalse((self.dir / "out").exists())


class Folders(Faults):
    def test_unwritable(self):
        """As a user who may not write there; root may always, so root becomes nobody for this."""
        for make in (self.train, self.generate):
            closed = self.dir / f"closed-{make.__name__}"
            closed.mkdir()
            closed.chmod(0o555)
            prefix, program = (), None
            if os.geteuid() == 0:
                if shutil.which("setpriv") is None:
                    self.skipTest("root without setpriv: no folder is unwritable")
                program = str(self.dir / "rollmill")
                shutil.copy(support.binary, program)
                prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
                recipe = self.write("recipe.toml", pathlib.Path(self.recipe).read_text())
                self.recipe = recipe
            for out in (closed.name, f"{closed.name}/below"):
                self.fails(4, *make(out), prefix=prefix, program=program, says=closed.name)
            self.assertEqual(list(closed.iterdir()), [])

    def test_output_that_is_a_file(self):
        self.write("file", "precious")
        for make in (self.train, self.generate):
            for out in ("file", "file/below"):
                self.fails(4, *make(out), says="file")
        self.assertEqual((self.dir / "file").read_text(), "precious")

    def test_foreign_files(self):
        for make in (self.train, self.generate):
            for more in ([], ["--resume"]):
                foreign = self.dir / f"{make.__name__}{len(more)}"
                foreign.mkdir()
                (foreign / "thesis.txt").write_text("precious")
                with self.subTest(job=make.__name__, more=more):
                    self.fails(FOLDER_CODE, *make(foreign.name, *more), says="thesis.txt")
                    self.assertEqual([p.name for p in foreign.iterdir()], ["thesis.txt"])

    def test_a_run_that_never_began_gives_its_folder_back(self):
        """Whatever was wrong before the first update, the right command then works as if nothing had been; begun runs are kept."""
        self.ok(*self.train("alone"))
        for more in (["--set", "init.policy=nope"], ["--set", f"init.policy={self.dir / 'alone'}", "--set", "policy.hidden=[8]"]):
            result = run(*self.train("out", *more))
            self.assertIn(result.code, (2, 3), str(result))
            self.ok(*self.train("out"))
            assert_same_run(self, self.dir / "alone", self.dir / "out")
            self.fails(FOLDER_CODE, *self.train("out", *more), says="another config")
            shutil.rmtree(self.dir / "out")

    def test_another_job(self):
        self.ok(*self.train("run"))
        self.ok(*self.generate("data"))
        before = self.snapshot()
        for more in ([], ["--resume"]):
            self.fails(FOLDER_CODE, *self.train("run", "--seed", "2", *more), says="run.seed")
            self.fails(
                FOLDER_CODE, *self.train("run", "--set", "ppo.gamma=0.5", *more), says="ppo.gamma"
            )
            self.fails(FOLDER_CODE, *self.train("data", *more))
            self.fails(FOLDER_CODE, *self.generate("data", "--seed", "2", *more), says="seed")
            self.fails(
                FOLDER_CODE,
                *self.generate("data", "--set", "env.params.gravity=5", *more),
                says="environment parameters",
            )
            self.fails(FOLDER_CODE, *self.generate("run", *more))
        self.assertEqual(self.snapshot(), before, "a refused job changed something")

    def snapshot(self):
        return {
            str(p): p.read_bytes()
            for name in ("run", "data")
            for p in (self.dir / name).rglob("*")
            if p.is_file()
        }

    def test_two_jobs_in_one_folder(self):
        for make, more in (
            (self.train, ["--set", "trainer.total_steps=100000000", "--set", "stop.mean_return=501"]),
            (self.generate, ["--set", "generate.transitions=1000000000"]),
        ):
            out = make.__name__
            first = support.start(*make(out, *more))
            try:
                self.assertTrue(support.wait_until((self.dir / out / "lock.json").exists, first))
                for again in ([], ["--resume"]):
                    self.fails(4, *make(out, *more, *again), says=("in use", str(first.pid)))
            finally:
                first.terminate()
                self.assertEqual(support.finish(first).code, 75)
            self.assertFalse((self.dir / out / "lock.json").exists())

    def test_many_starts_at_once(self):
        """One gets the folder; the others are told who has it, or that all is done."""
        self.ok(*self.train("whole"))
        self.ok(*self.generate("data"))
        for make in (self.train, self.generate):
            out = f"race-{make.__name__}"
            results = [
                support.finish(p) for p in [support.start(*make(out, "--resume")) for _ in range(5)]
            ]
            self.assertIn(0, [result.code for result in results])
            for result in results:
                if result.code != 0:
                    self.one_line(result, 4, "in use")
        assert_same_run(self, self.dir / "whole", self.dir / "race-train")
        assert_same_dataset(self, self.dir / "data", self.dir / "race-generate")

    def test_links_and_relative_paths(self):
        (self.dir / "real").mkdir()
        (self.dir / "link").symlink_to("real")
        self.ok(*self.train("link"))
        self.ok("evaluate", "link/", "--episodes", "2", "--quiet", cwd=self.dir)
        self.ok("generate", "data.toml", "--out", "./a/../b/", "--quiet", cwd=self.dir)
        self.ok("replay", "b", "--quiet", cwd=self.dir)

    def test_odd_names(self):
        for name in ("mit Leerzeichen", "données-日本", "a'b\"c", "-dash", "new\nline", "%s{}"):
            with self.subTest(name=name):
                self.ok(*self.train(name, "--set", "trainer.total_steps=4000"))
                self.ok(*self.generate(f"{name}.d", "--set", "generate.transitions=2000"))
                self.ok("replay", self.dir / f"{name}.d", "--quiet")
                self.ok("evaluate", self.dir / name, "--episodes", "2", "--quiet")


class Numbers(Faults):
    def test_divergence_is_named(self):
        """Weights that leave float32 end the run with 6; it never ends with a policy of NaNs."""
        codes = []
        for options in (
            ["ppo.learning_rate=10", "ppo.max_grad_norm=0"],
            ["ppo.learning_rate=10", "trainer.reward_scale=1e9", "ppo.max_grad_norm=0"],
        ):
            for recipe in ("cartpole_ppo.toml", "pendulum_ppo.toml"):
                with self.subTest(recipe=recipe, options=options):
                    out = self.dir / f"{recipe}{len(options)}"
                    sets = [part for option in options for part in ("--set", option)]
                    result = run("train", support.recipe(recipe), "--out", out, *SHORT, *sets)
                    codes.append(result.code)
                    if result.code == 0:
                        self.ok("evaluate", out, "--episodes", "5", "--quiet")
                    else:
                        self.one_line(result, 6)
                        status = support.read_json(out / "RUN_STATUS.json")
                        self.assertEqual((status["state"], status["exit_code"]), ("failed", 6))
                        failure = support.read_json(out / "failure.json")
                        self.assertIn(failure["message"], result.err)
                        newest = max(map(str, checkpoints(out)), default=None)
                        self.assertEqual(failure["checkpoint"], newest)
                        self.assertIn("--resume" if newest else "again", failure["reproduce"])
                    for folder in checkpoints(out):
                        self.ok("evaluate", folder, "--episodes", "5", "--quiet")
        self.assertIn(6, codes, "none of these diverges any more: choose others")

    def test_extreme_parameters(self):
        for setting in (
            "env.params.gravity=1e30",
            "env.params.force=1e30",
            "env.params.timestep=1e9",
            "env.params.cart_mass=0",
        ):
            with self.subTest(setting=setting):
                result = run(*self.generate(f"d{setting}", "--set", setting))
                self.assertIn(result.code, (0, 2, 6), str(result))
                if result.code != 0:
                    self.one_line(result, result.code)
                else:
                    self.ok("replay", self.dir / f"d{setting}", "--quiet")


if __name__ == "__main__":
    support.main()
