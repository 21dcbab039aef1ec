"""Environments of one's own: `new-env`, the installed package, plugins and `check-env`, as their users meet them."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import support

THERMOSTAT = "Example/Thermostat-v0"


def build_folder():
    return pathlib.Path(support.binary).parents[1]


def from_cache(name):
    for line in (build_folder() / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split("=", 1)[1]
    raise KeyError(name)


def tool(*command, **options):
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        env=support.clean_environment(),
        **options,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def build_plugin(source, build, rollmill_dir):
    """Configures and builds with the program's own compiler; returns the one .so that comes out."""
    cmake = from_cache("CMAKE_COMMAND")
    tool(
        *(cmake, "-S", source, "-B", build, "-G", "Ninja", f"-Drollmill_DIR={rollmill_dir}"),
        f"-DCMAKE_CXX_COMPILER={from_cache('CMAKE_CXX_COMPILER')}",
        f"-DCMAKE_MAKE_PROGRAM={from_cache('CMAKE_MAKE_PROGRAM')}",
    )
    tool(cmake, "--build", build)
    (plugin,) = build.glob("*.so")
    return plugin


class Package(support.JobTest):
    def test_the_example_with_an_installed_package(self):
        first = self.dir / "installed"
        tool(from_cache("CMAKE_COMMAND"), "--install", build_folder(), "--prefix", first)
        prefix = first.rename(self.dir / "moved")  # a prefix may move
        program = prefix / "bin" / "rollmill"
        # Out of the repository, where no root-relative include finds the sources.
        source = self.dir / "example"
        shutil.copytree(support.ROOT / "examples" / "plugin", source)
        (package,) = prefix.glob("lib*/**/rollmillConfig.cmake")
        plugin = build_plugin(source, self.dir / "build", package.parent)
        ctest = pathlib.Path(from_cache("CMAKE_CTEST_COMMAND"))
        tool(ctest, "--test-dir", self.dir / "build")
        with_plugin = {"program": str(program)}

        checked = self.ok("check-env", THERMOSTAT, "--plugin", plugin, **with_plugin)
        self.assertIn("checks hold", checked.out)
        self.assertNotIn("BROKEN", checked.out)
        report = json.loads(
            self.ok("check-env", THERMOSTAT, "--json", f"--plugin={plugin}", **with_plugin).out
        )
        self.assertTrue(report["ok"] and len(report["checks"]) > 15, report)
        listed = self.ok("envs", env={"ROLLMILL_PLUGINS": str(plugin)}, **with_plugin).out
        self.assertIn(THERMOSTAT, listed)
        self.assertIn("CartPole-v1", listed)
        speed = self.ok(
            *("bench", THERMOSTAT, "--num-envs", "1024", "--seconds", "0.05", "--json"),
            *("--plugin", plugin),
            **with_plugin,
        )
        self.assertGreater(json.loads(speed.out)[0]["T"], 0)

        config, data = source / "thermostat_dataset.toml", self.dir / "data"
        both = [self.dir / "data", self.dir / "again"]
        for out in both:
            self.ok("generate", config, "--out", out, "--plugin", plugin, **with_plugin)
        self.assertEqual(*map(support.content_hash, both))
        self.ok("replay", data, "--plugin", plugin, **with_plugin)
        # The checkout's own program is the same build.
        self.ok("replay", data, "--plugin", plugin)
        self.fails(3, "replay", data, says=THERMOSTAT)
        self.fails(2, "check-env", THERMOSTAT, says=("is not known", "--plugin"))
        picture = self.dir / "x.png"
        self.ok(
            *("render", THERMOSTAT, "--policy", "expert", "--filmstrip", "--out", picture),
            *("--plugin", plugin),
        )
        self.assertEqual(picture.read_bytes()[:4], b"\x89PNG")

        other = self.dir / "copy.so"
        shutil.copy(plugin, other)
        self.fails(
            *(3, "envs", "--plugin", plugin, "--plugin", other),
            says=(str(other), THERMOSTAT, "already there"),
        )
        self.ok("envs", "--plugin", plugin, "--plugin", plugin)


class Skeleton(support.JobTest):
    def new_env(self, *arguments, code=0, says=(), folder=None):
        options = {"cwd": folder or self.dir}
        if code:
            return self.fails(code, "new-env", *arguments, says=says, **options)
        return self.ok("new-env", *arguments, **options)

    def test_a_plugin_from_the_build_folder(self):
        # A type that the program has, too: the plugin's must be another one.
        said = self.new_env("CartPole", "--plugin", "mine")
        self.assertIn("rollmill check-env My/CartPole-v0 --plugin mine/build/cart_pole.so", said.out)
        names = sorted(path.name for path in (self.dir / "mine").iterdir())
        self.assertEqual(names, ["CMakeLists.txt", "cart_pole.h", "cart_pole_ppo.toml"])
        self.new_env("CartPole", "--plugin", "mine", code=2, says=("already there", "nothing"))
        plugin = build_plugin(self.dir / "mine", self.dir / "build", build_folder())
        self.ok("check-env", "My/CartPole-v0", "--plugin", plugin)
        said = json.loads(self.ok("envs", "My/CartPole-v0", "--json", "--plugin", plugin).out)
        self.assertIn("flag", said["summary"])
        cart = self.ok("envs", "CartPole-v1", "--json").out
        self.assertEqual(self.ok("envs", "CartPole-v1", "--json", "--plugin", plugin).out, cart)
        self.ok("check-env", "CartPole-v1", "--plugin", plugin)
        # The recipe's promise.
        self.ok(
            *("train", self.dir / "mine" / "cart_pole_ppo.toml", "--out", self.dir / "run"),
            *("--plugin", plugin, "--quiet"),
        )
        self.ok("evaluate", self.dir / "run", "--min-return", "0.95", "--plugin", plugin)

    def test_in_a_checkout(self):
        for name in ("envs", "tests"):
            (self.dir / name).mkdir()
            shutil.copy(support.ROOT / name / "CMakeLists.txt", self.dir / name)
        self.new_env("LineWalk", "--dir", "envs/walks")
        lists = (self.dir / "envs" / "CMakeLists.txt").read_text().splitlines()
        line = lists.index("rollmill_add_env(LineWalk envs/walks/line_walk.h)")
        self.assertLess(line, lists.index("rollmill_write_registry()"))
        tests = (self.dir / "tests" / "CMakeLists.txt").read_text()
        self.assertIn("SOURCES envs/walks/line_walk_test.cc", tests)
        test = self.dir / "tests" / "envs" / "walks" / "line_walk_test.cc"
        texts = [test.read_text()]
        texts.append((self.dir / "envs" / "walks" / "line_walk.h").read_text())
        texts.append((self.dir / "configs" / "line_walk_ppo.toml").read_text())
        for text in texts:
            self.assertNotRegex(text, "MyEnv|my_env|envs/template")
        self.assertIn("Rollmill/LineWalk-v0", texts[2])
        compiler = from_cache("CMAKE_CXX_COMPILER")
        include = (f"-I{self.dir}", f"-I{support.ROOT}")
        tool(compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", *include, test)
        before = sorted(map(str, self.dir.rglob("*")))
        self.new_env("LineWalk", "--dir", "envs/other", code=2, says="already")
        self.new_env("LineWalk", "--dir", "envs/walks", code=2, says="already")
        self.assertEqual(sorted(map(str, self.dir.rglob("*"))), before)

    def test_names_and_folders_are_checked(self):
        for name in ("line_walk", "lineWalk", "1Walk", "Line-Walk", "Line Walk", "../Walk"):
            self.new_env(name, "--plugin", "p", code=2, says=(name, "LineWalk"))
        self.new_env("Canvas", "--plugin", "p", code=2, says="Canvas")
        for name in ("Walk", "A/B/Walk-v0", "Walk-vx", "Wa\"lk-v0", "/Walk-v0", "A/-v0"):
            self.new_env("Walk", "--plugin", "p", "--id", name, code=2, says="is no id")
        self.new_env("Walk", "--plugin", "p", "--id", "CartPole-v1", code=2, says="already there")
        self.new_env("Walk", "--plugin", "p", "--dir", "envs/x", code=2, says="exclude")
        self.new_env("Walk", code=2, says="no checkout")
        self.assertEqual(os.listdir(self.dir), [])


# Environments with one defect each: from its fifth step on.
DEFECTS = """#pragma once
#include <string>
#include "envs/env.h"
namespace rollmill {
enum Defect { kBlinds, kBreaks, kHangs, kCrashes };
constexpr const char* kIds[] = {"My/Blinding-v0", "My/Breaking-v0", "My/Hanging-v0", "My/Crashing-v0"};
template <Defect kDefect>
struct Defective {
  static constexpr EnvInfo info{
      .id = kIds[kDefect], .summary = "Has a defect.", .time_limit = 20, .reward_low = 0, .reward_high = 1, .solved_at = 20, .outcomes = {},
      .references = "none"};
  struct Params {
    float unused = 0.0f;
    template <class V>
    RM_HD constexpr void visit(V&& param) { param(FieldInfo{"unused", "", 0, 1}, unused); }
  };
  struct State {
    std::int32_t steps;
    float x;
    template <class V>
    RM_HD constexpr void visit(V&& field) { field("steps", steps); field("x", x); }
  };
  using Observation = Box<1>;
  using Action = Discrete<2>;
  static constexpr FieldInfo observation_fields[] = {{"nearness", "", -1e9, 1e9}};
  static constexpr FieldInfo action_fields[] = {{"push", "", 0, 1}};
  RM_HD static void reset(State& s, const Params&, Rng&) { s.steps = 0; s.x = 1.0f; }
  RM_HD static Transition step(State& s, const Params&, Action::Value, Rng&) {
    s.steps += 1;
    volatile bool broken = s.steps > 4;
    s.x *= kDefect == kBreaks && broken ? 1e30f : 1.0f;
    while (kDefect == kHangs && broken) {}
    if (kDefect == kCrashes && broken) __builtin_trap();
    return {1.0f, 0u};
  }
  RM_HD static void observe(const State& s, const Params&, Strided<float> out) {
    const float distance = kDefect == kBlinds && s.steps > 4 ? 0.0f : 1.0f;
    out[0] = 1.0f / distance;
  }
};
using Blinding = Defective<kBlinds>;
using Breaking = Defective<kBreaks>;
using Hanging = Defective<kHangs>;
using Crashing = Defective<kCrashes>;
}  // namespace rollmill
"""
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(defects LANGUAGES CXX)
find_package(rollmill REQUIRED)
foreach(type Blinding Breaking Hanging Crashing)
  rollmill_add_env(${type} defects.h)
endforeach()
"""


class Defects(support.JobTest):
    def test_each_is_told_in_words(self):
        source = self.dir / "defects"
        source.mkdir()
        (source / "defects.h").write_text(DEFECTS)
        (source / "CMakeLists.txt").write_text(PROJECT)
        plugin = ("--plugin", build_plugin(source, self.dir / "build", build_folder()))

        said = self.ok("check-env", "My/Crashing-v0", *plugin, code=1).out
        self.assertRegex(said, r"(?m)^repeatable +BROKEN .*\n +it crashed with signal \d+ \([A-Za-z ]+\)$")

        begin = time.monotonic()
        said = self.ok("check-env", "My/Hanging-v0", "--timeout", "1", *plugin, code=1).out
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(said.count("did not end within 1 s"), 1, said)
        self.assertRegex(said, r"\d+ more were not run")

        score = ["evaluate", "random", "--env", "My/Blinding-v0", "--episodes", "30", *plugin]
        result = self.ok(*score, code=6)
        self.assertIn("mean return  20.00", result.out)
        self.assertIn("30 of 30 episodes showed the policy a number that is NaN or infinite", result.err)
        self.assertIn("'nearness' of episode 0 at step 5", result.err)
        self.assertEqual(json.loads(self.ok(*score, "--json", code=6).out)["blind"]["episodes"], 30)

        score = ["evaluate", "random", "--env", "My/Breaking-v0", "--episodes", "30", "--out", self.dir / "score", *plugin]
        for more in ([], ["--resume"]):  # which does not take it for an answer
            result = self.ok(*score, *more, code=6)
            self.assertIn("30 of 30 episodes ended because a number was NaN or infinite (not_finite)", result.err)
            self.assertIn("rollmill replay", result.err)
        self.assertEqual(support.read_json(self.dir / "score" / "evaluation.json")["ends"]["not_finite"], 30)


class Refused(support.JobTest):
    """Files that are no plugin of this program: exit code 3, one line that says why."""

    def library(self, name, code):
        source, file = self.write(name + ".c", code), self.dir / (name + ".so")
        tool(from_cache("CMAKE_C_COMPILER"), "-shared", "-fPIC", "-o", file, source)
        return file

    def refused(self, file, *says):
        self.fails(3, "envs", "--plugin", file, says=(str(file), *says))

    def test_no_plugin(self):
        self.refused(self.dir / "missing.so", "No such file")
        self.refused(self.dir, "is not a file")
        self.refused(self.write("text.so", "not a library"), "cannot load")
        empty = self.library("empty", "int x;")
        self.refused(empty, "no rollmill_plugin_version")
        whole = pathlib.Path(empty).read_bytes()
        cut = self.dir / "cut.so"
        cut.write_bytes(whole[: len(whole) // 2])
        self.refused(cut, "is cut off")
        self.refused(
            self.library("other", "int missing(void); int x(void) { return missing(); }"),
            "undefined symbol: missing",
        )

    def test_another_version_or_build(self):
        version = "int rollmill_plugin_version(void) { return %d; }\n"
        build = 'const char* rollmill_plugin_build(void) { return "a build of 1999"; }\n'
        self.refused(self.library("future", version % 999), "plugin version 999")
        self.refused(self.library("half", version % 1), "no rollmill_plugin_build")
        self.refused(self.library("old", version % 1 + build), "a build of 1999", "g++")

    def test_the_variable(self):
        bad = {"ROLLMILL_PLUGINS": str(self.dir / "missing.so")}
        self.fails(3, "envs", env=bad, says="missing.so")
        self.ok("envs", env={"ROLLMILL_PLUGINS": ""})


if __name__ == "__main__":
    support.main()
