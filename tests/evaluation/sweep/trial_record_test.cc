#include "evaluation/sweep/trial_record.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/io/atomic_file.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

TrialValues values(std::int64_t trial) {
  return {{"a.b", {trial}},
          {"a.c", {0.1}},
          {"d", {std::string("x\"y")}},
          {"e", {std::vector<ConfigValue>{{true}, {2.0}}}}};
}

TrialRecord record(std::int64_t trial, std::int64_t rung, std::optional<double> score) {
  TrialRecord r;
  r.trial = trial;
  r.rung = rung;
  r.values = values(trial);
  r.seeds = {1, 2};
  r.returns = {score, score ? std::optional(*score + 2) : std::nullopt};
  r.exit_code = score ? 0 : 6;
  r.steps = 100;
  r.seconds = 0.25;
  return r;
}

TEST(TrialRecord, LinesReadBackTheSame) {
  testing::TempDir dir;
  const std::vector<TrialRecord> all = {record(0, 0, 1.5), record(1, 0, std::nullopt),
                                        record(0, 1, -2.25)};
  std::string text;
  for (const TrialRecord& r : all) text += trial_json(r) + "\n";
  write_file_atomic(dir / "t.jsonl", text);
  const auto back = read_trials(dir / "t.jsonl", values);
  ASSERT_EQ(back.size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(trial_json(back[k]), trial_json(all[k]));
  EXPECT_EQ(back[0].score(), 2.5);
  EXPECT_FALSE(back[1].score().has_value());
  EXPECT_FALSE(back[1].interval().has_value());
  EXPECT_FALSE(back[0].interval().has_value());  // of two seeds
  TrialRecord three = back[0];
  three.returns = {1.5, 3.5, 2.5};
  // s / sqrt(n) = 1 / sqrt(3), and 4.3027 is Student's t with two degrees of freedom.
  EXPECT_NEAR(three.interval()->low, 2.5 - 4.3027 / std::sqrt(3.0), 1e-3);
}

TEST(TrialRecord, DamagedAndForeignLinesAreRefusedWithTheirPlace) {
  testing::TempDir dir;
  const std::string path = dir / "t.jsonl", good = trial_json(record(0, 0, 1));
  for (const std::string& bad :
       {std::string("half a li"), good.substr(0, good.size() - 9), std::string("{\"trial\":0}"),
        std::string("{\"trial\":-1,\"values\":{},\"seeds\":[],\"returns\":[],\"exit_code\":0,"
                    "\"steps\":0,\"seconds\":0}"),
        trial_json([] {
          TrialRecord r = record(1, 0, 1);
          r.values = values(2);
          return r;
        }())}) {
    write_file_atomic(path, good + "\n" + bad + "\n");
    std::string message;
    EXPECT_EQ(testing::exit_code_of([&] { read_trials(path, values); }, &message), 3) << bad;
    EXPECT_EQ(message.rfind(path + ":2", 0), 0u) << message;
  }
}

TEST(TrialRecord, RankedByRungThenScore) {
  const auto ranked = ranked_trials({record(0, 0, 9), record(1, 0, 5), record(2, 0, std::nullopt),
                                     record(3, 0, 7), record(0, 1, 1), record(3, 1, std::nullopt)});
  std::vector<std::pair<std::int64_t, std::int64_t>> order;
  for (const TrialRecord& r : ranked) order.emplace_back(r.trial, r.rung);
  EXPECT_EQ(order,
            (std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 1}, {3, 0}, {1, 0}, {2, 0}}));
}

TEST(TrialRecord, SortedWhateverTheOrderTheyEndedIn) {
  std::vector<TrialRecord> all = {record(2, 0, 1), record(0, 1, 1), record(0, 0, 1)};
  sort_trials(all);
  EXPECT_EQ(all[0].trial, 0);
  EXPECT_EQ(all[1].trial, 2);
  EXPECT_EQ(all[2].rung, 1);
}

}  // namespace
}  // namespace rollmill
