#include "evaluation/run_curve.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/config/nearest.h"
#include "core/config/toml.h"
#include "core/io/atomic_file.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t kMaxConfigBytes = 4u << 20;

bool shapes_learning(const std::string& key) {
  for (const char* prefix : {"run.", "checkpoint.", "evaluation."}) {
    if (key.rfind(prefix, 0) == 0) return false;
  }
  return true;
}

void read_settings(RunCurve& run) {
  const std::string path = run.path + "/config.toml";
  const std::string text = read_file(path, kMaxConfigBytes);
  TomlDocument document;
  try {
    document = parse_toml(text, path);
  } catch (const Error& e) {
    fail_data(e.what());  // written by rollmill, not by the user
  }
  std::map<std::string, std::string> named;
  for (const TomlDocument::Value& v : document.values) {
    if (const auto* plain = std::get_if<std::string>(&v.value.data)) named[v.key] = *plain;
    const std::string toml = to_toml(v.value);
    if (v.key == "run.seed") run.seed = toml;
    if (shapes_learning(v.key)) run.settings[v.key] = toml;
  }
  run.name = one_line(named["run.name"]);  // shown on terminals: no control characters
  run.environment = one_line(named["env.id"]);
  if (run.environment.empty()) fail_data(path + ": no env.id: not the config of a training run");
}

// One line of metrics.jsonl; an empty object for a last line that has no end yet.
Json parse_record(const std::string& line, bool ended, const std::string& where) {
  Json record = Json::parse(line, nullptr, false);
  if (record.is_object()) return record;
  if (!ended) return Json::object();
  fail_data(where + ": not a JSON object; remove the line, or leave the run out");
}

[[noreturn]] void fail_unknown_key(const std::string& path, const std::string& key,
                                   const std::set<std::string>& there) {
  const std::string near = nearest(key, {there.begin(), there.end()});
  std::string all;
  for (const std::string& name : there) all += (all.empty() ? "" : ", ") + name;
  fail_usage("--key " + key + ": " + path + " has no such number" +
             (near.empty() ? "" : "; did you mean '" + near + "'?") +
             (all.empty() ? "" : " (it has " + all + ")"));
}

// Turns seconds of each process into seconds of the run.
class RunClock {
 public:
  double total(double seconds) {
    if (seconds < last_) before_ += last_;  // another process went on
    last_ = seconds;
    return before_ + seconds;
  }

 private:
  double before_ = 0, last_ = 0;
};

}  // namespace

RunCurve read_run_curve(const std::string& dir, const std::string& key, CurveAxis axis) {
  RunCurve run;
  run.path = dir;
  if (!fs::is_directory(dir)) fail_data(dir + ": no such run folder");
  read_settings(run);
  const std::string path = dir + "/metrics.jsonl";
  if (!fs::is_regular_file(path))
    fail_data(path + ": no such file; the run has not begun, or was copied without it");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail_io(path + ": cannot read");
  const std::string x_name = axis == CurveAxis::kSteps ? "step" : "seconds";
  std::set<std::string> names;
  bool known = false;
  RunClock clock;
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    const std::string where = path + ":" + std::to_string(number);
    const Json record = parse_record(line, !in.eof(), where);
    if (record.empty()) continue;
    const auto x = record.find(x_name), y = record.find(key);
    if (x == record.end() || !x->is_number()) fail_data(where + ": no number '" + x_name + "'");
    known = known || (y != record.end() && (y->is_number() || y->is_null()));
    for (const auto& [name, value] : record.items()) {
      if (!known && (value.is_number() || value.is_null())) names.insert(name);
    }
    const double at = axis == CurveAxis::kSteps ? x->get<double>() : clock.total(x->get<double>());
    if (y == record.end() || !y->is_number()) continue;
    if (!run.x.empty() && at <= run.x.back()) {
      if (axis == CurveAxis::kSeconds) continue;  // a clock's resolution
      fail_data(where + ": step " + x->dump() + " does not come after the one before it");
    }
    run.x.push_back(at);
    run.y.push_back(y->get<double>());
  }
  if (in.bad()) fail_io(path + ": cannot read");
  if (!known && names.empty()) fail_data(path + ": holds no record yet");
  if (!known) fail_unknown_key(dir, key, names);
  if (run.x.empty()) fail_data(path + ": " + key + " has no value yet");
  return run;
}

}  // namespace rollmill
