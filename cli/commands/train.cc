#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/dashboard.h"
#include "cli/output.h"
#include "cli/session.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/io/atomic_file.h"
#include "core/log/console.h"
#include "core/log/log.h"
#include "core/log/progress.h"
#include "evaluation/protocol.h"
#include "generators/policies.h"
#include "trainer/train_job.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

// A dashboard where the terminal has room for it, else a line.
std::string shown(const Progress& progress, const DashboardState& state) {
  if (!progress.has_room(80, 24)) return progress_line(state);
  const ConsoleSize size = console_size();
  std::string block;
  for (const std::string& line :
       render_dashboard(state, size.columns - 1, size.rows - 1, console_is_utf8()))
    block += (block.empty() ? "" : "\n") + line;
  return block;
}

StopRequest poll_stop() {
  const int signal = stop_signal();
  return signal == 0   ? StopRequest::kNone
         : signal == 2 ? StopRequest::kInterrupt
                       : StopRequest::kTerminate;
}

// Scores the finished policy as the recipe says and writes RUN/evaluation.json.
EvaluationReport evaluate_run(const TrainOptions& o, const std::string& checkpoint,
                              const std::string& out) {
  const EnvEntry& entry = find_env(o.env.id);
  ThreadPool pool(o.threads);
  const LoadedPolicy loaded =
      load_named_policy(checkpoint, entry, kEvaluationSeed, o.evaluation_greedy);
  EpisodeJob job;
  job.env = &entry;
  job.params = o.env.params;
  job.world = o.env.world;
  job.time_limit = o.env.time_limit;
  job.seed = kEvaluationSeed;
  job.policy = loaded.policy.get();
  job.count = o.evaluation_episodes;
  const EvaluationReport report = evaluate(job, o.evaluation_greedy, pool);
  write_file_atomic(out + "/evaluation.json", format_json(report));
  return report;
}

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
  j["checkpoint"] = r.checkpoint;
  j["policy"] = r.checkpoint + "/policy.safetensors";
  if (report != nullptr) j["evaluation"] = nlohmann::ordered_json::parse(format_json(*report));
  return j.dump(2) + "\n";
}

int finish(const JobArgs& args, const TrainOptions& o, const std::string& out,
           const TrainResult& result) {
  std::optional<EvaluationReport> report;
  if (!result.finished) {
    log_info("stopped at {} steps; continue with --resume (checkpoint {})", result.env_steps,
             result.checkpoint);
  } else {
    if (result.already_done) log_info("{} holds this run, finished: nothing to train", out);
    restore_signal_handlers();  // the run is on disk: Ctrl-C may end the evaluation at once
    if (o.evaluation_episodes > 0) report = evaluate_run(o, result.checkpoint, out);
  }
  if (args.json) {
    print_out(report_json(out, result, report ? &*report : nullptr));
  } else if (!args.quiet && result.finished) {
    print_out((report ? format_text(*report) : "") +
              written_where(out, result, report.has_value()));
  }
  return result.finished ? 0 : result.stopped_by == StopRequest::kInterrupt ? 130 : 75;
}

// This process's GPU, for NCCL and everything else: what the job names, else one for each local rank.
void choose_gpu(const DeviceChoice& device, LaunchInfo& launch) {
  launch.gpu = device.gpu(launch.local_rank);
  if (device.kind == DeviceChoice::Kind::kCpu) return;
  const int count = cuda_device_count();
  // Launchers such as Slurm show each task its own GPU as number 0.
  if (device.index < 0 && count == 1) launch.gpu = 0;
  if (device.index >= 0 && launch.local_world_size > 1 && count > 1) {
    fail_usage("env.device = \"" + device.text() + "\" puts all " +
               std::to_string(launch.local_world_size) +
               " ranks of this machine on one GPU; use \"cuda\"");
  }
  require_cuda(launch.gpu);
}

}  // namespace

int run_train(const Arguments& arguments) {
  JobArgs args;
  Args parser("train", "Trains a policy and evaluates it.");
  args.add_to(parser);
  bool plain = false;
  parser.flag("--plain", plain, "progress as plain lines, on a terminal too");
  if (!parser.parse(arguments)) return 0;
  install_signal_handlers();
  LaunchInfo launch = read_launch_info();
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  Config config = Config::from_file(args.config, args.overrides());
  TrainJob job;
  if (config.has("generate"))
    fail_usage(config.name() + " describes a dataset; type rollmill generate");
  job.options = read_train_options(config, launch.world_size);
  config.finish();
  job.config_text = config.resolved_toml();
  if (args.check) {
    print_out(config.resolved_toml(Config::Origins::kShow));
    return 0;
  }
  if (job.options.threads == 0) job.options.threads = default_threads(launch);
  job.out_dir = args.out.empty() ? "runs/" + job.options.name : args.out;
  job.resume = args.resume;
  const DeviceChoice device = parse_device(job.options.env.device, "env.device");
  choose_gpu(device, launch);
  job.local_rank = launch.gpu;
  const auto group = make_process_group(launch, device.kind == DeviceChoice::Kind::kCuda);
  Progress progress(args.quiet, launch.rank,
                    plain ? Progress::Style::kPlain : Progress::Style::kLive);
  Dashboard dashboard(job.options.env.id, job.out_dir,
                      static_cast<double>(job.options.total_steps));
  const auto start = Clock::now();
  job.stop = poll_stop;
  job.on_update = [&](const MetricsRecord& record) {
    dashboard.observe(record, std::chrono::duration<double>(Clock::now() - start).count());
    if (progress.due()) progress.update(shown(progress, dashboard.state()));
  };
  const TrainResult result = run_train_job(job, *group);
  if (launch.rank != 0)
    return result.finished ? 0 : result.stopped_by == StopRequest::kInterrupt ? 130 : 75;
  if (!result.already_done) {
    if (result.new_steps > 0) progress.update(shown(progress, dashboard.state()));
    progress.finish(
        fmt::format("{}: {} steps in {:.2f} s ({} steps/s)", job.options.env.id,
                    human(static_cast<double>(result.new_steps)), result.seconds,
                    human(static_cast<double>(result.new_steps) / std::max(result.seconds, 1e-9))));
  }
  return finish(args, job.options, job.out_dir, result);
}

}  // namespace rollmill
