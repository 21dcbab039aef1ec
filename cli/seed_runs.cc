#include "cli/seed_runs.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <optional>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/session.h"
#include "evaluation/table.h"
#include "cli/training.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/io/atomic_file.h"
#include "core/log/log.h"
#include "evaluation/run_result.h"
#include "evaluation/statistics.h"

namespace rollmill {
namespace {

constexpr std::int64_t kMostSeeds = 10'000;

// A finished seed, or one that failed.
struct SeedRow {
  std::int64_t seed = 0;
  std::string run;
  std::string failure;  // "" where it finished
  RunLength length;
  std::optional<EvaluationSummary> evaluation;  // none with evaluation.episodes = 0
};

struct SeedTable {
  std::string out, environment;
  std::vector<SeedRow> rows;

  std::vector<double> returns() const {
    std::vector<double> all;
    for (const SeedRow& row : rows) {
      if (row.evaluation) all.push_back(row.evaluation->mean_return);
    }
    return all;
  }
};

std::string interval_text(const Interval& i) {
  return fmt::format("[{:.2f}, {:.2f}]", i.low, i.high);
}

std::string format_text(const SeedTable& t) {
  std::vector<TableRow> rows = {{"seed", "mean return", "95 % interval", "steps", "seconds"}};
  RunLength all;
  for (const SeedRow& row : t.rows) {
    const std::string mean = !row.failure.empty() ? "failed"
                             : row.evaluation ? fmt::format("{:.2f}", row.evaluation->mean_return)
                                              : "-";
    rows.push_back({std::to_string(row.seed), mean,
                    row.evaluation ? interval_text(row.evaluation->interval) : "-",
                    human(static_cast<double>(row.length.steps)),
                    fmt::format("{:.2f}", row.length.seconds)});
    all.steps += row.length.steps;
    all.seconds += row.length.seconds;
  }
  const std::vector<double> returns = t.returns();
  rows.push_back({"all", returns.empty() ? "-" : fmt::format("{:.2f}", mean(returns)),
                  returns.size() < 2 ? "-" : interval_text(t_mean_interval(returns)),
                  human(static_cast<double>(all.steps)), fmt::format("{:.2f}", all.seconds)});
  return fmt::format("{} seeds of {}\n{}runs        {}/seed_*\n", t.rows.size(), t.environment,
                     format_table(rows), t.out);
}

std::string format_json(const SeedTable& t, bool finished) {
  nlohmann::ordered_json j;
  j["out"] = t.out;
  j["env"] = t.environment;
  j["finished"] = finished;
  j["seeds"] = nlohmann::ordered_json::array();
  for (const SeedRow& row : t.rows) {
    nlohmann::ordered_json r;
    r["seed"] = row.seed;
    r["run"] = row.run;
    if (!row.failure.empty()) r["failure"] = row.failure;
    if (row.evaluation) {
      r["mean_return"] = row.evaluation->mean_return;
      r["mean_return_95"] = {row.evaluation->interval.low, row.evaluation->interval.high};
    }
    r["steps"] = row.length.steps;
    r["seconds"] = row.length.seconds;
    j["seeds"].push_back(r);
  }
  const std::vector<double> returns = t.returns();
  if (!returns.empty()) j["mean_return"] = mean(returns);
  if (returns.size() > 1) {
    const Interval i = t_mean_interval(returns);
    j["mean_return_95"] = {i.low, i.high};
  }
  return j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// Trains and evaluates one seed. Returns 0 and fills the row, or the exit code of a stop.
int train_seed(TrainJob job, ProcessGroup& group, TrainingView view, SeedRow& row) {
  view.title = fmt::format("{} seed {}", job.options.env.id, row.seed);
  const TrainResult result = train_shown(job, group, view);
  if (!result.finished) {
    log_info("stopped in seed {} at {} steps; continue with --resume (checkpoint {})", row.seed,
             result.env_steps, result.checkpoint);
    return stopped_exit_code(result.stopped_by);
  }
  if (job.options.evaluation_episodes > 0) {
    if (!result.already_done || !has_evaluation(job, result.checkpoint))
      evaluate_run(job, result.checkpoint);
    row.evaluation = read_evaluation(job.out_dir);
  }
  row.length = read_run_length(job.out_dir);
  return 0;
}

// The same, but a numerical failure is a result: what became of the seed.
int train_or_fail(const TrainJob& job, ProcessGroup& group, const TrainingView& view,
                  SeedRow& row) {
  try {
    return train_seed(job, group, view, row);
  } catch (const Error& e) {
    if (e.code() != ExitCode::kNumerical) throw;
    log_error("seed {}: {}", row.seed, e.what());
    row.failure = e.what();
    row.length = read_run_length(job.out_dir);
    return 0;
  }
}

TrainJob read_seed(const JobArgs& args, std::int64_t seed) {
  std::vector<std::string> overrides = args.set;
  overrides.push_back("run.seed=" + std::to_string(seed));
  Config config = Config::from_file(args.config, overrides);
  TrainJob job = read_train_job(config, 1);
  job.resume = args.resume;
  return job;
}

// The folder of all seeds is no run itself: what is in it by then would be taken for a part of one.
void check_folder(const std::string& out) {
  if (file_exists(out + "/config.toml"))
    fail_io(out + " is a training run itself; choose another --out for the seeds' runs");
}

}  // namespace

std::vector<std::int64_t> parse_seeds(const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    fail_usage("--seeds " + text + ": " + why + "; 5 means seeds 1 to 5, 3,7,11 means these");
  };
  std::vector<std::int64_t> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    std::int64_t number = -1;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + end, number);
    if (error != std::errc() || rest != text.data() + end || number < 0)
      refuse("not whole numbers from 0 on with commas between");
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end())
      refuse("seed " + std::to_string(number) + " twice");
    numbers.push_back(number);
    at = end + 1;
  }
  if (text.find(',') != std::string::npos) return numbers;
  const std::int64_t count = numbers.front();
  if (count < 1 || count > kMostSeeds)
    refuse("1 to " + std::to_string(kMostSeeds) + " seeds are possible");
  numbers.clear();
  for (std::int64_t seed = 1; seed <= count; ++seed) numbers.push_back(seed);
  return numbers;
}

int train_seeds(const JobArgs& args, const std::vector<std::int64_t>& seeds, bool plain) {
  LaunchInfo launch = read_launch_info();
  refuse_launcher(launch,
                  "--seeds trains in one process; under a launcher start each seed with --seed");
  for (const std::string& set : args.set) {
    if (set.starts_with("run.seed=")) fail_usage("--seeds and --set " + set + ": choose one");
  }
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", 0);
  const TrainJob first = read_seed(args, seeds.front());
  SeedTable table;
  table.out = args.out.empty() ? "runs/" + first.options.name : args.out;
  table.environment = first.options.env.id;
  check_folder(table.out);
  const auto group = make_process_group(launch, false);
  int stopped = 0, failed = 0;
  for (const std::int64_t seed : seeds) {
    // Between two seeds nothing is lost: what is done stays done.
    if (stop_signal() != 0) {
      log_info("stopped before seed {}; continue with --resume", seed);
      stopped = stop_signal() == SIGINT ? 130 : 75;
      break;
    }
    SeedRow row;
    row.seed = seed;
    row.run = fmt::format("{}/seed_{}", table.out, seed);
    TrainJob job = read_seed(args, seed);
    job.out_dir = row.run;
    choose_device(job, launch);
    stopped = train_or_fail(job, *group, {args.quiet, plain, ""}, row);
    if (stopped != 0) break;
    if (!row.failure.empty()) failed = static_cast<int>(ExitCode::kNumerical);
    table.rows.push_back(row);
  }
  if (args.json) {
    print_out(format_json(table, stopped == 0));
  } else if (!args.quiet && stopped == 0) {
    print_out(format_text(table));
  }
  return stopped != 0 ? stopped : failed;
}

}  // namespace rollmill
