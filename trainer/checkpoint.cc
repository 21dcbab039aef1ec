#include "trainer/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>
#include <nlohmann/json.hpp>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/h5.h"
#include "core/io/hash.h"
#include "envs/env_options.h"
#include "envs/registry.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/mlp/policy_file.h"
#include "trainer/state_arrays.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
constexpr int kFormatVersion = kCheckpointFormatVersion;

std::string state_file(int rank) { return "state-rank" + std::to_string(rank) + ".h5"; }

void write_state(const std::string& path, Trainer& trainer) {
  const TrainProgress& progress = trainer.progress();
  EnvBatch& batch = trainer.batch();
  AtomicPath file(path);
  H5File h5 = H5File::create(file.tmp());
  H5Group& root = h5.root();
  root.set_int64("format_version", kFormatVersion);
  root.set_string("environment", trainer.spec().id);
  root.set_string("algorithm", trainer.options().algorithm);
  root.set_int64("num_envs", batch.num_envs());
  root.set_int64("update", progress.update);
  root.set_int64("env_steps", progress.env_steps);
  root.set_int64("episodes", progress.episodes);
  if (trainer.group().rank() == 0 || !trainer.same_on_all_ranks()) trainer.save(root);
  std::vector<std::byte> environments(batch.snapshot_bytes());
  batch.save(environments.data());
  write_array<std::uint32_t>(
      root, "environments",
      {reinterpret_cast<const std::uint32_t*>(environments.data()), environments.size() / 4});
  std::vector<float> returns;
  std::vector<std::int32_t> lengths, outcomes;
  for (const EpisodeRecord& e : progress.recent) {
    returns.push_back(e.episode_return);
    lengths.push_back(e.length);
    outcomes.push_back(e.outcome);
  }
  write_array<float>(root, "recent_returns", returns);
  write_array<std::int32_t>(root, "recent_lengths", lengths);
  write_array<std::int32_t>(root, "recent_outcomes", outcomes);
  if (trainer.curriculum().active())
    write_array<double>(root, "curriculum", trainer.curriculum().save());
  h5.close();
  file.commit();
}

// What a state file must say of itself before anything else of it is looked at.
void check_state_fits(const H5Group& root, Trainer& trainer, const std::string& path) {
  const std::string env = root.get_string("environment");
  if (env != trainer.spec().id) {
    fail_data(path + ": this checkpoint is of " + env + ", the config asks for " +
              trainer.spec().id);
  }
  if (root.get_int64("format_version") > kFormatVersion) {
    fail_data(path + ": a newer format than this program reads");
  }
  if (root.get_int64("format_version") < kFormatVersion) {
    fail_data(path +
              ": an older format, which this program cannot resume from (its policy can still be "
              "evaluated and exported)");
  }
  // Before there were other algorithms their files had no name of one.
  const std::string algorithm =
      root.has_attribute("algorithm") ? root.get_string("algorithm") : "ppo";
  if (algorithm != trainer.options().algorithm) {
    fail_data(path + ": this checkpoint is of " + algorithm + ", the config asks for " +
              trainer.options().algorithm);
  }
  // Columns are padded: other numbers of environments may take as many words.
  const std::int64_t envs = trainer.batch().num_envs();
  if (root.has_attribute("num_envs") && root.get_int64("num_envs") != envs) {
    fail_data(path + ": this checkpoint is of " + std::to_string(root.get_int64("num_envs")) +
              " environments a rank, this run has " + std::to_string(envs));
  }
}

TrainProgress read_progress(const H5Group& root, const std::string& path) {
  TrainProgress progress;
  progress.update = root.get_int64("update");
  progress.env_steps = root.get_int64("env_steps");
  progress.episodes = root.get_int64("episodes");
  const auto returns = root.open_dataset("recent_returns").read_vector<float>();
  const auto lengths = read_array<std::int32_t>(root, "recent_lengths", returns.size(), path);
  const auto outcomes = read_array<std::int32_t>(root, "recent_outcomes", returns.size(), path);
  for (std::size_t i = 0; i < returns.size(); ++i) {
    if (outcomes[i] < 0 || outcomes[i] > 255) fail_data(path + ": an outcome code is out of range");
    progress.recent.push_back({returns[i], lengths[i], static_cast<std::uint8_t>(outcomes[i])});
  }
  return progress;
}

// This rank's state; what all ranks share, from rank 0's file.
void read_state(const std::string& folder, const PolicyWeights& policy, Trainer& trainer) {
  const int rank = trainer.group().rank();
  const std::string path = folder + "/" + state_file(rank);
  H5File h5 = H5File::open_untrusted(path);
  const H5Group& root = h5.root();
  check_state_fits(root, trainer, path);
  std::function<void()> put_in_place;
  if (rank > 0 && trainer.same_on_all_ranks()) {
    const std::string shared_path = folder + "/" + state_file(0);
    H5File shared = H5File::open_untrusted(shared_path);
    check_state_fits(shared.root(), trainer, shared_path);
    put_in_place = trainer.read(shared.root(), shared_path);
  } else {
    put_in_place = trainer.read(root, path);
  }
  EnvBatch& batch = trainer.batch();
  const auto words =
      read_array<std::uint32_t>(root, "environments", batch.snapshot_bytes() / 4, path);
  const TrainProgress progress = read_progress(root, path);
  Curriculum curriculum = trainer.curriculum();
  if (curriculum.active() &&
      !curriculum.load(root.open_dataset("curriculum").read_vector<double>())) {
    fail_data(path + ": the curriculum's state is damaged, or of another configuration");
  }
  // Everything was read and fits: only now does the trainer change.
  trainer.weights().params = policy.params;
  trainer.weights().normalizer = policy.normalizer;
  batch.load(reinterpret_cast<const std::byte*>(words.data()));
  trainer.run().curriculum = curriculum;
  if (curriculum.active()) batch.set_world(curriculum.world());
  trainer.run().progress = progress;
  put_in_place();
}

// Ranks that all compute the whole of every update must agree on every bit: a checkpoint says what rank 0 has, and who has
// something else would act on by it.
void check_ranks_agree(Trainer& trainer) {
  ProcessGroup& group = trainer.group();
  if (group.world_size() == 1 || !trainer.same_on_all_ranks()) return;
  Xxh3_128 hash;
  hash.update(std::as_bytes(std::span(trainer.weights().params)));
  const auto all = group.all_gather(hash.hex(), "hashes of the weights");
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    fail_peer("after " + std::to_string(trainer.progress().env_steps) + " steps rank " +
              std::to_string(r) +
              " has other weights than rank 0: they run different builds or configs, or one of "
              "their machines miscalculates; start all ranks from one build and config, with "
              "--resume");
  }
}

void write_manifest_of(const std::string& folder, Trainer& trainer,
                       const std::vector<std::string>& state_hashes) {
  Json m;
  m["format_version"] = kFormatVersion;
  m["kind"] = "checkpoint";
  m["environment"] = trainer.spec().id;
  m["update"] = trainer.progress().update;
  m["env_steps"] = trainer.progress().env_steps;
  m["world_size"] = trainer.group().world_size();
  m["seed"] = trainer.options().seed;
  m["build"] = build_info();
  Json files = Json::object();
  for (std::size_t r = 0; r < state_hashes.size(); ++r)
    files[state_file(static_cast<int>(r))] = state_hashes[r];
  files["policy.safetensors"] = sha256_file(folder + "/policy.safetensors");
  m["sha256"] = files;
  write_file_atomic(folder + "/MANIFEST.json", m.dump(2) + "\n");
}

void prune(const std::string& run_dir, int keep) {
  const auto all = list_checkpoints(run_dir);
  for (std::size_t i = static_cast<std::size_t>(std::max(keep, 2)); i < all.size(); ++i) {
    std::error_code ignored;
    // Renamed first: a kill while removing must not leave a folder that looks like a checkpoint.
    const std::string doomed = tmp_name(all[i]);
    fs::rename(all[i], doomed, ignored);
    fs::remove_all(doomed, ignored);
  }
}

}  // namespace

std::string save_checkpoint(const std::string& run_dir, Trainer& trainer) {
  ProcessGroup& group = trainer.group();
  check_ranks_agree(trainer);
  const std::string final_name =
      checkpoints_dir(run_dir) + "/" + checkpoint_name(trainer.progress().env_steps);
  const std::string tmp = final_name + ".tmp";
  if (group.rank() == 0) {
    make_dirs(checkpoints_dir(run_dir));
    std::error_code ignored;
    fs::remove_all(tmp, ignored);
    make_dirs(tmp);
  }
  group.barrier("checkpoint folder");
  const std::string mine = tmp + "/" + state_file(group.rank());
  write_state(mine, trainer);
  const auto hashes = group.all_gather(sha256_file(mine), "checkpoint hashes");
  if (group.rank() == 0) {
    const EnvOptions& env = trainer.options().env;
    save_policy(tmp + "/policy.safetensors", env.id, env_params_json(find_env(env.id), env),
                trainer.weights());
    write_manifest_of(tmp, trainer, hashes);
    fsync_dir(tmp);
    std::error_code ignored;
    // One of this number is there when a run resumes at its very end: moved away, replaced, then removed, so that a kill
    // leaves a good checkpoint in every case.
    const std::string old = tmp_name(final_name);
    fs::rename(final_name, old, ignored);
    rename_durable(tmp, final_name);
    fs::remove_all(old, ignored);
    write_file_atomic(checkpoints_dir(run_dir) + "/latest",
                      checkpoint_name(trainer.progress().env_steps) + "\n");
    prune(run_dir, trainer.options().checkpoint_keep);
  }
  group.barrier("checkpoint done");
  return final_name;
}

std::string load_newest_checkpoint(const std::string& run_dir, Trainer& trainer,
                                   std::string& warnings) {
  ProcessGroup& group = trainer.group();
  // Rank 0 chooses, so that all ranks load the same one even if a folder changes meanwhile.
  std::string choice;
  if (group.rank() == 0) {
    std::string problems;
    choice = newest_good_checkpoint(run_dir, problems);
    if (choice.empty() && !problems.empty()) choice = "!" + problems;
    if (!problems.empty() && choice[0] != '!') warnings = problems + "; going back to " + choice;
  }
  choice = group.all_gather(choice, "checkpoint to load").front();
  if (choice.empty()) return "";
  if (choice[0] == '!') fail_data("no usable checkpoint: " + choice.substr(1));
  if (const int ranks = read_checkpoint_info(choice).world_size; ranks != group.world_size()) {
    fail_data(choice + ": written by " + std::to_string(ranks) + " ranks, this job has " +
              std::to_string(group.world_size()) + "; resume with the same number");
  }
  const std::string policy_path = choice + "/policy.safetensors";
  PolicyFile policy = load_policy(policy_path);
  check_policy_fits(policy, trainer.spec(), policy_path);
  if (!(policy.weights->layout.shape == trainer.weights().layout.shape)) {
    fail_data(policy_path + ": its network is not the config's (section policy)");
  }
  read_state(choice, *policy.weights, trainer);
  return choice;
}

}  // namespace rollmill
