"""Disks, memory and descriptors that run out; streams that are closed, full or stuck."""

import os
import resource
import shutil
import signal
import socket
import subprocess

import support
from small_jobs import Faults
from support import assert_same_dataset, assert_same_run, checkpoints, run


class Resources(Faults):
    """Space that runs out: exit 4, nothing lost, and the job continues when there is some."""

    def mount(self, size):
        disk = self.dir / "disk"
        disk.mkdir()
        if os.geteuid() != 0:
            self.skipTest(
                "mounting a small tmpfs needs root; the file size limit tests cover the rest"
            )
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "rollmill-test", disk],
            capture_output=True,
        )
        if mounted.returncode != 0:
            self.skipTest(f"mount is not permitted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        return disk

    def fill(self, disk, leave):
        (disk / "ballast").unlink(missing_ok=True)
        info = os.statvfs(disk)
        with open(disk / "ballast", "wb") as file:
            file.write(bytes(max(0, info.f_bavail * info.f_frsize - leave)))

    def test_full_disk_train(self):
        self.ok(*self.train("whole"))
        disk = self.mount("4m")
        # A checkpoint has 154 kB; three are kept, and while the next is written there are four.
        for leave in (0, 4096, 16384, 60000, 150000, 200000, 350000, 480000):
            with self.subTest(leave=leave):
                shutil.rmtree(disk / "run", ignore_errors=True)
                self.fill(disk, leave)
                self.fails(4, *self.train("disk/run", "--resume"), says="space")
                (disk / "ballast").unlink()
                for folder in checkpoints(disk / "run"):  # what is there is whole
                    self.ok("verify", folder, "--quiet")
                self.ok(*self.train("disk/run", "--resume"))
                assert_same_run(self, self.dir / "whole", disk / "run")
                self.no_leftovers(disk / "run")

    def test_full_disk_generate(self):
        self.ok(*self.generate("whole"))
        disk = self.mount("16m")
        for leave in (0, 4096, 16384, 400000, 1500000, 2500000, 4000000):
            for threads in (1, 2):
                with self.subTest(leave=leave, threads=threads):
                    shutil.rmtree(disk / "data", ignore_errors=True)
                    self.fill(disk, leave)
                    options = ("--resume", "--set", f"run.threads={threads}")
                    self.fails(4, *self.generate("disk/data", *options), says="space")
                    (disk / "ballast").unlink()
                    if (disk / "data" / "MANIFEST.json").exists():
                        self.ok("verify", disk / "data", "--quiet")
                    self.ok(*self.generate("disk/data", *options))
                    assert_same_dataset(self, self.dir / "whole", disk / "data")

    def test_full_disk_evaluate_report(self):
        disk = self.mount("1m")
        self.fill(disk, 0)
        self.fails(
            4,
            "evaluate",
            "random",
            "--env",
            "CartPole-v1",
            "--episodes",
            "5",
            "--out",
            disk / "report.json",
        )

    def test_file_size_limit_train(self):
        self.ok(*self.train("whole"))
        for size in (100, 3000, 12000, 40000):
            with self.subTest(size=size):
                self.fails(
                    4, *self.train("run", "--resume"), preexec_fn=support.limit_file_size(size)
                )
                for folder in checkpoints(self.dir / "run"):
                    self.ok("verify", folder, "--quiet")
        self.ok(*self.train("run", "--resume"))
        assert_same_run(self, self.dir / "whole", self.dir / "run")

    def test_file_size_limit_generate(self):
        self.ok(*self.generate("whole"))
        for size in (100, 3000, 100000, 500000):
            with self.subTest(size=size):
                self.fails(
                    4, *self.generate("data", "--resume"), preexec_fn=support.limit_file_size(size)
                )
        self.ok(*self.generate("data", "--resume"))
        assert_same_dataset(self, self.dir / "whole", self.dir / "data")

    def test_out_of_memory(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        huge = [
            "--set",
            "env.num_envs=16777216",
            "--set",
            "ppo.horizon=64",
            "--set",
            "ppo.minibatches=1",
        ]
        self.fails(4, *self.train("run", *huge), preexec_fn=limit, says="memory")

    def test_few_open_files(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
        result = run(*self.train("run"), preexec_fn=limit)
        if result.code != 0:
            self.one_line(result, 4)


class Streams(Faults):
    def test_closed_streams(self):
        """No descriptor of a closed stream may end up as a file that messages are written into."""
        self.ok(*self.train("whole"))
        self.ok(*self.generate("data"))
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            close = lambda closed=closed: [os.close(fd) for fd in closed]
            with self.subTest(closed=closed):
                name = "-".join(map(str, closed))
                self.ok(*self.train(f"run{name}"), preexec_fn=close)
                assert_same_run(self, self.dir / "whole", self.dir / f"run{name}")
                self.ok(*self.generate(f"data{name}"), preexec_fn=close)
                assert_same_dataset(self, self.dir / "data", self.dir / f"data{name}")
                self.ok("train", self.dir / "none.toml", preexec_fn=close, code=2)

    def test_full_streams(self):
        with open("/dev/full", "wb") as full:
            result = run("envs", stdout=full)
            self.one_line(result, 4, "standard output")
            self.ok(*self.train("run"), stderr=full)
            self.ok(*self.generate("data"), stderr=full)
            self.ok("train", self.dir / "none.toml", stderr=full, code=2)

    def test_readers_that_leave(self):
        for stream in ("stdout", "stderr"):
            ours, theirs = os.pipe()
            os.close(ours)
            options = ["--set", "trainer.total_steps=20000", "--set", "evaluation.episodes=5"]
            result = run(
                "train", self.recipe, "--out", self.dir / stream, *options, **{stream: theirs}
            )
            os.close(theirs)
            self.assertEqual(result.code, 0, str(result))

    def test_reader_that_does_not_read(self):
        """A terminal that is stopped, or a pipe nobody empties, does not stop the job for ever."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        try:
            while True:
                theirs.send(bytes(65536))
        except BlockingIOError:
            pass
        options = ["--set", "trainer.total_steps=20000", "--set", "evaluation.episodes=0"]
        result = run(
            "train", self.recipe, "--out", self.dir / "run", *options, stderr=theirs, timeout=30
        )
        self.assertEqual(result.code, 0, str(result))
        ours.close()
        theirs.close()

    def test_hangup_does_not_end_a_job(self):
        process = support.start(*self.train("run", "--set", "trainer.total_steps=200000"))
        self.assertTrue(support.wait_until((self.dir / "run" / "metrics.jsonl").exists, process))
        process.send_signal(signal.SIGHUP)
        self.assertEqual(support.finish(process).code, 0)


if __name__ == "__main__":
    support.main()
