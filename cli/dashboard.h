// What `rollmill train` shows on a terminal while it runs: a block of some lines, redrawn in place (core/log/console.h).
// Metrics come as they go into metrics.jsonl: known names get good places, all others follow under their own.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/log/metrics.h"

namespace rollmill {

// NaN in any number: not known (yet); shown as "-".
struct DashboardState {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  std::string environment, run;
  double step = 0, total_steps = 0;
  // Steps per second over the last moments: T of all work, R while collecting, E while environments step.
  double training_rate = kUnknown, rollout_rate = kUnknown, environment_rate = kUnknown;
  double collect_share = kUnknown, learn_share = kUnknown;  // of the time, 0 to 1
  double mean_return = kUnknown, best_return = kUnknown, mean_length = kUnknown;
  double episodes = kUnknown, updates = kUnknown;
  std::vector<double>
      returns;  // the mean return over the run's length, in equal parts; NaN: not reached
  std::vector<MetricNumber> metrics;  // all others of the last update
};

// The block: at most `rows` lines, none wider than `columns`, without line breaks. utf8: lines and bars, else ASCII.
std::vector<std::string> render_dashboard(const DashboardState& state, int columns, int rows,
                                          bool utf8);

// One line with the most important of it, for logs and small terminals.
std::string progress_line(const DashboardState& state);

// Makes the state of what metrics say, update after update.
class Dashboard {
 public:
  Dashboard(std::string environment, std::string run, double total_steps);

  // `seconds` since the start of this process's work.
  void observe(const MetricsRecord& record, double seconds);
  const DashboardState& state() const { return state_; }

 private:
  void observe_speed(const MetricsRecord& record, double seconds);

  DashboardState state_;
  bool started_ = false;
  double last_step_ = 0, last_seconds_ = 0;
  // Sums in which the past fades: what was 10 s ago counts a third.
  double steps_ = 0, all_seconds_ = 0, collect_seconds_ = 0, env_seconds_ = 0, learn_seconds_ = 0;
};

}  // namespace rollmill
