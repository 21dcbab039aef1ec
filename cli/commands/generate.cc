#include <fmt/core.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/config/config.h"
#include "core/log/log.h"
#include "core/log/progress.h"
#include "generators/dataset_job.h"
#include "generators/policies.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

std::string report_json(const std::string& out, const GenerateResult& r, double seconds) {
  nlohmann::ordered_json j;
  j["dataset"] = out;
  j["content_hash"] = r.manifest.content_hash();
  j["transitions"] = r.manifest.steps();
  j["episodes"] = r.manifest.episodes();
  j["shards"] = r.manifest.shards.size();
  j["new_transitions"] = r.new_transitions;
  j["seconds"] = seconds;
  return j.dump(2) + "\n";
}

std::string report_text(const std::string& out, const GenerateResult& r, double seconds) {
  return fmt::format(
      "{} transitions, {} episodes in {} shards; {} written in {:.2f} s ({} transitions/s)\n"
      "  dataset       {}\n  content hash  {}\n  card          {}/CARD.md\n",
      r.manifest.steps(), r.manifest.episodes(), r.manifest.shards.size(),
      human(static_cast<double>(r.new_transitions)), seconds,
      human(static_cast<double>(r.new_transitions) / std::max(seconds, 1e-9)), out,
      r.manifest.content_hash(), out);
}

}  // namespace

int run_generate(const Arguments& arguments) {
  JobArgs args;
  Args parser("generate", "Writes a dataset of trajectories.");
  args.add_to(parser);
  if (!parser.parse(arguments)) return 0;
  install_signal_handlers();
  const LaunchInfo launch = read_launch_info();
  init_logging(args.quiet ? LogLevel::kWarn : LogLevel::kInfo, "", launch.rank);
  Config config = Config::from_file(args.config, args.overrides());
  if (config.has("trainer") || config.has("ppo")) {
    fail_usage(config.name() + " describes a training run; type rollmill train");
  }
  const GenerateOptions options = read_generate_options(config);
  config.finish();
  if (args.check) {
    print_out(config.resolved_toml(Config::Origins::kShow));
    return 0;
  }
  const std::string out = args.out.empty() ? "datasets/" + options.name : args.out;
  const EnvEntry& entry = find_env(options.env.id);
  const LoadedPolicy loaded =
      load_named_policy(options.policy, entry, options.seed, options.greedy);
  const auto group = join_ranks(launch, /*cuda=*/false);
  ThreadPool pool(options.threads > 0 ? options.threads : default_threads(launch));
  Progress progress(args.quiet, launch.rank);
  const auto start = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const GenerateResult result = run_dataset_job(
      options, *loaded.policy, out, args.resume, config.resolved_toml(), *group, pool,
      [&](const GenerateProgress& p) {
        progress.update(
            fmt::format("{}  {} transitions  {} shards  {} transitions/s", entry.id,
                        human(static_cast<double>(p.transitions)), p.shards,
                        human(static_cast<double>(p.transitions) / std::max(seconds(), 1e-9))));
      },
      [] { return stop_signal() != 0; });
  progress.finish("");
  const bool done = result.manifest.state == DatasetState::kDone;
  if (launch.rank == 0) {
    if (result.already_done && !args.quiet) log_info("{} is complete: nothing to generate", out);
    if (args.json) {
      print_out(report_json(out, result, seconds()));
    } else if (!args.quiet && !result.manifest.shards.empty()) {
      print_out(report_text(out, result, seconds()));
    }
    if (!done) log_info("stopped early; continue with --resume");
  }
  return done ? 0 : stop_signal() == 2 ? 130 : 75;
}

}  // namespace rollmill
