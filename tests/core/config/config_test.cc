#include "core/config/config.h"

#include <fcntl.h>
#include <unistd.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "core/base/error.h"

namespace rollmill {
namespace {

using Overrides = std::vector<std::string>;

Config parse(const std::string& text, const Overrides& overrides = {}) {
  return Config::from_string(text, "run.toml", overrides);
}

// The message of the usage error that `act` must throw; it must be one line.
std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage) << e.what();
    const std::string message = e.what();
    EXPECT_EQ(message.find_first_of("\n\r"), std::string::npos) << message;
    return message;
  }
  ADD_FAILURE() << "no error";
  return "";
}

const char kRun[] = R"(seed = 7
name = "caf\u00e9 \"x\""
[env]
id = "CartPole-v1"
num_envs = 64      # comment
params = { gravity = 9.8, length = 1 }
[train]
steps = 1e6
lr = 3e-4
normalise = true
hidden = [64, 64]
betas = [0.9, 0.999]
tags = ["a", "b"]
start = 2026-01-01
)";

TEST(Config, ReadsEveryType) {
  Config c = parse(kRun);
  EXPECT_EQ(c.get_int("seed", 0), 7);
  EXPECT_EQ(c.get_string("name", ""), "caf\xc3\xa9 \"x\"");
  EXPECT_EQ(c.get_choice("env.id", "A", {"A", "CartPole-v1"}), "CartPole-v1");
  EXPECT_EQ(c.get_int("env.num_envs", 1, 64, 64), 64);
  EXPECT_EQ(c.keys_under("env.params"), (std::vector<std::string>{"gravity", "length"}));
  EXPECT_EQ(c.get_float("env.params.gravity", 0), 9.8);
  EXPECT_EQ(c.get_float("env.params.length", 0), 1.0);  // an integer for a float
  EXPECT_EQ(c.get_int("train.steps", 0), 1000000);      // a whole float for an integer
  EXPECT_EQ(c.get_float("train.lr", 0), 3e-4);
  EXPECT_TRUE(c.get_bool("train.normalise", false));
  EXPECT_EQ(c.get_int_list("train.hidden", {}), (std::vector<std::int64_t>{64, 64}));
  EXPECT_EQ(c.get_float_list("train.betas", {}), (std::vector<double>{0.9, 0.999}));
  EXPECT_EQ(c.get_string_list("train.tags", {}), (std::vector<std::string>{"a", "b"}));
}

TEST(Config, MissingKeysTakeDefaults) {
  for (const char* text : {"", "\n", "# nothing\r\n", "\xef\xbb\xbf"}) {
    Config c = parse(text);
    EXPECT_EQ(c.get_int("a.b", 5), 5);
    EXPECT_EQ(c.get_float("a.c", 0.5), 0.5);
    EXPECT_TRUE(c.get_bool("a.d", true));
    EXPECT_EQ(c.get_choice("a.e", "x", {"x", "y"}), "x");
    EXPECT_EQ(c.get_int_list("a.f", {1, 2}), (std::vector<std::int64_t>{1, 2}));
    EXPECT_FALSE(c.has("a.b"));
    EXPECT_TRUE(c.keys_under("zzz").empty());
    c.finish();
  }
  EXPECT_EQ(parse("\xef\xbb\xbf"
                  "a = 3")
                .get_int("a", 0),
            3);
}

// Defaults that are float32 in the program read as somebody would write them, and become the same float32.
TEST(Config, DefaultsAreWrittenShort) {
  Config c = Config::from_string("", "x.toml");
  const float narrow = 0.9f;
  EXPECT_EQ(c.get_float("a", static_cast<double>(narrow)), static_cast<double>(narrow));
  c.get_float("f", static_cast<double>(narrow), 0, static_cast<double>(narrow));  // 0.9 is outside
  c.get_float("b", static_cast<double>(1e-8f));
  c.get_float("c", 0.25);
  c.get_float("d", 1.0 / 3);
  c.get_float("e", 1073741824.0);
  const std::string text = c.resolved_toml();
  for (const char* line : {"a = 0.9\n", "b = 1e-08\n", "c = 0.25\n", "d = 0.3333333333333333\n",
                           "f = 0.8999999761581421\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  Config again = Config::from_string(text, "again.toml");
  EXPECT_EQ(static_cast<float>(again.get_float("a", 0)), 0.9f);
  EXPECT_EQ(static_cast<float>(again.get_float("b", 0)), 1e-8f);
  EXPECT_EQ(again.get_float("e", 0), 1073741824.0);
}

TEST(Config, ErrorsNamePlaceKeyAndWhatIsAllowed) {
  struct Case {
    const char* text;
    std::function<void(Config&)> read;
    std::string message;
  };
  const Case cases[] = {
      {"a = 'x'", [](Config& c) { c.get_int("a", 1, 1, 9); },
       "run.toml:1: a: must be an integer, not a string; allowed 1 to 9"},
      {"\na = 0", [](Config& c) { c.get_int("a", 1, 1, 9); },
       "run.toml:2: a: 0 is out of range; allowed 1 to 9"},
      {"a = 0", [](Config& c) { c.get_int("a", 1, 1); },
       "run.toml:1: a: 0 is out of range; allowed 1 or more"},
      {"a = 1.5", [](Config& c) { c.get_int("a", 1); }, "run.toml:1: a: 1.5 is not a whole number"},
      {"a = nan", [](Config& c) { c.get_int("a", 1); }, "run.toml:1: a: nan is not a whole number"},
      {"a = inf", [](Config& c) { c.get_int("a", 1); },
       "run.toml:1: a: inf is too large for a float to be exact; write it as an integer"},
      {"a = 1e19", [](Config& c) { c.get_int("a", 1); },
       "run.toml:1: a: 1e+19 is too large for a float to be exact; write it as an integer"},
      {"a = nan", [](Config& c) { c.get_float("a", 1); },
       "run.toml:1: a: nan is not a finite number"},
      {"a = -inf", [](Config& c) { c.get_float("a", 1, 0); },
       "run.toml:1: a: -inf is not a finite number; allowed 0.0 or more"},
      {"a = 1.5", [](Config& c) { c.get_float("a", 1, 0, 1); },
       "run.toml:1: a: 1.5 is out of range; allowed 0.0 to 1.0"},
      {"a = true", [](Config& c) { c.get_float("a", 1); },
       "run.toml:1: a: must be a number, not a boolean"},
      {"a = 9007199254740993", [](Config& c) { c.get_float("a", 1); },
       "run.toml:1: a: 9007199254740993 is an integer too large for a float to be exact; write it "
       "as a float"},
      {"a = 1", [](Config& c) { c.get_bool("a", true); },
       "run.toml:1: a: must be true or false, not an integer"},
      {"a = 1", [](Config& c) { c.get_string("a", ""); },
       "run.toml:1: a: must be a string, not an integer"},
      {"a = 'x\\u0000'\nb = \"\\u0000\"", [](Config& c) { c.get_string("b", ""); },
       "run.toml:2: b: must not contain a NUL character"},
      {"a = 'pppo'",
       [](Config& c) {
         c.get_choice("a", "ppo", {"ppo", "random"});
       },
       "run.toml:1: a: \"pppo\" is not a choice; allowed ppo, random; did you mean ppo?"},
      {"a = 2026-01-01", [](Config& c) { c.get_string("a", ""); },
       "run.toml:1: a: must be a string, not a date or time"},
      {"a = [1, 'x']", [](Config& c) { c.get_int_list("a", {}); },
       "run.toml:1: a: must be an integer, not a string"},
      {"a = [1, 2]", [](Config& c) { c.get_int_list("a", {1}, 0, 9, 1, 1); },
       "run.toml:1: a: has 2 items; allowed 1"},
      {"a = []", [](Config& c) { c.get_float_list("a", {1}, 0, 9, 1, 4); },
       "run.toml:1: a: has 0 items; allowed 1 to 4"},
      {"a = 3", [](Config& c) { c.get_int_list("a", {}); },
       "run.toml:1: a: must be a list, not an integer"},
      {"a = [{b = 1}]", [](Config& c) { c.get_int_list("a", {}); },
       "run.toml:1: a: must be an integer, not a table in a list"},
      {"[[a]]\nb = 1", [](Config& c) { c.get_int("a.b", 1); },
       "run.toml:1: a: must be a section that holds a.b, not a list"},
      {"env = 3", [](Config& c) { c.get_string("env.id", ""); },
       "run.toml:1: env: must be a section that holds env.id, not an integer"},
      {"env = 3", [](Config& c) { c.keys_under("env"); },
       "run.toml:1: env: must be a section, not an integer"},
      {"[env]\nid = 3", [](Config& c) { c.get_string("env", ""); },
       "run.toml:1: env: must be a string, not a section"},
      {"", [](Config& c) { c.require_int("a.b", 1, 9); },
       "run.toml: a.b: missing; set it to an integer; allowed 1 to 9 in the file or by --set "
       "a.b=..."},
      {"[env]\nidd = 'x'", [](Config& c) { c.require_string("env.id"); },
       "run.toml:2: env.idd: unknown key; did you mean env.id?"},
      {"", [](Config& c) { c.get_int("a", 0, 1, 9); },
       "run.toml: a (not given, so the default): 0 is out of range; allowed 1 to 9"},
      {"a = 1", [](Config& c) { c.fail("a", "must be even"); }, "run.toml:1: a: must be even"},
  };
  for (const Case& test : cases) {
    const std::string message = error_of([&] {
      Config c = parse(test.text);
      test.read(c);
    });
    EXPECT_EQ(message, test.message) << test.text;
  }
}

TEST(Config, IntegersKeepAll64Bits) {
  EXPECT_EQ(parse("a = 9223372036854775807").get_int("a", 0), Config::kIntMax);
  EXPECT_EQ(parse("a = -9223372036854775808").get_int("a", 0), Config::kIntMin);
  EXPECT_EQ(parse("a = 9007199254740992.0").get_int("a", 0), 9007199254740992);
  for (const char* text : {"a = 9223372036854775808", "a = 99999999999999999999999", "a = 1e999"}) {
    error_of([&] { parse(text).get_int("a", 0); });
  }
}

TEST(Config, UnknownKeysStopTheRun) {
  const auto finish = [](const std::string& text, const Overrides& overrides = {}) {
    return error_of([&] {
      Config c = parse(text, overrides);
      c.get_int("seed", 1);
      c.get_string("env.id", "x");
      c.get_int("env.num_envs", 1);
      c.get_float("train.lr", 1);
      c.finish();
    });
  };
  EXPECT_EQ(finish("seed = 1\n[env]\nnum_env = 3"),
            "run.toml:3: env.num_env: unknown key; did you mean env.num_envs?");
  EXPECT_EQ(finish("[envs]\nnum_envs = 3"),
            "run.toml:2: envs.num_envs: unknown key; did you mean env.num_envs?");
  EXPECT_EQ(finish("lr = 3"), "run.toml:1: lr: unknown key; did you mean train.lr?");
  EXPECT_EQ(finish("[env]\nbanana = 3"),
            "run.toml:2: env.banana: unknown key; allowed here: env.id, env.num_envs");
  EXPECT_EQ(finish("[trian]\nbanana = 3"),
            "run.toml:2: trian.banana: unknown key; did you mean [train]?");
  EXPECT_EQ(finish("[trian]"), "run.toml:1: trian: unknown section; did you mean [train]?");
  EXPECT_EQ(finish("zz = 1\naa = 2"),
            "run.toml:1: zz: unknown key; allowed here: seed");  // the first in the file
  EXPECT_EQ(finish("", {"env.num_env=3"}),
            "--set env.num_env=3: env.num_env: unknown key; did you mean env.num_envs?");
  Config c = parse("[env]\n[env.params]\n");
  c.keys_under("env.params");
  c.finish();
}

TEST(Config, TellsASectionFromAValue) {
  const Config c = Config::from_string("[env.params]\ngravity = 3\nlength = { uniform = [1, 2] }\n",
                                       "x.toml", {"env.params.mass.choice=[1, 2]"});
  EXPECT_FALSE(c.has_section("env.params.gravity"));
  EXPECT_TRUE(c.has_section("env.params.length"));
  EXPECT_TRUE(c.has_section("env.params.mass"));
  EXPECT_TRUE(c.has_section("env"));
  EXPECT_FALSE(c.has_section("env.params.len"));
}

TEST(Config, HasIsNotReading) {
  Config c = parse("a = 1");
  EXPECT_TRUE(c.has("a"));
  EXPECT_EQ(error_of([&] { c.finish(); }),
            "run.toml:1: a: has no effect together with the other settings; remove it");
  c.get_int("a", 0);
  c.finish();
}

TEST(Config, Overrides) {
  Config c = parse(kRun, {"seed=8", "env.id=Pendulum-v1", "train.hidden=[1,2]",
                          "new.deep.key = true", "train.lr=1", "train.lr=0.5", "name=2026",
                          "train.start=", "env.params={gravity=1.5}", "note=a=b"});
  EXPECT_EQ(c.get_int("seed", 0), 8);
  EXPECT_EQ(c.get_string("env.id", ""), "Pendulum-v1");
  EXPECT_EQ(c.get_int_list("train.hidden", {}), (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(c.get_bool("new.deep.key", false));
  EXPECT_EQ(c.get_float("train.lr", 0), 0.5);
  EXPECT_EQ(c.get_string("name", ""), "2026");
  EXPECT_EQ(c.get_string("train.start", "x"), "");
  EXPECT_EQ(c.get_float("env.params.gravity", 0), 1.5);
  EXPECT_EQ(c.get_float("env.params.length", 0), 1);
  EXPECT_EQ(c.get_string("note", ""), "a=b");
}

TEST(Config, OverridesCannotSmuggleSettings) {
  for (const std::string& value : std::vector<std::string>{
           "1\nseed = 3", "1, y = 2", "1}\nz = {q=3", "1 # hi", "\"x\" # y", "[1", "1} #"}) {
    Config c = parse("", {"a=" + value});
    EXPECT_EQ(c.get_string("a", ""), value);
    EXPECT_NE(error_of([&] { c.get_int("a", 0); }).find("not a string"), std::string::npos);
    c.finish();
  }
}

TEST(Config, BadOverrides) {
  const auto error = [](const std::string& o) {
    return error_of([&] {
      Config c = parse(kRun, {o});
      c.get_int("seed", 0, 0);
      c.finish();
    });
  };
  EXPECT_EQ(error("seed"), "--set seed: expected key=value");
  EXPECT_EQ(error("seed=-1"), "--set seed=-1: seed: -1 is out of range; allowed 0 or more");
  EXPECT_EQ(error("env=3"), "--set env=3: env: is a section (run.toml:3); set the keys in it");
  EXPECT_EQ(error("seed.x=3"), "--set seed.x=3: seed: must be an integer, not a section");
  for (const char* bad :
       {"=3", "a..b=3", ".a=3", "a.=3", "a b=3", "\"a\"=3", "a=\xff", "", "env={id={x=1}}"})
    error(bad);
  error(std::string(1000, 'a') + ".a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1");
}

TEST(Config, SyntaxErrorsGiveLineAndColumn) {
  EXPECT_EQ(error_of([] { parse("a = 1\nb = = 2"); }).rfind("run.toml:2:5: ", 0), 0u);
  EXPECT_EQ(error_of([] { parse("a = 1\na = 2"); }).rfind("run.toml:2:", 0), 0u);
  EXPECT_EQ(error_of([] { parse("a = 1\n\"b\xff\" = 2"); }),
            "run.toml:2:3: not UTF-8 text; save the file as UTF-8");
  EXPECT_EQ(error_of([] { parse("a = 1\n\"b c\" = 2"); }).rfind("run.toml:2:", 0), 0u);
}

TEST(Config, DeepNestingIsAnErrorNotACrash) {
  std::string dotted = "a";
  for (int i = 0; i < 500000; ++i) dotted += ".a";
  std::string headers;
  for (int i = 0; i < 900; ++i) headers += i == 0 ? "[a" : ".a";
  for (const std::string& text :
       {dotted + " = 1", "[" + dotted + "]", headers + "]\nb = 1", std::string(1000000, '['),
        "a = " + std::string(1000000, '['), "a = " + std::string(100000, '{')}) {
    error_of([&] { parse(text); });
  }
  error_of([&] { parse("", {dotted + "=1"}); });
  EXPECT_EQ(parse("", {"a=" + std::string(100000, '[')}).get_string("a", "").size(), 100000u);
}

TEST(Config, KeysInQuotesMayBeDotted) {
  Config c = parse("\"a.b\" = 1\n[c]\n\"d.e\" = { f = 2 }\n");
  EXPECT_EQ(c.get_int("a.b", 0), 1);
  EXPECT_EQ(c.get_int("c.d.e.f", 0), 2);
  c.finish();
  EXPECT_EQ(error_of([] { parse("a.b = 1\n\"a.b\" = 2\n"); }), "run.toml:2:9: a.b is given twice");
  for (const char* bad : {"\"a..b\" = 1", "\".a\" = 1", "\"a.\" = 1", "\"\" = 1", "\"a. b\" = 1",
                          "\"a.b\" = 1\na.b.c = 2"})
    error_of([&] { parse(bad); });
  error_of([] { parse("\"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\" = 1"); });
}

TEST(Config, ListsOfAnything) {
  Config c = parse("a = [1, 2.5, \"x\", [true]]\nb = [1979-05-27]\nc = 3\n");
  const std::vector<ConfigValue> list = c.get_list("a", {});
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(to_toml({list}), "[1, 2.5, \"x\", [true]]");
  EXPECT_EQ(error_of([&] { c.get_list("a", {}, 5, 9); }),
            "run.toml:1: a: has 4 items; allowed 5 to 9");
  EXPECT_EQ(error_of([&] { c.get_list("b", {}); }),
            "run.toml:2: b: holds a date or time, which no setting is");
  EXPECT_EQ(error_of([&] { c.get_list("c", {}); }),
            "run.toml:3: c: must be a list, not an integer");
}

// ---- the resolved print ----

TEST(Config, GivenPrintHoldsWhatWasGiven) {
  Config c = parse("b = 1\n[s]\nx = 2\n", {"s.y=3"});
  for (const char* key : {"a", "b", "s.x", "s.y", "s.z", "t.u"}) c.get_int(key, 0);
  EXPECT_EQ(c.given_toml(), "b = 1\n\n[s]\nx = 2\ny = 3\n");
}

TEST(Config, ResolvedPrintReadsBackTheSame) {
  const auto read = [](Config& c) {
    c.get_float("train.lr", 0.1);
    c.get_string("env.id", "");
    c.get_int("seed", 0);
    c.get_string("name", "");
    c.get_float_list("train.betas", {});
    c.get_string_list("train.tags", {});
    c.get_int("train.steps", 1);
    c.get_float("env.params.gravity", 1);
    c.get_int("extra.count", Config::kIntMin);
    c.get_string("extra.odd", "\x01 \t\"\\ \xe2\x82\xac\r\n");
    c.get_bool("extra.flag", false);
    c.get_float("extra.whole", 1e22);
    c.get_float("extra.negative_zero", -0.0);
    c.get_int_list("extra.none", {});
  };
  Config first = parse(kRun, {"train.lr=0.30000000000000004"});
  read(first);
  const std::string text = first.resolved_toml();
  EXPECT_EQ(text.rfind("seed = 7\nname = ", 0), 0u) << text;
  EXPECT_LT(text.find("[train]\nlr = 0.30000000000000004\nbetas"), text.find("[env]\nid")) << text;
  EXPECT_NE(text.find("steps = 1000000\n"), std::string::npos) << text;
  Config second = parse(text);
  read(second);
  second.finish();
  EXPECT_EQ(second.resolved_toml(), text);
  EXPECT_EQ(second.get_string("extra.odd", ""), "\x01 \t\"\\ \xe2\x82\xac\r\n");
  EXPECT_TRUE(std::signbit(second.get_float("extra.negative_zero", 1)));

  const std::string shown = first.resolved_toml(Config::Origins::kShow);
  EXPECT_NE(shown.find("seed = 7  # run.toml:1\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("  # --set train.lr=0.30000000000000004\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("flag = false  # default\n"), std::string::npos) << shown;
  Config third = parse(shown);
  read(third);
  EXPECT_EQ(third.resolved_toml(), text);
}

TEST(Config, ResolvedFloatsAreBitExact) {
  std::mt19937_64 random(3);
  std::string keys;
  Config c = parse("");
  std::vector<double> values;
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bits = random();
    double x;
    std::memcpy(&x, &bits, sizeof x);
    if (!std::isfinite(x)) x = i;
    values.push_back(c.get_float("f.k" + std::to_string(i), x));
  }
  Config back = parse(c.resolved_toml());
  for (int i = 0; i < 2000; ++i) {
    const double x = back.get_float("f.k" + std::to_string(i), 0);
    ASSERT_EQ(std::memcmp(&x, &values[i], sizeof x), 0) << values[i];
  }
}

// ---- files ----

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/config_test.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string folder_;
};

TEST_F(ConfigFile, ReadsAFile) {
  Config c = Config::from_file(write("a.toml",
                                     "\xef\xbb\xbf"
                                     "a = 3\r\nb = 4\r\n"),
                               {"b=5"});
  EXPECT_EQ(c.get_int("a", 0), 3);
  EXPECT_EQ(c.get_int("b", 0), 5);
  EXPECT_EQ(c.name(), path("a.toml"));
  Config::from_file(write("empty.toml", "")).finish();
}

TEST_F(ConfigFile, RefusesWhatIsNoConfig) {
  const auto error = [](const std::string& file) {
    return error_of([&] { Config::from_file(file); });
  };
  EXPECT_EQ(error(path("none.toml")),
            path("none.toml") + ": cannot read the config: no such config file");
  EXPECT_EQ(error(folder_), folder_ + ": is a directory, not a config file");
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(error(path("fifo")), path("fifo") + ": is not a regular file; give a TOML file");
  EXPECT_EQ(error("/dev/zero"), "/dev/zero: is not a regular file; give a TOML file");
  error("");
  error(path("a\nb"));
  error(write("big.toml", std::string(Config::kMaxFileBytes + 1, '\n')));
  error(write("utf16.toml", std::string("\xff\xfe"
                                        "a\0=\0",
                                        6)));
  error(write("nul.toml", std::string("a = 1\0", 6)));
  Config::from_file(write("full.toml", std::string(Config::kMaxFileBytes, '\n'))).finish();
}

// ---- hostile text: parses, or gives a usage error; never anything else ----

void expect_parses_or_fails_cleanly(const std::string& text) {
  try {
    Config c = parse(text);
    c.get_int("seed", 0);
    c.get_string("env.id", "");
    c.get_float_list("train.betas", {});
    c.finish();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    EXPECT_EQ(std::string(e.what()).rfind("run.toml:", 0), 0u) << e.what();
  }
}

TEST(ConfigFuzz, EveryPrefixAndSuffix) {
  const std::string text = kRun;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    expect_parses_or_fails_cleanly(text.substr(0, i));
    expect_parses_or_fails_cleanly(text.substr(i));
  }
}

TEST(ConfigFuzz, RandomDamage) {
  std::mt19937 random(11);
  const std::string pieces = "=[]{}\"'.,#\n\r\t \\u0-+e_:T\x80\xff\xf0\x00";
  for (int round = 0; round < 20000; ++round) {
    std::string text = kRun;
    for (int hits = 1 + static_cast<int>(random() % 4); hits > 0; --hits) {
      const std::size_t at = random() % text.size();
      const char c = pieces[random() % pieces.size()];
      if (random() % 3 == 0)
        text.erase(at, random() % 5);
      else if (random() % 2 == 0)
        text.insert(at, 1, c);
      else
        text[at] = c;
    }
    expect_parses_or_fails_cleanly(text);
  }
}

TEST(ConfigFuzz, RandomOverrides) {
  std::mt19937 random(13);
  const std::string pieces = "ab.1=[]{}\"', #\n-e\\t\xff\xc3\xa9";
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 2 == 0 ? "a=" : "";
    for (int n = static_cast<int>(random() % 12); n > 0; --n)
      text += pieces[random() % pieces.size()];
    try {
      Config c = parse("", {text});
      c.get_string("a", "");
      c.finish();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      EXPECT_EQ(std::string(e.what()).rfind("--set ", 0), 0u) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    }
  }
}

// Of a setting that is a number or a section of alternatives the last override stands, whatever it takes the place of.
TEST(Overrides, OfAlternatives) {
  const std::string text = "[a]\nx = { uniform = [1, 2] }\n[a.b]\nz = 1\n";
  Config other = Config::from_string(text, "t.toml", {"a.x={ choice = [3] }", "a.x.normal=[4, 5]"});
  EXPECT_EQ(other.keys_under("a.x"), (std::vector<std::string>{"uniform", "choice", "normal"}));
  other.keep_last_override("a.x");
  EXPECT_EQ(other.keys_under("a.x"), std::vector<std::string>{"normal"});
  Config none = Config::from_string(text, "t.toml", {});
  none.keep_last_override("a.x");
  EXPECT_EQ(none.keys_under("a.x"), std::vector<std::string>{"uniform"});
  const auto number = [](Config c) {
    c.keep_last_override("a.x");
    return c.get_int("a.x", 0);
  };
  const std::string section = "[a.x]\nuniform = [1, 2]\n";
  EXPECT_EQ(number(Config::from_string(text, "t.toml", {"a.x=4"})), 4);
  EXPECT_EQ(number(Config::from_string(section, "t.toml", {"a.x=4"})), 4);
  EXPECT_EQ(number(Config::from_string(text, "t.toml", {"a.x.choice=[3]", "a.x=5"})), 5);
  Config table = Config::from_string("[a]\nx = 1\n", "t.toml", {"a.x=2", "a.x={ choice = [3] }"});
  table.keep_last_override("a.x");
  EXPECT_EQ(table.keys_under("a.x"), std::vector<std::string>{"choice"});
  Config back = Config::from_string(text, "t.toml", {"a.x=2", "a.x={ choice = [3] }"});
  back.keep_last_override("a.x");
  EXPECT_EQ(back.keys_under("a.x"), std::vector<std::string>{"choice"});
  Config two = Config::from_string(text, "t.toml", {"a.x={ choice = [3], normal = [1, 2] }"});
  two.keep_last_override("a.x");
  EXPECT_EQ(two.keys_under("a.x").size(), 2u) << "for the reader to refuse";
}

TEST(Integers, BeyondTheLargestAreNamed) {
  Config config = Config::from_string("", "t.toml", {"seed=18446744073709551615"});
  try {
    config.get_int("seed", 0, 0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("18446744073709551615 is beyond"), std::string::npos);
  }
}

}  // namespace
}  // namespace rollmill
