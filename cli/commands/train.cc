#include <fmt/core.h>

#include <optional>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/seed_runs.h"
#include "cli/session.h"
#include "cli/training.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/log/log.h"
#include "trainer/imitation/sources.h"
#include "trainer/networks_text.h"

namespace rollmill {
namespace {

std::string written_where(const std::string& out, const TrainResult& r, bool evaluated) {
  return fmt::format(
      "run         {}\n  policy      {}/policy.safetensors\n  metrics     {}/metrics.jsonl\n{}",
      out, r.checkpoint, out, evaluated ? "  evaluation  " + out + "/evaluation.json\n" : "");
}

std::string report_json(const std::string& out, const TrainResult& r,
                        const EvaluationReport* report) {
  nlohmann::ordered_json j;
  j["run"] = out;
  j["finished"] = r.finished;
  j["steps"] = r.env_steps;
  j["updates"] = r.updates;
  j["seconds"] = r.seconds;
  j["steps_per_second"] = r.seconds > 0 ? static_cast<double>(r.new_steps) / r.seconds : 0.0;
  j["checkpoint"] = r.checkpoint;
  j["policy"] = r.checkpoint + "/policy.safetensors";
  if (report != nullptr) j["evaluation"] = nlohmann::ordered_json::parse(format_json(*report));
  return j.dump(2) + "\n";
}

int finish(const JobArgs& args, const TrainJob& job, const TrainResult& result) {
  const std::string& out = job.out_dir;
  std::optional<EvaluationReport> report;
  if (!result.finished) {
    log_info("stopped {}", stopped_where(result));
  } else {
    if (result.already_done) log_info("{} holds this run, finished: nothing to train", out);
    restore_signal_handlers();  // the run is on disk: Ctrl-C may end the evaluation at once
    if (job.options.evaluation_episodes > 0) report = evaluate_run(job, result.checkpoint);
  }
  if (args.json) {
    print_out(report_json(out, result, report ? &*report : nullptr));
  } else if (!args.quiet && result.finished) {
    print_out((report ? format_text(*report) : "") +
              written_where(out, result, report.has_value()));
  }
  return result.finished ? 0 : stopped_exit_code(result.stopped_by);
}

}  // namespace

int run_train(const Arguments& arguments) {
  JobArgs args;
  Args parser("train", "Trains a policy and evaluates it.");
  args.add_to(parser);
  bool plain = false;
  std::optional<std::string> seeds;
  parser.option("--seeds", seeds,
                "train with several seeds, each in OUT/seed_K: 5 is 1 to 5, 3,7,11 is these");
  parser.flag("--plain", plain, "progress as plain lines, on a terminal too");
  if (!parser.parse(arguments)) return 0;
  if (seeds && args.seed) fail_usage("--seeds and --seed: choose one");
  install_signal_handlers();
  if (seeds) {
    const std::vector<std::int64_t> list = parse_seeds(*seeds);
    if (!args.check) return train_seeds(args, list, plain);
  }
  LaunchInfo launch = read_launch_info();
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  Config config = Config::from_file(args.config, args.overrides());
  TrainJob job = read_train_job(config, launch.world_size);
  if (args.check) {
    print_out(config.resolved_toml(Config::Origins::kShow) + "\n# " + networks_text(job.options) +
              "\n");
    for (const std::string& line : unready_sources(job.options)) log_warn("{}", line);
    return 0;
  }
  job.out_dir = args.out.empty() ? "runs/" + job.options.name : args.out;
  job.resume = args.resume;
  choose_device(job, launch);
  const DeviceChoice device = parse_device(job.options.env.device, "env.device");
  const auto group = join_ranks(launch, device.kind == DeviceChoice::Kind::kCuda);
  const TrainResult result = train_shown(job, *group, {args.quiet, plain, ""});
  if (launch.rank != 0) return result.finished ? 0 : stopped_exit_code(result.stopped_by);
  return finish(args, job, result);
}

}  // namespace rollmill
