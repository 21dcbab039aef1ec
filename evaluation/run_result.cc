#include "evaluation/run_result.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "evaluation/run_curve.h"

namespace rollmill {

std::optional<EvaluationSummary> read_evaluation(const std::string& run) {
  const std::string path = run + "/evaluation.json";
  try {
    if (!file_exists(path)) return std::nullopt;
    const auto j = parse_json_strict(read_file(path, 1 << 24), path, 8);
    EvaluationSummary s;
    j.at("mean_return").get_to(s.mean_return);
    if (j.contains("mean_return_95")) {
      s.interval.emplace();
      j["mean_return_95"].at(0).get_to(s.interval->low);
      j["mean_return_95"].at(1).get_to(s.interval->high);
    }
    j.at("policy_hash").get_to(s.policy_hash);
    j.at("episodes").get_to(s.episodes);
    j.at("seed").get_to(s.seed);
    j.at("greedy").get_to(s.greedy);
    return s;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

RunLength read_run_length(const std::string& run) {
  RunLength length;
  try {  // "update" is a number in every record
    const RunCurve steps = read_run_curve(run, "update", CurveAxis::kSteps);
    const RunCurve seconds = read_run_curve(run, "update", CurveAxis::kSeconds);
    length.steps = static_cast<std::int64_t>(steps.x.back());
    length.seconds = seconds.x.back();
  } catch (const Error&) {  // no record yet
  }
  return length;
}

}  // namespace rollmill
