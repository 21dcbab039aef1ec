"""Pictures of episodes (`render`) and playing by hand (`play`), the latter in a terminal of its own."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest
import zlib

import numpy as np

import support
from small_jobs import Faults


def read_png(path):
    """Size and pixels of an 8-bit RGB PNG; every chunk's CRC is checked. By the PNG specification, not by libpng."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", None
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + body
        )
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack(">IIBB", body[:10])
            assert (depth, color, body[12]) == (8, 2, 0)
            size = (width, height)
        if kind == b"IDAT":
            packed += body
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(size[1], 1 + 3 * size[0])
    pixels = np.zeros((size[1], 3 * size[0]), np.uint8)
    for y, row in enumerate(rows):
        above = pixels[y - 1].astype(int) if y else np.zeros(3 * size[0], int)
        pixels[y] = unfilter(row[0], row[1:].astype(int), above)
    return size, pixels


def unfilter(kind, row, above):
    if kind == 0:
        return row
    if kind == 2:
        return (row + above) & 255
    out = np.zeros(len(row), int)
    for x, value in enumerate(row):
        left, corner = (out[x - 3], above[x - 3]) if x >= 3 else (0, 0)
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + above[x]) // 2
        else:
            p = left + above[x] - corner
            guess = min((left, above[x], corner), key=lambda c: abs(p - c))
        out[x] = (value + guess) & 255
    return out


class Render(Faults):
    def render(self, name, *arguments):
        """The report, and the file's bytes."""
        result = self.ok("render", *arguments, "--json", "--out", self.dir / name)
        return json.loads(result.out), (self.dir / name).read_bytes()

    def test_formats(self):
        report, gif = self.render("a.gif", "CartPole-v1", "--policy", "random")
        self.assertEqual(gif[:6], b"GIF89a")
        self.assertEqual(struct.unpack("<HH", gif[6:10]), (report["width"], report["height"]))
        self.assertEqual(report["frames"], report["steps"] + 1)
        self.assertEqual(report["outcome"], "pole_fell")
        _, webp = self.render("a.webp", "CartPole-v1", "--policy", "random")
        self.assertEqual((webp[:4], webp[8:12]), (b"RIFF", b"WEBP"))
        self.assertIn(b"ANIM", webp)
        report, _ = self.render("a.png", "CartPole-v1", "--steps", "0", "--scale", "2")
        size, pixels = read_png(self.dir / "a.png")
        self.assertEqual(size, (report["width"], report["height"]))
        self.assertEqual(report["frames"], 1)
        _, _ = self.render("one.png", "CartPole-v1", "--steps", "0")
        _, small = read_png(self.dir / "one.png")
        small = small.reshape(small.shape[0], -1, 3)
        self.assertTrue(
            (small.repeat(2, 0).repeat(2, 1) == pixels.reshape(size[1], size[0], 3)).all()
        )
        self.no_leftovers(self.dir)

    def test_same_bytes_again_and_only_then(self):
        ask = ["Pendulum-v1", "--policy", "random", "--steps", "6"]
        _, first = self.render("a.gif", *ask)
        self.assertEqual(self.render("b.gif", *ask)[1], first)
        for other in (["--episode", "1"], ["--seed", "1"], ["--set", "env.params.gravity=2"]):
            self.assertNotEqual(self.render("c.gif", *ask, *other)[1], first, other)

    def test_filmstrip(self):
        ask = ["CartPole-v1", "--filmstrip", "--steps", "10", "--no-caption"]
        report, _ = self.render("s.png", *ask, "--every", "5", "--columns", "2")
        self.assertEqual(report["frames"], 3)
        size, pixels = read_png(self.dir / "s.png")
        self.render("f.png", "CartPole-v1", "--steps", "0", "--no-caption")
        (width, height), first = read_png(self.dir / "f.png")
        self.assertEqual(size, (2 * (width + 6) + 6, 2 * (height + 6) + 6))
        self.assertTrue((pixels[6 : 6 + height, 18 : 18 + 3 * width] == first).all())

    def test_a_run_shows_its_own_policy(self):
        self.ok(*self.train("run"))
        report, frames = self.render("run.gif", self.dir / "run", "--steps", "30")
        self.assertEqual(report["env"], "CartPole-v1")
        ask = ["CartPole-v1", "--policy", self.dir / "run", "--steps", "30"]
        self.assertEqual(self.render("env.gif", *ask)[1], frames)
        file = support.checkpoints(self.dir / "run")[-1] / "policy.safetensors"
        self.assertEqual(self.render("file.gif", file, "--steps", "30")[1], frames)

    def test_a_dataset_shows_what_was_recorded(self):
        self.ok(*self.generate("d", "--seed", "9", "--set", "generate.transitions=60000"))
        episodes = support.read_manifest(self.dir / "d")["shards"][-1]
        number = episodes["first_episode"] + 7
        report, frames = self.render("d.gif", self.dir / "d", "--episode", number)
        self.assertEqual((report["actor"], report["seed"]), ("recorded", 9))
        ask = ["CartPole-v1", "--policy", "random", "--seed", "9", "--episode", number]
        self.assertEqual(self.render("e.gif", *ask)[1], frames)
        self.fails(
            2, "render", self.dir / "d", "--episode", 10**9, "--out", self.dir / "x.gif",
            says="no episode 1000000000",
        )  # fmt: skip
        self.fails(
            2, "render", self.dir / "d", "--seed", 1, "--out", self.dir / "x.gif", says="--seed"
        )

    def test_bad_input(self):
        x = self.dir / "x.gif"
        self.fails(2, "render", "CartPole-v1", says="--out")
        self.fails(2, "render", "CartPol-v1", "--out", x, says="CartPole-v1")
        self.fails(2, "render", "CartPole-v1", "--out", self.dir / "x.bmp", says=".webp")
        self.fails(2, "render", "CartPole-v1", "--out", self.dir / "x.png", says="--filmstrip")
        self.fails(2, "render", "CartPole-v1", "--out", x, "--scale", "0")
        self.fails(2, "render", "CartPole-v1", "--out", x, "--seed", "-1", says="--seed")
        self.fails(2, "render", "CartPole-v1", "--out", x, "--set", "env.params.gravitas=1")
        self.fails(3, "render", "CartPole-v1", "--out", x, "--policy", self.dir / "no")
        self.fails(3, "render", self.dir, "--out", x, says="checkpoint")
        self.fails(4, "render", "CartPole-v1", "--out", self.dir / "no" / "x.gif", says="no/x.gif")
        self.fails(2, "render", "CartPole-v1", "--out", x, "--scale", "16", says="gigabyte")
        self.assertFalse(x.exists())
        self.no_leftovers(self.dir)


class PlayScript(support.JobTest):
    """Keys on standard input that is no terminal."""

    def play(self, keys, *arguments, code=0):
        done = subprocess.run(
            [support.binary, "play", *map(str, arguments)],
            input=keys.encode(),
            capture_output=True,
            env=support.clean_environment(),
            timeout=support.LIMIT_SECONDS,
        )
        result = support.Result(done.returncode, done.stdout.decode(), done.stderr.decode(), [keys])
        self.assertEqual(result.code, code, str(result))
        return result

    def test_final_state(self):
        a = self.play("adad\n", "CartPole-v1")
        self.assertIn("step 4  reward 1  return 4", a.out)
        self.assertIn("pole angle", a.out)
        self.assertNotIn("\x1b", a.out)
        self.assertEqual(self.play("0101", "CartPole-v1").out, a.out)
        self.assertEqual(self.play("adadda uu", "CartPole-v1", code=2).out, "")  # space is no key
        self.assertEqual(self.play("adaddauu", "CartPole-v1").out, a.out)
        self.assertEqual(self.play("dddradadqxyz", "CartPole-v1").out, a.out)
        self.assertIn("episode 7", self.play("", "CartPole-v1", "--episode", 7).out)
        self.assertNotEqual(self.play("adad", "CartPole-v1", "--seed", 1).out, a.out)
        gravity = ["--set", "env.params.gravity=1"]
        self.assertNotEqual(self.play("adad", "CartPole-v1", *gravity).out, a.out)

    def test_end(self):
        out = self.play("d" * 9 + "u", "CartPole-v1").out
        self.assertIn("step 8", out)
        self.assertNotIn("ended", out)
        end = next(n for n in range(5, 30) if "ended" in self.play("d" * n, "CartPole-v1").out)
        self.assertIn("ended: pole_fell", self.play("d" * end, "CartPole-v1").out)
        self.one_line(self.play("d" * (end + 1), "CartPole-v1", code=2), 2, f"character {end + 1}")

    def test_every_environment(self):
        for env in json.loads(self.ok("envs", "--json").out):
            out = self.play("rnu", env["id"]).out
            self.assertTrue(out.startswith(env["id"] + "  episode 0\n"), out)

    def test_bad_input(self):
        self.one_line(self.play("x", "CartPole-v1", code=2), 2, ["'x'", "keys: push: a d"])
        self.one_line(self.play("u", "CartPole-v1", code=2), 2, "nothing to undo")
        self.one_line(self.play("\x1b\u00e9", "CartPole-v1", code=2), 2, "'\\x1b'")
        self.one_line(self.play("", "CartPol-v1", code=2), 2, "did you mean 'CartPole-v1'")
        self.one_line(self.play("", "CartPole-v1", "--seed", "-1", code=2), 2, "--seed")
        self.one_line(self.play("", code=2), 2, "ENV")


class Terminal:
    """A child with a terminal of its own; what it wrote and how the terminal's settings were."""

    def __init__(self, *arguments, rows=30, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(support.binary, [support.binary, *map(str, arguments)])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.out = b""

    def read_until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.out:
            if time.monotonic() > end or not self.read(0.1):
                raise AssertionError(f"no {text!r} in {self.out[-3000:]!r}")

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the child is gone
            return False
        self.out += data
        return data != b""

    def press(self, keys, then):
        self.out = b""
        os.write(self.fd, keys)
        self.read_until(then)

    def raw(self):
        return not termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO)

    def end(self):
        end = time.monotonic() + 60
        while self.read(1):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class PlayTerminal(unittest.TestCase):
    def start(self, *arguments, **size):
        terminal = Terminal("play", *arguments, **size)
        self.addCleanup(os.close, terminal.fd)
        terminal.read_until(b"q quit")
        return terminal

    def put_back(self, terminal):
        """Read before the child is reaped: cursor, screen and the line discipline."""
        self.assertTrue(terminal.out.find(b"\x1b[?25h\x1b[?1049l") > 0, terminal.out[-300:])
        self.assertFalse(terminal.raw())

    def test_keys(self):
        t = self.start("CartPole-v1")
        self.assertTrue(t.raw())
        self.assertIn(b"\x1b[?1049h\x1b[?25l", t.out)
        t.press(b"a", b"step 1  reward 1  return 1\x1b")
        t.press(b"\x1b[C", b"step 2  ")  # right
        t.press(b"\x1bOD", b"step 3  ")  # left, as application keypads send it
        t.press(b"x", b"no such key")
        t.press(b"\x1b", b"q quit")  # a lone Escape does nothing
        t.press(b"uu", b"step 1  ")
        t.press(b"d" * 40, b"has ended")
        t.press(b"n", b"episode 1\x1b")
        t.press(b"r", b"step 0  ")
        os.write(t.fd, b"q")
        self.assertEqual(t.end(), 0)
        self.put_back(t)
        self.assertRegex(t.out.decode(errors="replace"), r"1049lCartPole-v1  episode 1\r\nstep 0 ")

    def test_picture_fits_the_terminal(self):
        for rows, columns in ((30, 100), (12, 40), (60, 500)):
            t = self.start("CartPole-v1", rows=rows, columns=columns)
            t.press(b"\x1b", b"q quit")  # drawn again, when the size is known
            os.write(t.fd, b"q")
            self.assertEqual(t.end(), 0)
            frame = t.out.decode(errors="replace").split("\x1b[H")[1].split("\x1b[J")[0]
            lines = re.sub("\x1b\\[[0-9;]*[a-zA-Z]", "", frame).replace("\r", "").split("\n")
            self.assertLessEqual(len(lines), rows)
            picture = [line for line in lines if "\u2580" in line]
            self.assertGreater(len(picture), 3)
            self.assertLessEqual(max(map(len, picture)), columns)

    def test_signals_and_the_end_of_the_input_put_the_terminal_back(self):
        for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
            t = self.start("Pendulum-v1")
            os.kill(t.pid, number)
            self.assertEqual(t.end(), code)
            self.put_back(t)
        for key, code in ((b"\x03", 130), (b"\x04", 0)):  # Ctrl-C, Ctrl-D
            t = self.start("Pendulum-v1")
            os.write(t.fd, key)
            self.assertEqual(t.end(), code)
            self.put_back(t)


if __name__ == "__main__":
    support.main()
