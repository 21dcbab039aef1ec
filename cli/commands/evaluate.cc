#include <fmt/core.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "core/log/log.h"
#include "envs/env_options.h"
#include "evaluation/protocol.h"
#include "generators/broken_episodes.h"
#include "generators/policies.h"
#include "generators/policy_environment.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/fault_report.h"

namespace rollmill {
namespace {

// --resume: a report of the same question in the folder is the answer. Anything else there is written anew.
bool already_answered(const std::string& path, const EvaluationReport& asked, std::int64_t episodes,
                      std::string& text, double& mean_return) {
  if (!file_exists(path)) return false;
  text = read_file(path, 1 << 24);
  try {
    const auto j = parse_json_strict(text, path, 8);
    mean_return = j.at("mean_return").get<double>();
    if (j.contains("blind") || j.at("ends").contains("not_finite")) return false;
    return j.at("policy_hash") == asked.policy_hash && j.at("env") == asked.env_id &&
           j.at("env_params") == asked.env_params && j.at("seed") == asked.seed &&
           (j.contains("greedy") ? std::optional(j["greedy"].get<bool>()) : std::nullopt) ==
               asked.greedy &&
           j.at("episodes") == episodes;
  } catch (const nlohmann::json::exception&) {
    return false;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

int run_evaluate(const Arguments& arguments) {
  std::string target, env_id;
  std::int64_t episodes = 1000, threads = 0;
  std::optional<std::int64_t> seed;
  std::optional<double> min_return;
  std::vector<std::string> set;
  bool sampled = false, greedy = false, json = false, quiet = false, resume = false;
  std::string out;
  Args parser("evaluate", "Scores a policy over whole episodes with fixed seeds.");
  parser.positional("POLICY", target,
                    "run, checkpoint, policy.safetensors, \"random\" or \"expert\"");
  parser.option("--episodes", episodes, "number of episodes", 1, 1 << 26);
  parser.option("--threads", threads, "0: all cores", 0, 1024);
  parser.option("--env", env_id, "environment, where the policy does not say");
  parser.list("--set", set,
              "override an environment key of the run's config, as in --set env.params.gravity=20");
  parser.option("--seed", seed, "instead of the fixed evaluation seed");
  parser.option("--out", out, "folder for evaluation.json");
  parser.flag("--resume", resume,
              "with --out: answer from the folder if it holds this very evaluation");
  parser.option("--min-return", min_return, "exit 1 unless the mean return is at least this");
  parser.flag("--sampled", sampled, "sample actions instead of taking the most probable one");
  parser.flag("--greedy", greedy, "take the most probable action (the default)");
  parser.flag("--json", json, "print the report as JSON");
  parser.flag("--quiet", quiet, "no report; with --min-return only the exit code");
  if (!parser.parse(arguments)) return 0;
  if (sampled && greedy) fail_usage("--sampled and --greedy exclude each other");
  if (min_return && !std::isfinite(*min_return)) fail_usage("--min-return must be a number");
  if (resume && out.empty()) fail_usage("--resume looks into the folder of --out; give one");
  if (seed && *seed < 0) fail_usage("--seed must not be negative");
  install_signal_handlers();
  // Once: a run that is training may have a newer checkpoint at the next look.
  if (target != "random" && target != "expert") target = find_policy_file(target);
  const EnvOptions env = policy_environment(target, env_id, set);
  const EnvEntry& entry = find_env(env.id);
  ThreadPool pool(threads > 0 ? static_cast<int>(threads) : available_cores());
  EpisodeJob job;
  job.env = &entry;
  job.params = env.params;
  job.world = env.world;
  job.reset_pool = env.reset_pool;
  job.trace_steps = env.trace_steps;
  if (env.trace_steps > 0 && out.empty())
    fail_usage("env.trace_steps is for reports of environments that break: give them an --out");
  job.time_limit = env.time_limit;
  job.seed = seed ? static_cast<std::uint64_t>(*seed) : kEvaluationSeed;
  job.count = episodes;
  const LoadedPolicy loaded = load_named_policy(target, entry, job.seed, !sampled);
  job.policy = loaded.policy.get();
  EvaluationReport report;
  report.policy_hash = job.policy->hash();
  report.env_id = env.id;
  report.env_params = env_params_json(entry, env);
  report.seed = job.seed;
  if (loaded.file.weights) report.greedy = !sampled;  // "random" and "expert" have no such choice
  std::string text;
  if (resume && !out.empty() &&
      already_answered(out + "/evaluation.json", report, episodes, text, report.mean_return)) {
    if (json) print_out(text);
    if (!json && !quiet) {
      print_out(fmt::format("{}/evaluation.json holds this evaluation: mean return {:.2f}\n", out,
                            report.mean_return));
    }
  } else {
    BrokenEpisodes broken;
    broken.watch(job);
    job.stop = [] { return stop_signal() != 0; };
    report = evaluate(job, report.greedy, pool);
    if (job.stopped()) {
      log_info("stopped before all episodes had ended: nothing to report");
      return stop_signal() == SIGINT ? 130 : 75;
    }
    if (!out.empty()) {
      if (const auto faults = broken.before(episodes); !faults.described.empty()) {
        log_warn("episodes ended because a number was NaN or infinite; {}",
                 FaultReports(out + "/faults").write(entry.spec(), job.seed, faults));
      }
      make_dirs(out);
      write_file_atomic(out + "/evaluation.json", format_json(report));
    }
    if (json || !quiet) print_out(json ? format_json(report) : format_text(report));
  }
  if (const std::string faults = not_finite_text(report); !faults.empty()) fail_numerical(faults);
  if (!std::isfinite(report.mean_return)) {
    fail_numerical(
        "the mean return is not a number: the policy or the environment produced NaN or infinity");
  }
  if (min_return && !(report.mean_return >= *min_return)) {
    log_error("mean return {:.2f} is below --min-return {}", report.mean_return, *min_return);
    return 1;
  }
  return 0;
}

}  // namespace rollmill
