// The dashboard's text, whole: what a person sees is what is compared.
#include "cli/dashboard.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/log/console.h"

namespace rollmill {
namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// All rows but that of the episodes go to the right edge.
void expect_flush(const std::vector<std::string>& lines, int columns) {
  for (std::size_t row = 0; row < 4; ++row) EXPECT_EQ(text_columns(lines[row]), columns) << row;
}

DashboardState middle_of_a_run() {
  DashboardState s;
  s.environment = "CartPole-v1";
  s.run = "runs/cartpole_ppo";
  s.step = 150'000;
  s.total_steps = 300'000;
  s.training_rate = 809'300;
  s.rollout_rate = 2'310'000;
  s.environment_rate = 45'100'000;
  s.collect_share = 0.35;
  s.learn_share = 0.62;
  s.mean_return = 271.25;
  s.best_return = 280.5;
  s.mean_length = 271.25;
  s.episodes = 12'345;
  s.updates = 73;
  for (int i = 0; i < 256; ++i) s.returns.push_back(i < 128 ? i : NAN);
  s.metrics = {{"policy_loss", -0.001234},
               {"value_loss", 0.5},
               {"entropy", 0.52},
               {"approx_kl", 3.1e-6},
               {"my_own_number", 7}};
  return s;
}

TEST(Dashboard, EightyColumns) {
  EXPECT_EQ(joined(render_dashboard(middle_of_a_run(), 79, 23, true)),
            R"(CartPole-v1  runs/cartpole_ppo                                        update 73
steps    ━━━━━━━━━━━━━━━━━━──────────────────  150.0 k / 300.0 k  50 %  eta 1 s
steps/s  T 809.3 k  R 2.31 M  E 45.10 M         collect 35  learn 62  other 3 %
return   ▁▁▁▁▂▂▂▃▃▄▄▄▄▅▅▅▆▆▇▇▇▇███                           271.2 (best 280.5)
length   271.2 steps  of the last episodes; 12.3 k finished
policy loss    -0.001234  value loss           0.5  entropy             0.52
KL               3.1e-06  my own number          7
)");
}

TEST(Dashboard, AsciiAndWider) {
  EXPECT_EQ(
      joined(render_dashboard(middle_of_a_run(), 110, 23, false)),
      R"(CartPole-v1  runs/cartpole_ppo                                                                       update 73
steps    #################################..................................  150.0 k / 300.0 k  50 %  eta 1 s
steps/s  T 809.3 k  R 2.31 M  E 45.10 M                                        collect 35  learn 62  other 3 %
return   ______.....:::::----=====++++++****######                                          271.2 (best 280.5)
length   271.2 steps  of the last episodes; 12.3 k finished
policy loss    -0.001234  value loss           0.5  entropy             0.52  KL               3.1e-06
my own number          7
)");
}

TEST(Dashboard, RowsReachTheRightEdge) {
  for (int columns = 79; columns < 200; ++columns) {
    expect_flush(render_dashboard(middle_of_a_run(), columns, 23, true), columns);
    expect_flush(render_dashboard(middle_of_a_run(), columns, 23, false), columns);
  }
}

TEST(Dashboard, NothingKnownYet) {
  DashboardState s;
  s.environment = "Pendulum-v1";
  s.run = "runs/p";
  s.total_steps = 1e9;
  s.returns.assign(256, NAN);
  s.metrics = {{"policy_loss", NAN}, {"q_loss", INFINITY}};
  EXPECT_EQ(joined(render_dashboard(s, 79, 23, true)),
            R"(Pendulum-v1  runs/p                                                    update -
steps    ──────────────────────────────────────────────  0 / 1.00 G  0 %  eta -
steps/s  T -  R -  E -                            collect -  learn -  other - %
return                                                               - (best -)
length   - steps  of the last episodes; - finished
policy loss            -  q loss                 -
)");
}

// Whatever the numbers, no line is wider than asked and there are no more lines than rows.
TEST(Dashboard, NeverTooWideNorTooHigh) {
  for (const double v : {0.0, -1.0, 1e-300, -1.2345678e-100, 123456789.123, 9.99e99, 1e300}) {
    DashboardState s = middle_of_a_run();
    s.environment =
        "An/Environment-with-a-name-that-takes-more-than-the-whole-line-of-a-terminal-v0";
    s.run = "ü/中文/and more";
    s.step = s.total_steps = s.training_rate = s.rollout_rate = s.environment_rate = std::abs(v);
    s.mean_return = s.best_return = s.mean_length = v;
    for (double& r : s.returns) r *= v;
    for (int i = 0; i < 100; ++i) s.metrics.push_back({"metric_with_a_long_name", v});
    for (int columns : {0, 1, 20, 79, 80, 133, 500}) {
      for (int rows : {0, 1, 5, 23}) {
        const auto lines = render_dashboard(s, columns, rows, true);
        EXPECT_LE(lines.size(), static_cast<std::size_t>(rows));
        for (const std::string& line : lines) EXPECT_LE(text_columns(line), columns) << line;
      }
    }
  }
}

MetricsRecord update(std::int64_t n, double mean_return) {
  return MetricsRecord()
      .add("step", n * 1000)
      .add("update", n)
      .add("episodes", n * 10)
      .add("return_mean", mean_return)
      .add("length_mean", 20.0)
      .add("q_loss", 0.25)
      .add("collect_seconds", 0.02)
      .add("env_seconds", 0.005)
      .add("learn_seconds", 0.06)
      .add("seconds", 0.1 * static_cast<double>(n));
}

TEST(DashboardFeed, MeasuresSpeedAndTime) {
  Dashboard dashboard("E-v0", "r", 10'000);
  for (int n = 1; n <= 5; ++n) dashboard.observe(update(n, n == 1 ? NAN : 10.0 * n), 0.1 * n);
  const DashboardState& s = dashboard.state();
  EXPECT_NEAR(s.training_rate, 1000 / 0.1, 1e-6);  // equal updates: fading changes no ratio
  EXPECT_NEAR(s.rollout_rate, 1000 / 0.02, 1e-6);
  EXPECT_NEAR(s.environment_rate, 1000 / 0.005, 1e-6);
  EXPECT_NEAR(s.collect_share, 0.2, 1e-9);
  EXPECT_NEAR(s.learn_share, 0.6, 1e-9);
  EXPECT_EQ(s.best_return, 50);
  EXPECT_EQ(s.episodes, 50);
  ASSERT_EQ(s.metrics.size(), 1u);  // all others have places of their own
  EXPECT_EQ(s.metrics[0].name, "q_loss");
  EXPECT_TRUE(std::isnan(s.returns[0]));  // of the first update, in which no episode ended
  EXPECT_EQ(s.returns[100], 40);          // step 3,906 of 10,000: in the fourth thousand
  EXPECT_EQ(s.returns[127], 50);
  EXPECT_TRUE(std::isnan(s.returns[140]));
}

TEST(DashboardFeed, AResumedRunCountsOnlyItsOwnSteps) {
  Dashboard dashboard("E-v0", "r", 10'000);
  dashboard.observe(update(8, 5), 0.1);
  EXPECT_TRUE(std::isnan(dashboard.state().training_rate));  // steps of a process before
  dashboard.observe(update(9, 7), 0.2);
  EXPECT_NEAR(dashboard.state().training_rate, 10'000, 1e-6);
  EXPECT_TRUE(std::isnan(dashboard.state().returns[100]));
}

TEST(DashboardFeed, LaterUpdatesCountMore) {
  Dashboard dashboard("E-v0", "r", 1e6);
  dashboard.observe(update(1, 0), 10);
  dashboard.observe(update(2, 0), 11);  // 1,000 steps in 10 s, then in 1 s
  EXPECT_NEAR(dashboard.state().training_rate,
              1000 * (std::exp(-0.1) + 1) / (10 * std::exp(-0.1) + 1), 1e-6);
}

TEST(ProgressLine, TheMostImportant) {
  EXPECT_EQ(progress_line(middle_of_a_run()),
            "CartPole-v1  50 %  steps 150.0 k/300.0 k  return 271.2  809.3 k steps/s  kl 3.1e-06  "
            "entropy 0.52  eta 1 s");
  DashboardState s = middle_of_a_run();
  s.metrics.clear();
  s.training_rate = 1;
  EXPECT_EQ(progress_line(s),
            "CartPole-v1  50 %  steps 150.0 k/300.0 k  return 271.2  1 steps/s  eta 1 d 17 h");
}

}  // namespace
}  // namespace rollmill
