#include "cli/sweep/sweep_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "evaluation/table.h"
#include "evaluation/sweep/halving.h"

namespace rollmill {
namespace {

constexpr std::size_t kShown = 5;

std::ptrdiff_t failures(const SweepSummary& s) {
  return std::count_if(s.ranked.begin(), s.ranked.end(),
                       [](const TrialRecord& r) { return !r.score(); });
}

}  // namespace

std::string trial_line(const TrialRecord& r, const std::vector<TrialRecord>& records,
                       std::size_t rungs, const std::string& last_words) {
  const std::string which = rungs > 1
                                ? fmt::format("rung {} of {}  trial {}", r.rung + 1, rungs, r.trial)
                                : fmt::format("trial {}", r.trial);
  if (!r.score()) {
    return fmt::format("{}  failed (exit {})  {}{}{}", which, r.exit_code, values_text(r.values),
                       last_words.empty() ? "" : ": ", last_words);
  }
  std::size_t rank = 1, count = 0;
  for (const TrialRecord& other : records) {
    if (other.rung != r.rung) continue;
    ++count;
    if (is_ahead({other.trial, other.score()}, {r.trial, r.score()})) ++rank;
  }
  return fmt::format("{}  return {:.2f}  rank {} of {}  {}  {:.2f} s", which, *r.score(), rank,
                     count, values_text(r.values), r.seconds);
}

std::string format_text(const SweepSummary& s) {
  std::vector<TableRow> rows = {
      {"rank", "trial", "mean return", "95 % interval", "steps", "seconds"}};
  if (!s.ranked.empty()) {
    for (const TrialValue& v : s.ranked.front().values) rows.front().push_back(v.key);
  }
  if (s.rungs > 1) rows.front().insert(rows.front().begin() + 2, "rung");
  for (std::size_t k = 0; k < std::min(kShown, s.ranked.size()); ++k) {
    const TrialRecord& r = s.ranked[k];
    const auto interval = r.interval();
    TableRow row = {std::to_string(k + 1),
                    std::to_string(r.trial),
                    r.score() ? fmt::format("{:.2f}", *r.score()) : "failed",
                    interval ? fmt::format("[{:.2f}, {:.2f}]", interval->low, interval->high) : "-",
                    human(static_cast<double>(r.steps)),
                    fmt::format("{:.2f}", r.seconds)};
    for (const TrialValue& v : r.values) row.push_back(to_toml(v.value));
    if (s.rungs > 1) row.insert(row.begin() + 2, std::to_string(r.rung + 1));
    rows.push_back(std::move(row));
  }
  const auto failed = failures(s);
  return fmt::format("{} trials, {}{}\n{}", s.ranked.size(), s.method,
                     failed > 0 ? fmt::format(", {} failed", failed) : "", format_table(rows));
}

std::string format_json(const SweepSummary& s) {
  using Json = nlohmann::ordered_json;
  Json j;
  j["out"] = s.dir;
  j["method"] = s.method;
  j["trials"] = s.ranked.size();
  j["failed"] = failures(s);
  j["best"] = Json::array();
  for (std::size_t k = 0; k < std::min(kShown, s.ranked.size()); ++k) {
    Json row = Json::parse(trial_json(s.ranked[k]));
    if (const auto interval = s.ranked[k].interval())
      row["mean_return_95"] = {interval->low, interval->high};
    j["best"].push_back(row);
  }
  return j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace rollmill
