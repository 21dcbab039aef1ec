#include "evaluation/sweep/trial_record.h"

#include <algorithm>
#include <sstream>
#include <tuple>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "evaluation/sweep/halving.h"

namespace rollmill {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const ConfigValue& value) {
  if (const auto* list = std::get_if<std::vector<ConfigValue>>(&value.data)) {
    Json items = Json::array();
    for (const ConfigValue& item : *list) items.push_back(value_json(item));
    return items;
  }
  if (const auto* x = std::get_if<std::int64_t>(&value.data)) return *x;
  if (const auto* x = std::get_if<double>(&value.data)) return *x;
  if (const auto* x = std::get_if<bool>(&value.data)) return *x;
  if (const auto* x = std::get_if<std::string>(&value.data)) return *x;
  return nullptr;
}

Json values_json(const TrialValues& values) {
  Json j = Json::object();
  for (const TrialValue& v : values) j[v.key] = value_json(v.value);
  return j;
}

TrialRecord parse_trial(const std::string& line, const std::string& where,
                        const std::function<TrialValues(std::int64_t)>& values_of) {
  const auto j = parse_json_strict(line, where, 8);
  TrialRecord r;
  try {
    j.at("trial").get_to(r.trial);
    if (j.contains("rung")) j.at("rung").get_to(r.rung);
    j.at("seeds").get_to(r.seeds);
    for (const auto& x : j.at("returns"))
      r.returns.push_back(x.is_null() ? std::nullopt : std::optional(x.get<double>()));
    j.at("exit_code").get_to(r.exit_code);
    j.at("steps").get_to(r.steps);
    j.at("seconds").get_to(r.seconds);
  } catch (const nlohmann::json::exception& e) {
    fail_data(where + ": not a trial's record (" + e.what() + "); remove the line");
  }
  if (r.trial < 0 || r.rung < 0 || r.returns.size() != r.seeds.size())
    fail_data(where + ": not a trial's record; remove the line");
  r.values = values_of(r.trial);
  if (!j.contains("values") || j["values"] != nlohmann::json(values_json(r.values)))
    fail_data(where + ": trial " + std::to_string(r.trial) +
              " has other values in this sweep; remove the line, or choose another --out");
  return r;
}

}  // namespace

std::optional<double> TrialRecord::score() const {
  std::vector<double> all;
  for (const auto& x : returns) {
    if (!x) return std::nullopt;
    all.push_back(*x);
  }
  if (all.empty()) return std::nullopt;
  return mean(all);
}

std::optional<Interval> TrialRecord::interval() const {
  if (!score() || returns.size() < kFewestForInterval) return std::nullopt;
  std::vector<double> all;
  for (const auto& x : returns) all.push_back(*x);
  return t_mean_interval(all);
}

std::string trial_json(const TrialRecord& r) {
  Json j;
  j["trial"] = r.trial;
  if (r.rung > 0) j["rung"] = r.rung;
  j["values"] = values_json(r.values);
  j["seeds"] = r.seeds;
  j["returns"] = Json::array();
  for (const auto& x : r.returns) j["returns"].push_back(x ? Json(*x) : Json(nullptr));
  j["mean_return"] = r.score() ? Json(*r.score()) : Json(nullptr);
  j["exit_code"] = r.exit_code;
  j["steps"] = r.steps;
  j["seconds"] = r.seconds;
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<TrialRecord> read_trials(const std::string& path,
                                     const std::function<TrialValues(std::int64_t)>& values_of) {
  std::vector<TrialRecord> records;
  std::istringstream lines(read_file(path, std::uint64_t{1} << 30));
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);)
    records.push_back(parse_trial(line, path + ":" + std::to_string(++number), values_of));
  return records;
}

void sort_trials(std::vector<TrialRecord>& records) {
  std::sort(records.begin(), records.end(), [](const TrialRecord& a, const TrialRecord& b) {
    return std::tuple(a.rung, a.trial) < std::tuple(b.rung, b.trial);
  });
}

std::vector<TrialRecord> ranked_trials(std::vector<TrialRecord> records) {
  // A failure on a later rung is no better than a success on an earlier one.
  const auto reached = [](const TrialRecord& r) { return r.score() ? r.rung : -1; };
  std::sort(records.begin(), records.end(), [&](const TrialRecord& a, const TrialRecord& b) {
    if (reached(a) != reached(b)) return reached(a) > reached(b);
    return is_ahead({a.trial, a.score()}, {b.trial, b.score()});
  });
  // With halving a trial has a record on every rung it was on: the best of them stands for it.
  std::vector<TrialRecord> best;
  for (TrialRecord& r : records) {
    const bool seen = std::any_of(best.begin(), best.end(),
                                  [&](const TrialRecord& b) { return b.trial == r.trial; });
    if (!seen) best.push_back(std::move(r));
  }
  return best;
}

}  // namespace rollmill
