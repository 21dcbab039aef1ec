#include "generators/replay.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/log/progress.h"
#include "rollout/fault_report.h"

namespace rollmill {

namespace {

// One line a step, the broken one last; an error if it does not break the same way again.
int replay_report(const std::string& path, bool json) {
  const FaultFile file = read_fault(path);
  const EnvEntry& entry = find_env(file.env_id);
  const EnvSpec spec = entry.spec();
  const FaultReplay r = replay_fault(entry, file);
  if (json) {
    nlohmann::ordered_json j = {{"fault", path}, {"reproduced", r.reproduced}};
    for (const FaultStep& s : r.steps) {
      j["steps"].push_back({{"step", s.step},
                            {"state", state_text(spec, s.state)},
                            {"action", s.action},
                            {"reward", s.reward},
                            {"after", state_text(spec, s.after)}});
    }
    print_out(j.dump(2) + "\n");
  } else {
    for (const FaultStep& s : r.steps)
      print_out(fmt::format("step {:<7} {}\n", s.step, state_text(spec, s.state)));
    print_out(fmt::format("{} {}\n", r.reproduced ? "breaks:     " : "ends as:    ",
                          state_text(spec, r.steps.back().after)));
  }
  if (r.reproduced) return 0;
  fail_data(path + ": does not break in the same way; it was recorded by another build");
}

}  // namespace

int run_replay(const Arguments& arguments) {
  std::string dataset;
  std::int64_t threads = 0;
  bool json = false, quiet = false;
  Args parser(
      "replay",
      "Re-executes every episode of a dataset and compares it bit for bit; or the last steps of "
      "an environment that broke, from its report.");
  parser.positional("DATASET", dataset, "dataset folder, or faults/fault-*.json");
  parser.option("--threads", threads, "0: all cores", 0, 1024);
  parser.flag("--json", json, "print the report as JSON");
  parser.flag("--quiet", quiet, "no progress");
  if (!parser.parse(arguments)) return 0;
  if (dataset.ends_with(".json")) return replay_report(dataset, json);
  ThreadPool pool(threads > 0 ? static_cast<int>(threads) : available_cores());
  Progress progress(quiet);
  const ReplayReport r = replay_dataset(dataset, pool, [&](std::int64_t episodes) {
    progress.update(fmt::format("replayed {} episodes", episodes));
  });
  progress.finish("");
  if (json) {
    nlohmann::ordered_json j;
    j["dataset"] = dataset;
    j["equal"] = r.equal;
    j["episodes"] = r.episodes;
    j["steps"] = r.steps;
    if (!r.equal) {
      j["first_difference"] = {{"shard", r.shard},       {"episode", r.episode},
                               {"step", r.step},         {"field", r.field},
                               {"recorded", r.recorded}, {"replayed", r.replayed}};
    }
    print_out(j.dump(2) + "\n");
  } else if (r.equal && !quiet) {
    print_out(fmt::format("{}: {} episodes, {} steps replayed, all bits equal\n", dataset,
                          r.episodes, r.steps));
  }
  if (r.equal) return 0;
  fail_data(fmt::format("{}/{}: episode {} differs first at step {}, {}: recorded {}, replayed {}",
                        dataset, r.shard, r.episode, r.step, r.field, r.recorded, r.replayed));
}

}  // namespace rollmill
