#include "evaluation/branch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "evaluation/film_target.h"
#include "rollout/fault_report.h"

namespace rollmill {
namespace {

nlohmann::ordered_json side_json(const EnvSpec& spec, const BranchSide& s) {
  return {{"action", s.action},
          {"state_after", state_text(spec, s.state)},
          {"last_state", state_text(spec, s.end)},
          {"return", s.episode_return},
          {"length", s.length},
          {"outcome",
           s.outcome.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(s.outcome)}};
}

std::string side_text(const EnvSpec& spec, const char* name, const BranchSide& s) {
  return fmt::format(
      "{:<16}action {}\n  then          {}\n  return        {:g} after {} steps, {}\n", name,
      fmt::join(s.action, ", "), s.state.empty() ? "the episode ended" : state_text(spec, s.state),
      s.episode_return, s.length, s.outcome.empty() ? "still running" : s.outcome);
}

std::vector<double> numbers(const std::string& text) {
  std::vector<double> values;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, comma - at);
    try {
      std::size_t used = 0;
      values.push_back(std::stod(part, &used));
      if (used != part.size()) throw std::invalid_argument(part);
    } catch (const std::exception&) {
      fail_usage(
          "--action takes numbers with commas between them, as in --action 1 or --action 0.5,-1");
    }
    at = comma + 1;
  }
  return values;
}

}  // namespace

int run_branch(const Arguments& arguments) {
  FilmRequest request;
  BranchOptions options;
  std::string action;
  std::optional<std::int64_t> seed;
  bool sampled = false, json = false;
  Args parser(
      "branch",
      "Plays an episode to a step, then on from there twice: as it goes, and with another action.");
  parser.positional("TARGET", request.target, "environment, run, checkpoint or policy.safetensors");
  parser.option("--step", options.step, "steps before the branching point", 0, 1 << 30);
  parser.option("--action", action, "the other action: a number for each action column");
  parser.option("--policy", request.policy,
                "of an environment: \"random\", \"expert\" (default where there is one) or a path");
  parser.option("--episode", request.episode, "number of the episode", 0, 4294967295);
  parser.option("--seed", seed, "instead of the fixed evaluation seed");
  parser.list("--set", request.set,
              "override an environment key, as in --set env.params.gravity=20");
  parser.option("--steps", options.max_steps, "longest continuation", 1, 1 << 30);
  parser.flag("--sampled", sampled, "sample a trained policy's actions");
  parser.flag("--json", json, "print the report as JSON");
  if (!parser.parse(arguments)) return 0;
  if (action.empty()) fail_usage("branch needs --action, the action to take instead");
  if (seed && *seed < 0) fail_usage("--seed must not be negative");
  if (seed) request.seed = static_cast<std::uint64_t>(*seed);
  request.greedy = !sampled;
  options.action = numbers(action);
  const auto target = find_film_target(request);
  if (target->shard.episodes() > 0)
    fail_usage(
        "a dataset's actions are fixed; branch an environment or a policy with the same --seed and "
        "--episode");
  const EnvSpec spec = target->entry->spec();
  const BranchReport r =
      branch_episode(*target->entry, target->config, *target->policy.policy, options);
  if (json) {
    const nlohmann::ordered_json j = {
        {"env", spec.id},
        {"episode", request.episode},
        {"step", options.step},
        {"state", state_text(spec, r.state)},
        {"factual", side_json(spec, r.factual)},
        {"counterfactual", side_json(spec, r.counterfactual)},
        {"first_difference", r.first_difference < 0 ? nlohmann::ordered_json()
                                                    : nlohmann::ordered_json(r.first_difference)}};
    print_out(j.dump(2) + "\n");
    return 0;
  }
  print_out(
      fmt::format("{}, episode {}, step {}: {}\n", spec.id, request.episode, options.step,
                  state_text(spec, r.state)) +
      side_text(spec, "as it went", r.factual) + side_text(spec, "instead", r.counterfactual) +
      (r.first_difference < 0 ? std::string("the action makes no difference\n")
                              : fmt::format("they differ after step {}\n", r.first_difference)));
  return 0;
}

}  // namespace rollmill
