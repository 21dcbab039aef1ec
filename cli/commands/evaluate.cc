#include <fmt/core.h>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/config/config.h"
#include "core/io/atomic_file.h"
#include "core/log/log.h"
#include "envs/env_options.h"
#include "evaluation/protocol.h"
#include "generators/policies.h"
#include "rollout/checkpoint_folder.h"
#include "trainer/train_options.h"

namespace rollmill {
namespace {

// The environment as the run was trained in; a bare policy file, "random" and "expert" need --env.
EnvOptions find_environment(const std::string& target, const std::string& env_id,
                            const std::vector<std::string>& set) {
  const std::string config_path = target + "/config.toml";
  if (file_exists(config_path)) {
    Config config = Config::from_file(config_path, set);
    EnvOptions env = read_train_options(config, 1).env;
    config.finish();
    if (!env_id.empty() && env_id != env.id)
      fail_usage(target + " was trained on " + env.id + ", not on " + env_id);
    return env;
  }
  std::string id = env_id;
  if (target != "random" && target != "expert") {
    const std::string path = find_policy_file(target);
    const std::string trained_on = load_policy(path).env_id;
    if (id.empty()) id = trained_on;
  }
  if (id.empty()) fail_usage("policy '" + target + "' needs --env ID");
  Config config = Config::from_string("[env]\nid = \"" + id + "\"\n", "--env", set);
  EnvOptions env = read_env_options(config, 1);
  config.finish();
  return env;
}

}  // namespace

int run_evaluate(const Arguments& arguments) {
  std::string target, env_id;
  std::int64_t episodes = 1000, threads = 0;
  std::optional<std::int64_t> seed;
  std::optional<double> min_return;
  std::vector<std::string> set;
  bool sampled = false, greedy = false, json = false, quiet = false;
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
  parser.option("--out", out, "also write the JSON report to this file");
  parser.option("--min-return", min_return, "exit 1 unless the mean return is at least this");
  parser.flag("--sampled", sampled, "sample actions instead of taking the most probable one");
  parser.flag("--greedy", greedy, "take the most probable action (the default)");
  parser.flag("--json", json, "print the report as JSON");
  parser.flag("--quiet", quiet, "no report; with --min-return only the exit code");
  if (!parser.parse(arguments)) return 0;
  if (sampled && greedy) fail_usage("--sampled and --greedy exclude each other");
  if (seed && *seed < 0) fail_usage("--seed must not be negative");
  const EnvOptions env = find_environment(target, env_id, set);
  const EnvEntry& entry = find_env(env.id);
  ThreadPool pool(threads > 0 ? static_cast<int>(threads) : available_cores());
  EpisodeJob job;
  job.env = &entry;
  job.params = env.params;
  job.time_limit = env.time_limit;
  job.seed = seed ? static_cast<std::uint64_t>(*seed) : kEvaluationSeed;
  job.count = episodes;
  job.max_steps = 1'000'000;
  const LoadedPolicy loaded = load_named_policy(target, entry, env.params, job.seed, !sampled);
  job.policy = loaded.policy.get();
  const EvaluationReport report = evaluate(job, !sampled, pool);
  if (!out.empty()) write_file_atomic(out, format_json(report));
  if (!quiet) print_out(json ? format_json(report) : format_text(report));
  if (min_return && !(report.mean_return >= *min_return)) {
    log_error("mean return {:.2f} is below --min-return {}", report.mean_return, *min_return);
    return 1;
  }
  return 0;
}

}  // namespace rollmill
