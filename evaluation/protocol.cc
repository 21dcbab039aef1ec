#include "evaluation/protocol.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/base/thread_pool.h"
#include "envs/env.h"
#include "envs/env_options.h"

namespace rollmill {

EvaluationReport evaluate(const EpisodeJob& job, std::optional<bool> greedy, ThreadPool& pool) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<EpisodeSummary> episodes(static_cast<std::size_t>(job.count));
  run_episodes(job, /*record_rows=*/false, pool, [&](int, const EpisodeRows& rows) {
    episodes[static_cast<std::size_t>(rows.episode - job.first)] = rows.summary;
  });
  if (job.stopped()) return {};
  const EnvSpec spec = job.env->spec();
  EvaluationReport r;
  r.env_id = spec.id;
  EnvOptions env;
  env.params = job.params;
  env.world = job.world;
  env.time_limit = job.time_limit;
  r.env_params = env_params_json(*job.env, env);
  r.policy_id = job.policy->id();
  r.policy_hash = job.policy->hash();
  r.seed = job.seed;
  r.greedy = greedy;
  r.outcome_names = spec.outcomes;
  r.outcomes.assign(spec.outcomes.size(), 0);
  std::vector<double> lengths;
  for (const EpisodeSummary& e : episodes) {
    if (e.blind_step >= 0 && r.blind++ == 0) {
      r.first_blind = fmt::format("observation '{}' of episode {} at step {}",
                                  spec.observation[static_cast<std::size_t>(e.blind_element)].name,
                                  job.first + (&e - episodes.data()), e.blind_step);
    }
    r.returns.push_back(static_cast<double>(e.episode_return));
    r.lengths.push_back(e.length);
    lengths.push_back(e.length);
    if (e.cut) {
      ++r.cut;
    } else if (e.outcome < r.outcomes.size()) {
      ++r.outcomes[e.outcome];
    } else {
      ++r.broken;
    }
  }
  if (r.cut > 0) {
    r.outcome_names.emplace_back("cut");
    r.outcomes.push_back(r.cut);
  }
  if (r.broken > 0) {
    r.outcome_names.push_back(outcome_name(spec, kOutcomeNotFinite));
    r.outcomes.push_back(r.broken);
  }
  r.mean_return = mean(r.returns);
  r.median_return = median(r.returns);
  r.iqm_return = interquartile_mean(r.returns);
  r.std_return = standard_deviation(r.returns);
  if (r.returns.size() >= kFewestForInterval)
    r.mean_interval = bootstrap_mean_interval(r.returns, job.seed);
  r.mean_length = mean(lengths);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}

std::string not_finite_text(const EvaluationReport& r) {
  std::string text;
  if (r.broken > 0)
    text = fmt::format("{} of {} episodes ended because a number was NaN or infinite (not_finite)",
                       r.broken, r.returns.size());
  if (r.blind > 0)
    text += fmt::format(
        "{}{} of {} episodes showed the policy a number that is NaN or infinite, {} first, though "
        "no "
        "state is: observe must not write such a number",
        text.empty() ? "" : "; ", r.blind, r.returns.size(), r.first_blind);
  return text.empty() ? text : text + "; `rollmill check-env " + r.env_id + "` looks for where";
}

std::string format_text(const EvaluationReport& r) {
  std::string ends;
  for (std::size_t k = 0; k < r.outcomes.size(); ++k) {
    if (r.outcomes[k] > 0)
      ends += fmt::format("{}{} {}", ends.empty() ? "" : ", ", r.outcome_names[k], r.outcomes[k]);
  }
  const auto [low, high] = std::minmax_element(r.lengths.begin(), r.lengths.end());
  const std::string interval =
      r.mean_interval ? fmt::format("95 % interval [{:.2f}, {:.2f}]", r.mean_interval->low,
                                    r.mean_interval->high)
                      : fmt::format("no interval of fewer than {} episodes", kFewestForInterval);
  const std::string how = !r.greedy ? r.policy_id : *r.greedy ? "greedy" : "sampled";
  return fmt::format(
      "{} episodes of {} ({}, seed {:#x})\n"
      "  mean return  {:.2f}  {}\n"
      "  median {:.2f}  IQM {:.2f}  std {:.2f}\n"
      "  length       mean {:.1f}  min {}  max {}\n"
      "  ends         {}\n",
      r.returns.size(), r.env_id, how, r.seed, r.mean_return, interval, r.median_return,
      r.iqm_return, r.std_return, r.mean_length, *low, *high, ends);
}

std::string format_json(const EvaluationReport& r) {
  nlohmann::ordered_json j;
  j["env"] = r.env_id;
  j["env_params"] = r.env_params;
  j["policy"] = r.policy_id;
  j["policy_hash"] = r.policy_hash;
  j["seed"] = r.seed;
  if (r.greedy) j["greedy"] = *r.greedy;
  j["episodes"] = r.returns.size();
  j["mean_return"] = r.mean_return;
  if (r.mean_interval) j["mean_return_95"] = {r.mean_interval->low, r.mean_interval->high};
  j["median_return"] = r.median_return;
  j["iqm_return"] = r.iqm_return;
  j["std_return"] = r.std_return;
  j["mean_length"] = r.mean_length;
  const auto [low, high] = std::minmax_element(r.lengths.begin(), r.lengths.end());
  j["min_length"] = *low;
  j["max_length"] = *high;
  nlohmann::ordered_json ends = nlohmann::ordered_json::object();
  for (std::size_t k = 0; k < r.outcomes.size(); ++k) ends[r.outcome_names[k]] = r.outcomes[k];
  j["ends"] = ends;
  if (r.blind > 0) j["blind"] = {{"episodes", r.blind}, {"first", r.first_blind}};
  j["seconds"] = r.seconds;
  return j.dump(2) + "\n";
}

}  // namespace rollmill
