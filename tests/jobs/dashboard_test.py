"""What a person at a terminal sees of a training run, as an independent terminal emulator (pyte) shows it."""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import termios
import time

import pyte
import support
from small_jobs import Faults

END_OF_PICTURE = b"\x1b[?7h"  # wrapping is on again
LONG = ["--set", "trainer.total_steps=1000000000", "--set", "stop.mean_return=501", "--set", "evaluation.episodes=0"]


class Terminal:
    """A process on a pseudo-terminal with a screen of columns x rows and what scrolled out above it."""

    def __init__(self, arguments, columns=100, rows=30, locale="C.UTF-8"):
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.master, slave = pty.openpty()
        self.size(columns, rows)
        env = {"TERM": "xterm", "LC_ALL": locale}
        self.process = support.start(
            *arguments, env=env, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self, seconds):
        """Shows what comes within so many seconds; False at the end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                return False
            if not data:
                return False
            self.bytes += data
            self.stream.feed(data)
        return True

    def read_until(self, text, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(text in row for row in self.rows()):
            if not self.read(0.05):
                break
        return any(text in row for row in self.rows())

    def read_blocks(self, count, seconds=30):
        """Shows so many whole pictures more."""
        pictures = lambda: self.bytes.count(END_OF_PICTURE)
        wanted, end = pictures() + count, time.monotonic() + seconds
        while pictures() < wanted and time.monotonic() < end:
            self.read(0.05)
        return pictures() >= wanted

    def finish(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.read(0.2):
            pass
        code = self.process.wait(10)
        os.close(self.master)
        return code

    def rows(self):
        above = [
            "".join(row[x].data for x in range(self.screen.columns))
            for row in self.screen.history.top
        ]
        return [row.rstrip() for row in above + self.screen.display]

    def count(self, start):
        return sum(row.startswith(start) for row in self.rows())


class Dashboard(Faults):
    def loud(self, *more):
        return [word for word in self.train("run", *more) if word != "--quiet"]

    def assert_one_block(self, terminal):
        for start in ("CartPole-v1  ", "steps  ", "steps/s  ", "return  ", "length  ", "policy loss"):
            self.assertEqual(terminal.count(start), 1, "\n".join(terminal.rows()))

    def stop(self, terminal):
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.finish(), 130)

    def test_from_beginning_to_end(self):
        terminal = Terminal(self.loud(), columns=100)
        self.assertEqual(terminal.finish(), 0)
        self.assert_one_block(terminal)
        rows = terminal.rows()
        last = support.read_metrics(self.dir / "run")[-1]
        text = "\n".join(rows)
        self.assertIn(f"update {last['update']}", text)
        self.assertIn("60.4 k / 60.0 k  100 %  eta 0 s", text)
        self.assertIn(f"{last['return_mean']:.1f} (best ", text)
        self.assertIn(f"{last['explained_variance']:.4g}", text)
        self.assertTrue(any(row.startswith("CartPole-v1: 60.4 k steps in ") for row in rows))

    def test_redrawn_in_place(self):
        terminal = Terminal(self.loud(*LONG))
        self.assertTrue(terminal.read_until("update 10"))
        for _ in range(5):
            self.assertTrue(terminal.read_blocks(1))
            self.assert_one_block(terminal)
        self.stop(terminal)
        self.assert_one_block(terminal)
        # One write a picture, none blank: the block is never erased as a whole before it is drawn.
        self.assertNotIn(b"\x1b[2J", terminal.bytes)
        self.assertNotIn(b"\x1b[?1049h", terminal.bytes)
        self.assertTrue(any("continue with --resume" in row for row in terminal.rows()))

    def test_resized(self):
        terminal = Terminal(self.loud(*LONG), columns=100, rows=30)
        self.assertTrue(terminal.read_until("update "))
        for columns, rows in ((140, 40), (140, 25), (90, 25), (81, 24)):
            terminal.size(columns, rows)
            for _ in range(20):  # some may have been on their way, and what is read last may be part of one
                self.assertTrue(terminal.read_blocks(1))
                bars = [row for row in terminal.rows() if row.startswith("steps  ")]
                if terminal.count("policy loss") == 1 and [len(bar) for bar in bars] == [columns - 1]:
                    break
            self.assert_one_block(terminal)
            self.assertEqual([len(bar) for bar in bars], [columns - 1])
        terminal.size(60, 20)  # too small: a line
        terminal.read(2)
        lines = [row for row in terminal.rows() if "  steps " in row]
        self.assertEqual(len(lines), 1, "\n".join(terminal.rows()))
        terminal.size(100, 30)
        self.assertTrue(terminal.read_blocks(2))
        self.assert_one_block(terminal)
        self.stop(terminal)

    def test_small_terminals_have_a_line(self):
        for columns, rows in ((79, 30), (100, 23)):
            terminal = Terminal(self.loud(*LONG), columns=columns, rows=rows)
            self.assertTrue(terminal.read_until("  return "))
            self.assertEqual(terminal.count("policy loss"), 0)
            self.stop(terminal)
            shutil.rmtree(self.dir / "run")

    def test_without_utf8(self):
        terminal = Terminal(self.loud(), locale="C")
        self.assertEqual(terminal.finish(), 0)
        self.assert_one_block(terminal)
        terminal.bytes.decode("ascii")

    def test_plain(self):
        terminal = Terminal(self.loud("--plain"))
        self.assertEqual(terminal.finish(), 0)
        self.assertNotIn(b"\x1b", terminal.bytes)
        self.assertEqual(terminal.count("CartPole-v1 "), 1)
        self.assertEqual(terminal.count("policy loss"), 0)

    def test_not_a_terminal(self):
        result = self.ok(*self.loud())
        self.assertNotIn("\x1b", result.err)
        self.assertRegex(result.lines()[0], r"^9155 parameters: actor 4 -> 64 -> 64 -> 2 ")
        self.assertRegex(result.lines()[1], r"^CartPole-v1 +\d+ %  steps 1024/60.0 k  return ")
        self.assertRegex(result.lines()[-1], r"^CartPole-v1: 60.4 k steps in ")

    def test_quiet(self):
        terminal = Terminal(self.train("run"))
        self.assertEqual(terminal.finish(), 0)
        self.assertEqual(terminal.bytes, b"")


if __name__ == "__main__":
    support.main()
