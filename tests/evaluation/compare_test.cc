#include "evaluation/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "evaluation/curve_plot.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

// Two-sided 5 % points as every textbook prints them, three decimals (NIST handbook 1.3.6.7.2).
TEST(StudentT, PublishedQuantiles) {
  const std::pair<int, double> table[] = {{1, 12.706}, {2, 4.303},  {3, 3.182},  {4, 2.776},
                                          {5, 2.571},  {9, 2.262},  {10, 2.228}, {20, 2.086},
                                          {30, 2.042}, {60, 2.000}, {100, 1.984}};
  for (const auto& [degrees, t] : table)
    EXPECT_NEAR(student_t_quantile(degrees), t, 0.0005) << degrees;
  EXPECT_NEAR(student_t_quantile(1), std::tan(M_PI * 0.475), 1e-9);  // Cauchy
}

TEST(StudentT, Interval) {
  // mean 3, s = sqrt(2.5), n = 5: 3 -+ 2.7764 * 0.70711
  const Interval i = t_mean_interval({1, 2, 3, 4, 5});
  EXPECT_NEAR(i.low, 3 - 1.96324, 2e-5);
  EXPECT_NEAR(i.high, 3 + 1.96324, 2e-5);
}

RunCurve run(const std::string& path, const std::string& seed, std::vector<double> x,
             std::vector<double> y) {
  return {path, "ppo", seed, "E-v0", {{"ppo.clip", "0.2"}}, std::move(x), std::move(y)};
}

std::string why(std::vector<RunCurve> runs) {
  try {
    compare_runs(std::move(runs), "return_mean", CurveAxis::kSteps, {});
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    return e.what();
  }
  return "";
}

TEST(Compare, SeedsAreOneCurve) {
  // Straight lines, recorded at different steps: interpolation gives back the lines.
  RunCurve other = run("c", "1", {0, 40}, {1, 1});
  other.settings["ppo.clip"] = "0.1";
  const Comparison c = compare_runs(
      {run("a", "1", {0, 10, 100}, {0, 10, 100}), other,
       run("b", "2", {20, 60, 200}, {40, 120, 400}), run("d", "3", {0, 200}, {0, 300})},
      "return_mean", CurveAxis::kSteps, 50.0);
  ASSERT_EQ(c.groups.size(), 2u);
  const CurveGroup& g = c.groups[0];
  ASSERT_EQ(g.runs.size(), 3u);
  EXPECT_EQ(g.x.front(), 20);
  EXPECT_EQ(g.x.back(), 100);
  for (std::size_t i = 0; i < g.x.size(); ++i) {
    EXPECT_NEAR(g.mean[i], 1.5 * g.x[i], 1e-9);
    EXPECT_NEAR(g.high[i] - g.low[i], 2 * 4.3026527 * 0.5 / std::sqrt(3.0) * g.x[i], 1e-5 * g.x[i]);
  }
  EXPECT_TRUE(c.groups[1].low.empty());
  EXPECT_EQ(g.label, "ppo ppo.clip=0.2");
  EXPECT_EQ(c.groups[1].label, "ppo ppo.clip=0.1");
  EXPECT_EQ(g.summary.reached, 3);
  EXPECT_NEAR(g.summary.mean_to_threshold, (50 + 25 + 100 / 3.0) / 3, 1e-9);
  EXPECT_EQ(g.summary.best, 400);
  EXPECT_EQ(g.summary.finals, (std::vector<double>{100, 400, 300}));
  EXPECT_FALSE(c.groups[1].summary.interval);
  EXPECT_EQ(c.groups[1].summary.reached, 0);
}

// Of two seeds an interval reaches 12.7 standard errors to each side: it would say nothing.
TEST(Compare, TwoSeedsHaveAMeanAndNoInterval) {
  const Comparison c =
      compare_runs({run("a", "1", {0, 10}, {0, 10}), run("b", "2", {0, 10}, {0, 30})},
                   "return_mean", CurveAxis::kSteps, {});
  ASSERT_EQ(c.groups.size(), 1u);
  EXPECT_EQ(c.groups[0].mean.back(), 20);
  EXPECT_TRUE(c.groups[0].low.empty());
  EXPECT_FALSE(c.groups[0].summary.interval);
  EXPECT_EQ(comparison_table(c)[1][3], "-");
}

TEST(Compare, NamesAreLabelsWhereTheyTellCurvesApart) {
  RunCurve other = run("c", "1", {0, 1}, {0, 1});
  other.name = "sac";
  other.settings["ppo.clip"] = "0.1";
  const Comparison c =
      compare_runs({run("a", "1", {0, 1}, {0, 1}), other}, "x", CurveAxis::kSteps, {});
  EXPECT_EQ(c.groups[0].label, "ppo");
  EXPECT_EQ(c.groups[1].label, "sac");
}

TEST(Compare, Refuses) {
  RunCurve elsewhere = run("runs/b", "2", {0, 1}, {0, 1});
  elsewhere.environment = "F-v0";
  EXPECT_EQ(why({run("runs/a", "1", {0, 1}, {0, 1}), elsewhere}),
            "runs/a is a run of E-v0, runs/b of F-v0: compare runs of one environment");
  EXPECT_NE(why({run("a", "1", {0, 1}, {0, 1}), run("b", "1", {0, 1}, {0, 1})})
                .find("a and b are the same run (config and seed 1)"),
            std::string::npos);
  EXPECT_NE(why({run("a", "1", {0, 1}, {0, 1}), run("b", "2", {2, 3}, {0, 1})})
                .find("no part of them is common"),
            std::string::npos);
  EXPECT_EQ(why({run("a", "1", {0, 1}, {0, 1}), run("b", "2", {1, 3}, {0, 1})}), "");
}

TEST(FirstReached, BetweenRecords) {
  const RunCurve r = run("a", "1", {10, 20, 30}, {0, 4, 2});
  EXPECT_EQ(first_reached(r, -1), 10);
  EXPECT_EQ(first_reached(r, 0), 10);
  EXPECT_EQ(first_reached(r, 1), 12.5);
  EXPECT_EQ(first_reached(r, 4), 20);
  EXPECT_FALSE(first_reached(r, 4.1));
}

TEST(NiceTicks, RoundNumbersWithin) {
  EXPECT_EQ(nice_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(nice_ticks(3, 27, 6), (std::vector<double>{5, 10, 15, 20, 25}));
  EXPECT_EQ(nice_ticks(-0.4, 0.4, 4), (std::vector<double>{-0.4, -0.2, 0, 0.2, 0.4}));
  EXPECT_EQ(nice_ticks(17e6, 90e6, 8),
            (std::vector<double>{20e6, 30e6, 40e6, 50e6, 60e6, 70e6, 80e6, 90e6}));
  for (double low : {-1e9, -3.3, 0.0, 1e-7, 12345.6}) {
    for (double width : {1e-3, 0.7, 42.0, 1e6}) {
      const auto ticks = nice_ticks(low, low + width, 7);
      EXPECT_GE(ticks.size(), 2u) << low << " " << width;
      EXPECT_LE(ticks.size(), 8u) << low << " " << width;
      for (const double t : ticks)
        EXPECT_TRUE(t >= low - 1e-9 * width && t <= low + width * (1 + 1e-9)) << t;
    }
  }
}

TEST(CurvePlot, PicturesShowCurveAndBand) {
  const Comparison c =
      compare_runs({run("a", "1", {0, 100}, {0, 100}), run("b", "2", {0, 100}, {10, 110}),
                    run("c", "3", {0, 100}, {20, 120})},
                   "return_mean", CurveAxis::kSteps, {});
  const Figure figure = plot_curves(c);
  const Picture picture = to_picture(figure, 1);
  ASSERT_EQ(picture.width, figure.width);
  ASSERT_EQ(picture.height, figure.height);
  int line = 0, band = 0;
  for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
    const Color p = {picture.rgb[i], picture.rgb[i + 1], picture.rgb[i + 2]};
    line += p == palette::kBlue;
    band += p == mix(palette::kPaper, palette::kBlue, 51);
  }
  EXPECT_GT(line, 300);
  EXPECT_GT(band, 10000);
}

TEST(CurvePlot, OneRecordAndEqualValuesHaveAxes) {
  const Comparison c =
      compare_runs({run("a", "1", {5}, {7})}, "return_mean", CurveAxis::kSeconds, {});
  const std::string svg = to_svg(plot_curves(c));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

class Runs : public ::testing::Test {
 protected:
  void SetUp() override {
    put("config.toml",
        "[run]\nname = \"n\"\nseed = 7\n\n[env]\nid = \"E-v0\"\n\n[ppo]\nclip = 0.2\n");
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ + "/" + name, std::ios::binary) << text;
  }
  // The error's text without the folder's name in front.
  std::string why(ExitCode code, const std::string& key = "y") const {
    try {
      read_run_curve(dir_, key, CurveAxis::kSteps);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      const std::string what = e.what();
      EXPECT_EQ(what.find('\n'), std::string::npos);
      const std::size_t at = what.find(dir_);
      return at == 0 ? what.substr(dir_.size()) : what;
    }
    return "";
  }

  const rollmill::testing::TempDir folder_;
  const std::string dir_ = folder_.path();
};

TEST_F(Runs, AreReadWithoutWhatIsNotThereYet) {
  put("metrics.jsonl",
      "{\"step\":1,\"y\":null,\"seconds\":0.5}\n{\"step\":2,\"y\":3,\"seconds\":1}\n"
      "{\"step\":4,\"y\":-1.5,\"seconds\":0.25}\n{\"step\":5,\"y\"");
  const RunCurve r = read_run_curve(dir_, "y", CurveAxis::kSteps);
  EXPECT_EQ(r.x, (std::vector<double>{2, 4}));
  EXPECT_EQ(r.y, (std::vector<double>{3, -1.5}));
  EXPECT_EQ(r.name, "n");
  EXPECT_EQ(r.seed, "7");
  EXPECT_EQ(r.environment, "E-v0");
  EXPECT_EQ(r.settings,
            (std::map<std::string, std::string>{{"env.id", "\"E-v0\""}, {"ppo.clip", "0.2"}}));
  // The third record is another process's: its seconds go on from the second's.
  EXPECT_EQ(read_run_curve(dir_, "y", CurveAxis::kSeconds).x, (std::vector<double>{1, 1.25}));
}

TEST_F(Runs, BadFoldersAreOneLine) {
  EXPECT_EQ(why(ExitCode::kBadData),
            "/metrics.jsonl: no such file; the run has not begun, or was copied without it");
  put("metrics.jsonl", "");
  EXPECT_EQ(why(ExitCode::kBadData), "/metrics.jsonl: holds no record yet");
  put("metrics.jsonl", "{\"step\":1,\"y\":null}\n");
  EXPECT_EQ(why(ExitCode::kBadData), "/metrics.jsonl: y has no value yet");
  for (const char* bad : {"garbage", "[1]", "{\"step\":2", "nul\xff", "3"}) {
    put("metrics.jsonl", std::string("{\"step\":1,\"y\":2}\n") + bad + "\n{\"step\":3,\"y\":2}\n");
    EXPECT_EQ(why(ExitCode::kBadData),
              "/metrics.jsonl:2: not a JSON object; remove the line, or leave the run out");
  }
  put("metrics.jsonl", "{\"step\":1,\"y\":2}\n{\"step\":1,\"y\":2}\n");
  EXPECT_EQ(why(ExitCode::kBadData),
            "/metrics.jsonl:2: step 1 does not come after the one before it");
  put("metrics.jsonl", "{\"y\":2}\n");
  EXPECT_EQ(why(ExitCode::kBadData), "/metrics.jsonl:1: no number 'step'");
  put("metrics.jsonl", "{\"step\":1,\"y\":2,\"return_mean\":3,\"text\":\"t\"}\n");
  EXPECT_EQ(why(ExitCode::kUsage, "retrun_mean"),
            "--key retrun_mean: " + dir_ +
                " has no such number; did you mean 'return_mean'? (it has return_mean, step, y)");
  put("config.toml", "[run\n");
  EXPECT_EQ(why(ExitCode::kBadData).substr(0, 12), "/config.toml");
  put("config.toml", "[generate]\npolicy = \"random\"\n");
  EXPECT_EQ(why(ExitCode::kBadData), "/config.toml: no env.id: not the config of a training run");
  fs::remove_all(dir_);
  EXPECT_EQ(why(ExitCode::kBadData), ": no such run folder");
}

}  // namespace
}  // namespace rollmill
