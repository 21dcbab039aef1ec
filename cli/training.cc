#include "cli/training.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "cli/dashboard.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/team_progress.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/config/config.h"
#include "core/device/device.h"
#include "core/io/atomic_file.h"
#include "core/log/console.h"
#include "core/log/log.h"
#include "core/log/progress.h"
#include "evaluation/run_result.h"
#include "generators/policies.h"

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

LoadedPolicy trained_policy(const TrainOptions& o, const std::string& checkpoint) {
  return load_named_policy(checkpoint, find_env(o.env.id), kEvaluationSeed, o.evaluation_greedy);
}

}  // namespace

std::string stopped_where(const TrainResult& r) {
  if (r.checkpoint.empty()) return "before the first update; --resume begins again";
  return fmt::format("at {} steps; continue with --resume (checkpoint {})", r.env_steps,
                     r.checkpoint);
}

int stopped_exit_code(StopRequest by) { return by == StopRequest::kInterrupt ? 130 : 75; }

TrainJob read_train_job(Config& config, int world_size) {
  if (config.has("generate"))
    fail_usage(config.name() + " describes a dataset; type rollmill generate");
  TrainJob job;
  job.options = read_train_options(config, world_size);
  config.finish();
  job.config_text = config.resolved_toml();
  return job;
}

void choose_device(TrainJob& job, LaunchInfo& launch) {
  if (job.options.threads == 0) job.options.threads = default_threads(launch);
  const DeviceChoice device = parse_device(job.options.env.device, "env.device");
  launch.gpu = device.gpu(launch.local_rank);
  job.local_rank = launch.gpu;
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
  job.local_rank = launch.gpu;
}

TrainResult train_shown(TrainJob& job, ProcessGroup& group, const TrainingView& view) {
  const std::string& title = view.title.empty() ? job.options.env.id : view.title;
  Progress progress(view.quiet || view.team != nullptr, group.rank(),
                    view.plain ? Progress::Style::kPlain : Progress::Style::kLive);
  Dashboard dashboard(view.team != nullptr ? title : job.options.env.id, job.out_dir,
                      static_cast<double>(job.options.total_steps));
  const auto start = Clock::now();
  job.stop = poll_stop;
  job.on_update = [&](const MetricsRecord& record) {
    dashboard.observe(record, std::chrono::duration<double>(Clock::now() - start).count());
    if (progress.due()) progress.update(shown(progress, dashboard.state()));
    if (view.team != nullptr && view.team->due())
      view.team->update(view.member, progress_line(dashboard.state()));
  };
  const TrainResult result = run_train_job(job, group);
  job.on_update = nullptr;  // its dashboard is gone
  if (group.rank() != 0 || result.already_done) return result;
  if (result.new_steps > 0) progress.update(shown(progress, dashboard.state()));
  const auto steps = static_cast<double>(result.new_steps);
  const std::string last =
      fmt::format("{}: {} steps in {:.2f} s ({} steps/s)", title, human(steps), result.seconds,
                  human(steps / std::max(result.seconds, 1e-9)));
  progress.finish(last);
  if (view.team != nullptr) view.team->finish(view.member, last);
  return result;
}

EvaluationReport evaluate_run(const TrainJob& run, const std::string& checkpoint) {
  const TrainOptions& o = run.options;
  const EnvEntry& entry = find_env(o.env.id);
  ThreadPool pool(o.threads);
  const LoadedPolicy loaded = trained_policy(o, checkpoint);
  EpisodeJob job;
  job.env = &entry;
  job.params = o.env.params;
  job.world = o.env.world;
  job.time_limit = o.env.time_limit;
  job.seed = kEvaluationSeed;
  job.policy = loaded.policy.get();
  job.count = o.evaluation_episodes;
  const EvaluationReport report = evaluate(job, o.evaluation_greedy, pool);
  if (const std::string faults = not_finite_text(report); !faults.empty())
    log_warn("{}evaluation: {}", run.label, faults);
  write_file_atomic(run.out_dir + "/evaluation.json", format_json(report));
  return report;
}

bool has_evaluation(const TrainJob& job, const std::string& checkpoint) {
  const TrainOptions& o = job.options;
  const auto found = read_evaluation(job.out_dir);
  return found && found->episodes == o.evaluation_episodes &&
         found->greedy == o.evaluation_greedy && found->seed == kEvaluationSeed &&
         found->policy_hash == trained_policy(o, checkpoint).policy->hash();
}

}  // namespace rollmill
