#include "evaluation/sweep/space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/config/config.h"
#include "evaluation/sweep/sweep_options.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

SweepSpace read(const std::string& space) {
  Config c = Config::from_string("[sweep.space]\n" + space, "s.toml");
  SweepSpace result = read_sweep_space(c);
  c.finish();
  return result;
}

SweepOptions read_all(const std::string& keys, const std::string& space) {
  Config c = Config::from_string(
      "[sweep]\nconfig = \"r.toml\"\n" + keys + "[sweep.space]\n" + space, "s.toml");
  return read_sweep_options(c);
}

std::string why(const std::string& keys, const std::string& space) {
  std::string message;
  EXPECT_EQ(testing::exit_code_of([&] { read_all(keys, space); }, &message), 2) << space;
  return message;
}

double real(const TrialValues& values, std::size_t k) {
  return std::get<double>(values[k].value.data);
}

constexpr const char* kSpace =
    "\"a.rate\" = { log_uniform = [1e-4, 1e-2] }\n"
    "a.clip = { uniform = [0.1, 0.3] }\n"
    "b = [16, 32, 64]\n"
    "c.d.e = { choice = [[64], [64, 64]] }\n"
    "f = { integer = [3, 5] }\n";

TEST(SweepSpace, ReadsEveryDraw) {
  const SweepSpace space = read(kSpace);
  ASSERT_EQ(space.size(), 5u);
  std::set<std::string> keys;
  for (const SweepDimension& d : space) keys.insert(d.key);
  EXPECT_EQ(keys, (std::set<std::string>{"a.rate", "a.clip", "b", "c.d.e", "f"}));
}

TEST(SweepSpace, ValuesLieInTheirRangesAndFillThem) {
  const SweepSpace space = read(
      "a = { log_uniform = [1e-4, 1e-2] }\nb = { uniform = [-1, 3] }\n"
      "c = { integer = [3, 5] }\nd = [\"x\", \"y\"]\n");
  constexpr int kTrials = 4000;
  double logs = 0, sum = 0;
  std::map<std::int64_t, int> integers;
  std::map<std::string, int> words;
  for (int k = 0; k < kTrials; ++k) {
    const TrialValues v = drawn_values(space, 7, k);
    ASSERT_GE(real(v, 0), 1e-4);
    ASSERT_LE(real(v, 0), 1e-2);
    ASSERT_GE(real(v, 1), -1);
    ASSERT_LE(real(v, 1), 3);
    logs += std::log10(real(v, 0)) / kTrials;
    sum += real(v, 1) / kTrials;
    ++integers[std::get<std::int64_t>(v[2].value.data)];
    ++words[std::get<std::string>(v[3].value.data)];
  }
  // Five standard errors of a mean of 4000: uniform over a width w has w / sqrt(12).
  EXPECT_NEAR(logs, -3, 5 * 2 / std::sqrt(12.0 * kTrials));
  EXPECT_NEAR(sum, 1, 5 * 4 / std::sqrt(12.0 * kTrials));
  ASSERT_EQ(integers.size(), 3u);
  for (const auto& [value, count] : integers) {
    EXPECT_TRUE(value >= 3 && value <= 5);
    EXPECT_NEAR(count, kTrials / 3.0, 5 * std::sqrt(kTrials * 2 / 9.0));
  }
  ASSERT_EQ(words.size(), 2u);
  EXPECT_NEAR(words["x"], kTrials / 2.0, 5 * std::sqrt(kTrials / 4.0));
}

TEST(SweepSpace, ATrialIsAFunctionOfSeedKeyAndNumber) {
  const SweepSpace one = read("a = { uniform = [0, 1] }\nb = { uniform = [0, 1] }\n");
  const SweepSpace other = read("c = [1, 2]\nb = { uniform = [0, 1] }\na = { uniform = [0, 1] }\n");
  std::set<double> different;
  for (int k = 0; k < 50; ++k) {
    const TrialValues v = drawn_values(one, 1, k), w = drawn_values(other, 1, k);
    EXPECT_EQ(real(v, 0), real(w, 2));
    EXPECT_EQ(real(v, 1), real(w, 1));
    different.insert({real(v, 0), real(v, 1), real(drawn_values(one, 2, k), 0)});
  }
  EXPECT_GT(different.size(), 148u);  // of 150: values have six digits
}

// Written down once: sweeps of earlier builds resume.
TEST(SweepSpace, ValuesStayTheSame) {
  const SweepSpace space = read(
      "\"ppo.learning_rate\" = { log_uniform = [1e-4, 1e-2] }\n"
      "\"ppo.epochs\" = [2, 4, 8]\n");
  EXPECT_EQ(values_text(drawn_values(space, 1, 0)), "ppo.learning_rate=0.00877664 ppo.epochs=8");
  EXPECT_EQ(values_text(drawn_values(space, 1, 1)), "ppo.learning_rate=0.000281916 ppo.epochs=8");
}

TEST(SweepSpace, GridCountsThrough) {
  const SweepSpace space = read("a = [1, 2]\nb = { choice = [true, false] }\nc = [0.5]\n");
  ASSERT_EQ(grid_size(space), 4);
  std::vector<std::string> all;
  for (int k = 0; k < 4; ++k) all.push_back(values_text(grid_values(space, k)));
  EXPECT_EQ(all, (std::vector<std::string>{"a=1 b=true c=0.5", "a=1 b=false c=0.5",
                                           "a=2 b=true c=0.5", "a=2 b=false c=0.5"}));
}

TEST(SweepSpace, WrongOnesAreRefusedWithTheirPlace) {
  const std::string n = "trials = 3\n";
  EXPECT_EQ(why(n, ""),
            "s.toml:4: sweep.space: is empty; name at least one key and its values, as "
            "\"ppo.clip\" = [0.1, 0.2]");
  EXPECT_EQ(why(n, "a.b = { uniform = [2, 1] }\n").rfind("s.toml:5: sweep.space.a.b.uniform: ", 0),
            0u);
  EXPECT_NE(why(n, "a = { log_uniform = [0, 1] }\n").find("above 0"), std::string::npos);
  EXPECT_NE(why(n, "a = { uniform = [1] }\n").find("allowed 2"), std::string::npos);
  EXPECT_NE(why(n, "a = { integer = [1, 2.5] }\n").find("not a whole number"), std::string::npos);
  EXPECT_NE(why(n, "a = { uniform = [1, inf] }\n").find("finite"), std::string::npos);
  EXPECT_NE(why(n, "a = { choice = [] }\n").find("allowed 1 to"), std::string::npos);
  EXPECT_NE(why(n, "a = { unifrom = [1, 2] }\n").find("did you mean uniform?"), std::string::npos);
  EXPECT_NE(why(n, "a = { uniform = [1, 2], choice = [1] }\n").find("not several"),
            std::string::npos);
  EXPECT_NE(why(n, "a = 3\n").find("must be a list"), std::string::npos);
  EXPECT_NE(why(n, "a = {}\n").find("is empty"), std::string::npos);
  EXPECT_NE(why(n, "a = [1979-05-27]\n").find("a date or time"), std::string::npos);
  EXPECT_NE(why(n, "\"run.seed\" = [1, 2]\n").find("sweep.seeds"), std::string::npos);
  EXPECT_NE(why(n, "\"a.b\" = [1]\na.b = [2]\n").find("given twice"), std::string::npos);
  EXPECT_NE(why(n, "\"a b\" = [1]\n").find("keys consist of"), std::string::npos);
}

TEST(SweepOptions, WhatDoesNotBelongIsRefused) {
  const std::string a = "a = [1, 2]\n";
  EXPECT_EQ(read_all("trials = 3\n", a).trials, 3);
  EXPECT_EQ(read_all("method = \"grid\"\n", a).trials, 2);
  EXPECT_NE(why("", a).find("sweep.trials: missing"), std::string::npos);
  EXPECT_NE(why("trials = 3\nmethod = \"grid\"\n", a).find("as many trials as"), std::string::npos);
  EXPECT_NE(why("method = \"grid\"\n", "a = { uniform = [0, 1] }\n").find("a grid needs a list"),
            std::string::npos);
  EXPECT_NE(why("trials = 3\neta = 2\n", a).find("of method = \"halving\""), std::string::npos);
  EXPECT_NE(why("trials = 3\nmethod = \"bayes\"\n", a).find("not a choice"), std::string::npos);
  EXPECT_NE(why("trials = 0\n", a).find("out of range"), std::string::npos);
  EXPECT_NE(why("trials = 3\nseeds = [1, 1]\n", a).find("twice"), std::string::npos);
  EXPECT_NE(why("trials = 3\nseeds = []\n", a).find("allowed 1 to"), std::string::npos);
  EXPECT_NE(why("trials = 3\ntrails = 3\n", a).find("did you mean sweep.trials"),
            std::string::npos);
  EXPECT_NE(
      why("trials = 3\nmethod = \"halving\"\n", "trainer.total_steps = [1, 2]\n").find("min_steps"),
      std::string::npos);
  std::string big;
  for (char c = 'a'; c < 'f'; ++c) big += std::string(1, c) + " = [1, 2, 3, 4, 5, 6, 7, 8]\n";
  EXPECT_NE(why("method = \"grid\"\n", big).find("more than 10000"), std::string::npos);
}

}  // namespace
}  // namespace rollmill
