#include "cli/dashboard.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "cli/output.h"
#include "core/log/console.h"

namespace rollmill {
namespace {

constexpr std::size_t kReturnParts = 256;  // of the run, that the sparkline is made of
constexpr double kFadeSeconds = 10;
constexpr int kLabel = 9;                             // columns of a row's name
constexpr int kCell = 24, kCellGap = 2, kValue = 10;  // columns of a metric, and of its value in it

// Metrics in the order they are shown, with names that fit.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kKnown = {
    {{"policy_loss", "policy loss"},
     {"value_loss", "value loss"},
     {"entropy", "entropy"},
     {"approx_kl", "KL"},
     {"clip_fraction", "clip fraction"},
     {"explained_variance", "explained var"},
     {"grad_norm", "grad norm"},
     {"learning_rate", "learning rate"},
     {"epochs", "epochs"},
     {"first_ratio_error", "ratio error"}}};

// What has a place of its own above the metrics.
bool has_own_place(std::string_view key) {
  static constexpr std::array<std::string_view, 5> kOwn = {"step", "update", "episodes",
                                                           "return_mean", "length_mean"};
  constexpr std::string_view kSeconds = "seconds";
  return std::find(kOwn.begin(), kOwn.end(), key) != kOwn.end() ||
         (key.size() >= kSeconds.size() && key.substr(key.size() - kSeconds.size()) == kSeconds);
}

std::string rate(double v) { return std::isfinite(v) ? human(v) : "-"; }
std::string number(double v) { return std::isfinite(v) ? fmt::format("{:.4g}", v) : "-"; }
std::string fixed(double v) { return std::isfinite(v) ? fmt::format("{:.1f}", v) : "-"; }
std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.0f}", 100 * std::clamp(share, 0.0, 1.0)) : "-";
}
std::string whole(double v) { return std::isfinite(v) ? fmt::format("{:.0f}", v) : "-"; }

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  const auto s = static_cast<std::int64_t>(std::clamp(std::ceil(seconds), 0.0, 1e12));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{} d {} h", s / 86400, s / 3600 % 24);
}

double share_done(const DashboardState& s) {
  return s.total_steps > 0 ? std::clamp(s.step / s.total_steps, 0.0, 1.0) : 0.0;
}

double seconds_left(const DashboardState& s) {
  return std::max(0.0, s.total_steps - s.step) / s.training_rate;
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// Text on the left and on the right of a row; what does not fit is cut off the left one.
std::string spread(const std::string& left, const std::string& right, int columns) {
  const int room = columns - text_columns(right) - 2;
  const std::string cut = fit_columns(left, std::max(room, 0));
  const int gap = columns - text_columns(cut) - text_columns(right);
  return cut + std::string(static_cast<std::size_t>(std::max(gap, 1)), ' ') + right;
}

// Means of `width` equal parts of the values, as heights between the lowest and the highest.
std::string sparkline(const std::vector<double>& values, int width, bool utf8) {
  static constexpr std::array<std::string_view, 8> kBlocks = {
      "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
  static constexpr std::array<std::string_view, 8> kAscii = {"_", ".", ":", "-",
                                                             "=", "+", "*", "#"};
  const auto parts = static_cast<std::size_t>(std::max(width, 0));
  std::vector<double> means(parts, DashboardState::kUnknown);
  double low = INFINITY, high = -INFINITY;
  for (std::size_t p = 0; p < parts; ++p) {
    // Wider than there are values: neighbours show the same one.
    const std::size_t begin = p * values.size() / parts;
    const std::size_t end = std::max(begin + 1, (p + 1) * values.size() / parts);
    double sum = 0, count = 0;
    for (std::size_t i = begin; i < std::min(end, values.size()); ++i) {
      if (std::isfinite(values[i])) sum += values[i], ++count;
    }
    if (count == 0) continue;
    means[p] = sum / count;
    low = std::min(low, means[p]);
    high = std::max(high, means[p]);
  }
  std::string out;
  for (const double m : means) {
    if (!std::isfinite(m)) {
      out += ' ';
      continue;
    }
    const double height = high > low ? (m - low) / (high - low) : 0.5;
    const auto level = static_cast<std::size_t>(std::min(7.0, std::floor(height * 8)));
    out += utf8 ? kBlocks[level] : kAscii[level];
  }
  return out;
}

std::string steps_row(const DashboardState& s, int columns, bool utf8) {
  const std::string right =
      fmt::format("  {} / {}  {} %  eta {}", human(s.step), human(s.total_steps),
                  percent(share_done(s)), duration(seconds_left(s)));
  const int width = std::max(0, columns - kLabel - static_cast<int>(right.size()));
  const int done = static_cast<int>(share_done(s) * width);
  return fmt::format("{:<{}}", "steps", kLabel) + repeated(utf8 ? "\u2501" : "#", done) +
         repeated(utf8 ? "\u2500" : ".", width - done) + right;
}

std::string speed_row(const DashboardState& s, int columns) {
  const double other = 1 - s.collect_share - s.learn_share;
  return spread(fmt::format("{:<{}}T {}  R {}  E {}", "steps/s", kLabel, rate(s.training_rate),
                            rate(s.rollout_rate), rate(s.environment_rate)),
                fmt::format("collect {}  learn {}  other {} %", percent(s.collect_share),
                            percent(s.learn_share), percent(other)),
                columns);
}

std::string return_row(const DashboardState& s, int columns, bool utf8) {
  const std::string right =
      fmt::format("  {} (best {})", fixed(s.mean_return), fixed(s.best_return));
  return fmt::format("{:<{}}", "return", kLabel) +
         sparkline(s.returns, columns - kLabel - static_cast<int>(right.size()), utf8) + right;
}

std::string cell(std::string name, double value) {
  std::replace(name.begin(), name.end(), '_', ' ');
  const std::string text = number(value);
  return fmt::format("{:<{}} {:>{}}", fit_columns(name, kCell - kValue - 1), kCell - kValue - 1,
                     text, kValue);
}

std::vector<std::string> metric_cells(const std::vector<MetricNumber>& metrics) {
  std::vector<std::string> cells;
  for (const auto& [key, label] : kKnown) {
    for (const MetricNumber& m : metrics) {
      if (m.name == key) cells.push_back(cell(std::string(label), m.value));
    }
  }
  for (const MetricNumber& m : metrics) {
    const bool known = std::any_of(kKnown.begin(), kKnown.end(),
                                   [&](const auto& pair) { return pair.first == m.name; });
    if (!known) cells.push_back(cell(m.name, m.value));
  }
  return cells;
}

}  // namespace

std::vector<std::string> render_dashboard(const DashboardState& s, int columns, int rows,
                                          bool utf8) {
  std::vector<std::string> lines = {
      spread(s.environment + "  " + s.run, "update " + whole(s.updates), columns),
      steps_row(s, columns, utf8), speed_row(s, columns), return_row(s, columns, utf8),
      fmt::format("{:<{}}{} steps  of the last episodes; {} finished", "length", kLabel,
                  fixed(s.mean_length), rate(s.episodes))};
  const std::vector<std::string> cells = metric_cells(s.metrics);
  const auto per_row =
      static_cast<std::size_t>(std::max(1, (columns + kCellGap) / (kCell + kCellGap)));
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i % per_row == 0) {
      lines.push_back(cells[i]);
    } else {
      lines.back() += std::string(kCellGap, ' ') + cells[i];
    }
  }
  if (lines.size() > static_cast<std::size_t>(std::max(rows, 0)))
    lines.resize(static_cast<std::size_t>(std::max(rows, 0)));
  for (std::string& line : lines) line = fit_columns(line, columns);
  return lines;
}

std::string progress_line(const DashboardState& s) {
  std::string line = fmt::format("{} {:3.0f} %  steps {}/{}  return {}  {} steps/s", s.environment,
                                 100 * share_done(s), human(s.step), human(s.total_steps),
                                 fixed(s.mean_return), rate(s.training_rate));
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kShown = {
      {{"approx_kl", "kl"}, {"entropy", "entropy"}, {"q_mean", "q"}, {"epsilon", "epsilon"}}};
  for (const auto& [key, name] : kShown) {
    for (const MetricNumber& m : s.metrics) {
      if (m.name == key) line += fmt::format("  {} {:.2g}", name, m.value);
    }
  }
  return line + "  eta " + duration(seconds_left(s));
}

Dashboard::Dashboard(std::string environment, std::string run, double total_steps) {
  state_.environment = std::move(environment);
  state_.run = std::move(run);
  state_.total_steps = total_steps;
  state_.returns.assign(kReturnParts, DashboardState::kUnknown);
}

void Dashboard::observe(const MetricsRecord& record, double seconds) {
  observe_speed(record, seconds);
  state_.updates = record.number("update");
  state_.episodes = record.number("episodes");
  state_.mean_return = record.number("return_mean");
  state_.mean_length = record.number("length_mean");
  state_.best_return = std::fmax(state_.best_return, state_.mean_return);  // NaN gives way
  state_.metrics.clear();
  for (const MetricNumber& m : record.numbers()) {
    if (!has_own_place(m.name)) state_.metrics.push_back(m);
  }
  // The parts of the run since the last update, the one it begins in included.
  const auto part = [&](double step) {
    const double at = step / state_.total_steps * static_cast<double>(kReturnParts);
    return static_cast<std::size_t>(std::clamp(at, 0.0, static_cast<double>(kReturnParts - 1)));
  };
  for (std::size_t p = part(last_step_); p <= part(state_.step); ++p)
    state_.returns[p] = state_.mean_return;
  last_step_ = state_.step;
  last_seconds_ = seconds;
}

void Dashboard::observe_speed(const MetricsRecord& record, double seconds) {
  state_.step = record.number("step");
  if (!started_) {
    started_ = true;
    // A run that was resumed: what its first update took is known, where it began is not.
    if (record.number("update") != 1) {
      last_step_ = state_.step;
      return;
    }
  }
  const double passed = std::max(seconds - last_seconds_, 1e-9);
  const double kept = std::exp(-passed / kFadeSeconds);
  const auto add = [&](double& sum, double more) { sum = sum * kept + more; };
  add(steps_, state_.step - last_step_);
  add(all_seconds_, passed);
  add(collect_seconds_, record.number("collect_seconds"));
  add(env_seconds_, record.number("env_seconds"));
  add(learn_seconds_, record.number("learn_seconds"));
  state_.training_rate = steps_ / all_seconds_;
  state_.rollout_rate = steps_ / collect_seconds_;
  state_.environment_rate = steps_ / env_seconds_;
  state_.collect_share = collect_seconds_ / all_seconds_;
  state_.learn_share = learn_seconds_ / all_seconds_;
}

}  // namespace rollmill
