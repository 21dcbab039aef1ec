"""Pictures of episodes (`render`)."""

import json
import struct
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


if __name__ == "__main__":
    support.main()
