#include "evaluation/film_target.h"

#include <filesystem>
#include <limits>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "datasets/reader.h"
#include "envs/env_options.h"
#include "evaluation/protocol.h"
#include "generators/policy_environment.h"
#include "generators/replay.h"
#include "rollout/checkpoint_folder.h"

namespace rollmill {
namespace {

bool is_environment(const std::string& name) {
  for (const EnvEntry& entry : env_registry()) {
    if (name == entry.id) return true;
  }
  return false;
}

bool is_dataset(const std::string& path) {
  return file_exists(path + "/MANIFEST.json") && !file_exists(path + "/policy.safetensors");
}

void set_environment(FilmTarget& film, const EnvOptions& env) {
  film.entry = &find_env(env.id);
  film.config.params = env.params;
  film.config.world = env.world;
  film.config.time_limit = env.time_limit;
}

void take_recorded(const FilmRequest& request, FilmTarget& film) {
  if (!request.policy.empty() || !request.set.empty() || request.seed) {
    fail_usage(request.target +
               " is a dataset: its actions, parameters and seeds are recorded; leave --policy, "
               "--set and --seed out");
  }
  const DatasetReader reader(request.target);
  const Manifest& manifest = reader.manifest();
  const std::string where = request.target + "/MANIFEST.json";
  try {
    film.entry = &find_env(manifest.spec.env_id);
  } catch (const Error& e) {
    fail_data(request.target + ": " + e.what());
  }
  set_environment(film, parse_env_params_json(*film.entry, manifest.spec.env_params, where));
  film.config.seed = manifest.spec.seed;
  for (std::size_t s = 0; s < reader.shards(); ++s) {
    const ShardInfo& info = manifest.shards[s];
    if (request.episode < info.first_episode ||
        request.episode >= info.first_episode + info.episodes) {
      continue;
    }
    film.shard = reader.load(s);
    film.policy.policy =
        recorded_policy(*film.entry, manifest.spec, film.shard, request.target + "/" + info.file);
    film.actor = "recorded";
    return;
  }
  fail_usage(request.target + " has no episode " + std::to_string(request.episode) + "; it has " +
             std::to_string(manifest.episodes()));
}

}  // namespace

std::unique_ptr<FilmTarget> find_film_target(const FilmRequest& request) {
  if (request.episode < 0 || request.episode > std::numeric_limits<std::uint32_t>::max()) {
    fail_usage("--episode must lie in 0 to 2^32 - 1");
  }
  auto film = std::make_unique<FilmTarget>();
  film->config.first_episode = static_cast<std::uint32_t>(request.episode);
  const bool environment = is_environment(request.target);
  if (!environment && is_dataset(request.target)) {
    take_recorded(request, *film);
    return film;
  }
  film->config.seed = request.seed.value_or(kEvaluationSeed);
  if (!environment && !std::filesystem::exists(request.target))
    find_env(request.target);  // says so
  if (!environment && !request.policy.empty()) {
    fail_usage(request.target +
               " brings its own policy; leave --policy out, or name the environment");
  }
  std::string name = environment ? request.policy : request.target;
  if (name.empty()) {
    const bool has_expert = find_env(request.target).spec().expert != ExpertKind::kNone;
    name = has_expert ? "expert" : "random";
  }
  film->actor = name == "random" || name == "expert" ? name : "policy " + name;
  if (name != "random" && name != "expert") name = find_policy_file(name);
  set_environment(*film, policy_environment(name, environment ? request.target : "", request.set));
  film->policy = load_named_policy(name, *film->entry, film->config.seed, request.greedy);
  return film;
}

}  // namespace rollmill
