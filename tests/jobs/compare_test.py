"""`rollmill compare` against NumPy on the runs' own metrics.jsonl, and its files as other programs read them."""

import html.parser
import json
import pathlib
import re
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree

import numpy as np
import support
from PIL import Image
from small_jobs import Faults
from support import read_metrics

T_975 = {3: 4.3027}  # Student's t, two-sided 5 %, two degrees of freedom; of two runs there is no interval
SVG = "{http://www.w3.org/2000/svg}"


class Tables(html.parser.HTMLParser):
    """Cells of a page's tables, and every address and script in it."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.tags[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def t_interval(values):
    half = T_975[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values) - half, np.mean(values) + half


class Compare(Faults):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="rollmill-compare-"))
        recipe = support.recipe("cartpole_ppo.toml")
        for name, seed, more in (
            ("a1", 1, []),
            ("a2", 2, []),
            ("a3", 3, []),
            ("b1", 1, ["ppo.clip=0.1"]),
            ("b2", 2, ["ppo.clip=0.1"]),
        ):
            sets = [p for s in ["trainer.total_steps=60000", "evaluation.episodes=0", *more] for p in ("--set", s)]
            command = ["train", recipe, "--quiet", "--out", cls.home / name, "--seed", seed, *sets]
            result = support.run(*command)
            assert result.code == 0, str(result)
        cls.addClassCleanup(shutil.rmtree, cls.home)

    def runs(self, *names):
        return [str(self.home / name) for name in names]

    def curves(self, *more):
        ask = ["compare", *self.runs("a1", "a2", "b1", "a3", "b2"), *more]
        return json.loads(self.ok(*ask, "--json").out)

    def series(self, name, key, x="step"):
        records = [r for r in read_metrics(self.home / name) if r[key] is not None]
        return np.array([r[x] for r in records], float), np.array([r[key] for r in records], float)

    def test_summary_is_numpys(self):
        for key in ("return_mean", "value_loss", "explained_variance"):
            for x in ("step", "seconds"):
                report = self.curves("--key", key, "--x", x, "--threshold", "40")
                self.assertEqual([len(c["runs"]) for c in report["curves"]], [3, 2])
                for curve, names in zip(report["curves"], (["a1", "a2", "a3"], ["b1", "b2"])):
                    self.assertEqual(curve["runs"], self.runs(*names))
                    finals, reached = [], []
                    for name in names:
                        at, y = self.series(name, key, x)
                        finals.append(y[at >= at[-1] - 0.1 * (at[-1] - at[0])].mean())
                        if (y >= 40).any():
                            first = int(np.argmax(y >= 40))
                            part = slice(max(first - 1, 0), first + 1)
                            reached.append(float(np.interp(40, y[part], at[part])))
                    np.testing.assert_allclose(curve["finals"], finals, rtol=1e-12)
                    np.testing.assert_allclose(curve["mean"], np.mean(finals), rtol=1e-12)
                    if len(names) < 3:
                        self.assertNotIn("interval", curve)
                    else:  # The critical value above has four decimals.
                        np.testing.assert_allclose(curve["interval"], t_interval(finals), rtol=1e-4, atol=1e-4)
                    best = max(self.series(name, key)[1].max() for name in names)
                    self.assertEqual(curve["best"], best)
                    self.assertEqual(curve["reached"], len(reached))
                    if reached:
                        self.assertAlmostEqual(curve["mean_to_threshold"] / np.mean(reached), 1, 9)

    def test_labels_say_what_differs(self):
        labels = [c["label"] for c in self.curves()["curves"]]
        self.assertEqual(labels, ["cartpole_ppo ppo.clip=0.2", "cartpole_ppo ppo.clip=0.1"])

    def test_svg_holds_the_curves(self):
        """The lines and bands of the picture, taken back to numbers by its axes' labels."""
        out = self.dir / "c.svg"
        self.ok("compare", *self.runs("a1", "a2", "b1", "a3", "b2"), "--out", out)
        root = ElementTree.parse(out).getroot()
        width, height = float(root.get("width")), float(root.get("height"))
        points = lambda e: np.array([p.split(",") for p in e.get("points").split()], float)
        lines = [points(e) for e in root.iter(SVG + "polyline")]
        curves = [p for p in lines if len(p) > 3]
        bands = [points(e) for e in root.iter(SVG + "polygon")]
        self.assertEqual((len(curves), len(bands)), (2, 1))
        for p in lines + bands:
            self.assertTrue((p >= 0).all() and (p[:, 0] <= width).all() and (p[:, 1] <= height).all())
        number = lambda t: float(t.split()[0]) * {"k": 1e3, "M": 1e6}.get(t.split()[-1], 1)
        ticks = [e for e in root.iter(SVG + "text") if re.fullmatch(r"-?[\d.]+( [kM])?", e.text)]
        axis = lambda anchor, along: np.polyfit(
            [float(e.get(along)) for e in ticks if e.get("text-anchor") == anchor],
            [number(e.text) for e in ticks if e.get("text-anchor") == anchor],
            1,
        )
        x_axis, y_axis = axis("middle", "x"), axis("end", "y")
        y_axis[1] += 4 * y_axis[0]  # a label's base line is 4 units below its tick
        for curve, band, names in zip(curves, [*bands, None], (["a1", "a2", "a3"], ["b1", "b2"])):
            series = [self.series(name, "return_mean") for name in names]
            x = np.linspace(max(s[0][0] for s in series), min(s[0][-1] for s in series), len(curve))
            values = np.array([np.interp(x, *s) for s in series])
            mean = values.mean(axis=0)
            # Two decimals of a unit; a unit is about 1 of the return and 90 steps.
            unit = abs(y_axis[0])
            np.testing.assert_allclose(np.polyval(x_axis, curve[:, 0]), x, atol=0.02 * x_axis[0])
            np.testing.assert_allclose(np.polyval(y_axis, curve[:, 1]), mean, atol=0.02 * unit)
            if band is None:
                continue
            half = T_975[len(names)] * values.std(axis=0, ddof=1) / np.sqrt(len(names))
            high, low = band[: len(x)], band[len(x) :][::-1]
            np.testing.assert_allclose(np.polyval(y_axis, high[:, 1]), mean + half, atol=0.02 * unit + 1e-4 * half.max())
            np.testing.assert_allclose(np.polyval(y_axis, low[:, 1]), mean - half, atol=0.02 * unit + 1e-4 * half.max())

    def test_html_is_whole_in_itself(self):
        out = self.dir / "c.html"
        table = self.ok("compare", *self.runs("a1", "b1"), "--out", out, "--threshold", "30").out
        text = out.read_text()
        page = Tables(text)
        self.assertNotIn("script", page.tags)
        self.assertNotIn("link", page.tags)
        self.assertEqual(page.addresses, [])
        self.assertEqual(re.findall(r"https?://[^\"]*", text), ["http://www.w3.org/2000/svg"])
        self.assertEqual(page.rows[0][0], "curve")
        for row in page.rows:
            for cell in row:
                self.assertIn(cell.strip(), table)
        self.assertEqual(page.tags.count("polyline"), text.count("<polyline"))

    def test_png(self):
        out = self.dir / "c.png"
        self.ok("compare", *self.runs("a1", "a2", "b1", "b2"), "--out", out)
        with Image.open(out) as picture:
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        for color in ((0, 114, 178), (230, 159, 0), (250, 250, 248)):  # two curves, the paper
            self.assertGreater((pixels == color).all(axis=1).sum(), 1000)

    def test_a_run_that_is_being_written(self):
        shutil.copytree(self.home / "a1", self.dir / "run")
        with open(self.dir / "run" / "metrics.jsonl", "a") as file:
            file.write('{"step":63488,"return_me')
        one, other = (json.loads(self.ok("compare", d, "--json").out) for d in (self.dir / "run", self.home / "a1"))
        self.assertEqual(one["curves"][0]["finals"], other["curves"][0]["finals"])
        self.assertNotIn("interval", one["curves"][0])

    def test_refused(self):
        a, run = str(self.home / "a1"), self.dir / "run"
        self.fails(2, "compare", says="RUN")
        self.fails(3, "compare", self.dir / "absent", says="absent: no such run folder")
        self.fails(3, "compare", self.dir, says="config.toml")
        self.fails(2, "compare", a, "--key", "retrun_mean", says=["did you mean 'return_mean'", a])
        self.fails(2, "compare", a, "--x", "hours", says="--x hours")
        self.fails(2, "compare", a, "--out", self.dir / "c.pdf", says=".html, .svg or .png")
        self.fails(2, "compare", a, "--out", "svg", says=".html, .svg or .png")
        self.fails(2, "compare", a, "--threshold", "nan", says="--threshold")
        self.fails(2, "compare", a, a, says="are the same run")
        self.fails(4, "compare", a, "--out", self.dir / "no" / "c.svg", says="c.svg")
        shutil.copytree(a, run)
        metrics = run / "metrics.jsonl"
        lines = metrics.read_text().splitlines(keepends=True)
        metrics.write_text("".join(lines[:3] + ["half a li\n"] + lines[3:]))
        self.fails(3, "compare", a, run, says="metrics.jsonl:4: not a JSON object")
        metrics.write_text("".join(lines[:3] + [lines[1]] + lines[3:]))
        self.fails(3, "compare", run, says="metrics.jsonl:4: step 2048 does not come after")
        metrics.unlink()
        self.fails(3, "compare", run, says="metrics.jsonl: no such file")
        metrics.write_text("".join(lines))
        config = (run / "config.toml").read_text()
        (run / "config.toml").write_text(config.replace("CartPole-v1", "Acrobot-v1"))
        self.fails(2, "compare", a, run, says=["CartPole-v1", "Acrobot-v1", "one environment"])
        (run / "config.toml").write_bytes(config.encode()[:40] + b"\x00\xff")
        self.fails(3, "compare", run, says="config.toml")


if __name__ == "__main__":
    support.main()
