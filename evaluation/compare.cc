#include "evaluation/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "evaluation/table.h"

namespace rollmill {
namespace {

constexpr int kPoints = 256;       // of a curve
constexpr std::size_t kShown = 3;  // settings in a label
constexpr double kLastPart = 0.1;  // of a run, that its final value is the mean of

double interpolate(const RunCurve& run, double x) {
  const auto after = std::upper_bound(run.x.begin(), run.x.end(), x);
  if (after == run.x.begin()) return run.y.front();
  if (after == run.x.end()) return run.y.back();
  const auto i = static_cast<std::size_t>(after - run.x.begin());
  const double part = (x - run.x[i - 1]) / (run.x[i] - run.x[i - 1]);
  return run.y[i - 1] + part * (run.y[i] - run.y[i - 1]);
}

double final_value(const RunCurve& run) {
  const double from = run.x.back() - kLastPart * (run.x.back() - run.x.front());
  std::vector<double> last;
  for (std::size_t i = 0; i < run.x.size(); ++i) {
    if (run.x[i] >= from) last.push_back(run.y[i]);
  }
  return mean(last);
}

void make_curve(CurveGroup& group) {
  double begin = group.runs.front().x.front(), end = group.runs.front().x.back();
  for (const RunCurve& run : group.runs) {
    begin = std::max(begin, run.x.front());
    end = std::min(end, run.x.back());
    if (begin > end) {
      fail_usage(run.path + " and " + group.runs.front().path +
                 " differ in their seeds only, but no part of them is common; compare longer runs");
    }
  }
  for (int p = 0; p < kPoints; ++p) {
    const double x = begin + (end - begin) * p / (kPoints - 1);
    std::vector<double> values;
    for (const RunCurve& run : group.runs) values.push_back(interpolate(run, x));
    group.x.push_back(x);
    group.mean.push_back(mean(values));
    if (values.size() < kFewestForInterval) continue;
    const Interval interval = t_mean_interval(values);
    group.low.push_back(interval.low);
    group.high.push_back(interval.high);
  }
}

void summarise(CurveGroup& group, std::optional<double> threshold) {
  CurveSummary& s = group.summary;
  s.best = group.runs.front().y.front();
  for (const RunCurve& run : group.runs) {
    s.finals.push_back(final_value(run));
    s.best = std::max(s.best, *std::max_element(run.y.begin(), run.y.end()));
    if (!threshold) continue;
    if (const auto x = first_reached(run, *threshold)) {
      s.mean_to_threshold += *x;
      ++s.reached;
    }
  }
  if (s.reached > 0) s.mean_to_threshold /= s.reached;
  s.mean = mean(s.finals);
  s.iqm = interquartile_mean(s.finals);
  if (s.finals.size() >= kFewestForInterval) s.interval = t_mean_interval(s.finals);
}

// Each group by its run's name; where names are not enough, by the settings in which groups differ.
void label(std::vector<CurveGroup>& groups) {
  std::set<std::string> names;
  for (CurveGroup& g : groups) {
    g.label = g.runs.front().name;
    names.insert(g.label);
  }
  if (names.size() == groups.size()) return;
  std::map<std::string, std::set<std::string>> values;  // of each key, "" where it is absent
  for (const CurveGroup& g : groups) {
    for (const auto& [key, value] : g.runs.front().settings) values[key];
  }
  for (auto& [key, all] : values) {
    for (const CurveGroup& g : groups) {
      const auto found = g.runs.front().settings.find(key);
      all.insert(found == g.runs.front().settings.end() ? "" : found->second);
    }
  }
  for (CurveGroup& g : groups) {
    std::size_t shown = 0;
    for (const auto& [key, value] : g.runs.front().settings) {
      if (values[key].size() < 2) continue;
      if (++shown > kShown) {
        g.label += " ...";
        break;
      }
      g.label += " " + key + "=" + value;
    }
  }
}

std::string short_number(double v) {
  const double size = std::abs(v);
  if (size >= 1e6) return fmt::format("{:.2f} M", v / 1e6);
  if (size >= 1e4) return fmt::format("{:.1f} k", v / 1e3);
  return fmt::format("{:.4g}", v);
}

}  // namespace

std::optional<double> first_reached(const RunCurve& run, double threshold) {
  for (std::size_t i = 0; i < run.y.size(); ++i) {
    if (!(run.y[i] >= threshold)) continue;
    if (i == 0) return run.x[0];
    const double part = (threshold - run.y[i - 1]) / (run.y[i] - run.y[i - 1]);
    return run.x[i - 1] + part * (run.x[i] - run.x[i - 1]);
  }
  return std::nullopt;
}

Comparison compare_runs(std::vector<RunCurve> runs, const std::string& key, CurveAxis axis,
                        std::optional<double> threshold) {
  Comparison c;
  c.environment = runs.front().environment;
  c.key = key;
  c.axis = axis;
  c.threshold = threshold;
  for (RunCurve& run : runs) {
    const RunCurve& first = c.groups.empty() ? run : c.groups.front().runs.front();
    if (run.environment != c.environment) {
      fail_usage(first.path + " is a run of " + c.environment + ", " + run.path + " of " +
                 run.environment + ": compare runs of one environment");
    }
    auto group = std::find_if(c.groups.begin(), c.groups.end(), [&](const CurveGroup& g) {
      return g.runs.front().settings == run.settings;
    });
    if (group == c.groups.end()) group = c.groups.insert(c.groups.end(), CurveGroup{});
    for (const RunCurve& other : group->runs) {
      if (other.seed == run.seed) {
        fail_usage(other.path + " and " + run.path + " are the same run (config and seed " +
                   run.seed + "): an interval needs different seeds");
      }
    }
    group->runs.push_back(std::move(run));
  }
  label(c.groups);
  for (CurveGroup& group : c.groups) {
    make_curve(group);
    summarise(group, threshold);
  }
  return c;
}

std::vector<std::vector<std::string>> comparison_table(const Comparison& c) {
  const std::string axis = c.axis == CurveAxis::kSteps ? "steps" : "seconds";
  std::vector<std::vector<std::string>> rows = {
      {"curve", "runs", "final mean", "95 % interval", "IQM", "best"}};
  if (c.threshold) rows[0].push_back(fmt::format("{} to {:g}", axis, *c.threshold));
  for (const CurveGroup& g : c.groups) {
    const CurveSummary& s = g.summary;
    rows.push_back({g.label, std::to_string(g.runs.size()), short_number(s.mean),
                    s.interval ? fmt::format("[{}, {}]", short_number(s.interval->low),
                                             short_number(s.interval->high))
                               : "-",
                    short_number(s.iqm), short_number(s.best)});
    if (!c.threshold) continue;
    const std::string of = fmt::format("({} of {})", s.reached, g.runs.size());
    rows.back().push_back(s.reached > 0 ? short_number(s.mean_to_threshold) + " " + of : "- " + of);
  }
  return rows;
}

std::string format_text(const Comparison& c) {
  return fmt::format("{} of {} over {}\n", c.key, c.environment,
                     c.axis == CurveAxis::kSteps ? "steps" : "seconds") +
         format_table(comparison_table(c));
}

std::string format_json(const Comparison& c) {
  nlohmann::ordered_json j;
  j["environment"] = c.environment;
  j["key"] = c.key;
  j["axis"] = c.axis == CurveAxis::kSteps ? "steps" : "seconds";
  if (c.threshold) j["threshold"] = *c.threshold;
  for (const CurveGroup& g : c.groups) {
    nlohmann::ordered_json row;
    row["label"] = g.label;
    for (const RunCurve& run : g.runs) row["runs"].push_back(run.path);
    row["finals"] = g.summary.finals;
    row["mean"] = g.summary.mean;
    if (g.summary.interval) row["interval"] = {g.summary.interval->low, g.summary.interval->high};
    row["iqm"] = g.summary.iqm;
    row["best"] = g.summary.best;
    if (c.threshold) row["reached"] = g.summary.reached;
    if (g.summary.reached > 0) row["mean_to_threshold"] = g.summary.mean_to_threshold;
    j["curves"].push_back(row);
  }
  return j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace rollmill
