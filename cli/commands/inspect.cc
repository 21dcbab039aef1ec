#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "datasets/card.h"
#include "datasets/manifest.h"
#include "evaluation/statistics.h"
#include "rollout/checkpoint_folder.h"
#include "rollout/mlp/policy_file.h"
#include "trainer/run_status.h"

namespace rollmill {
namespace {

using Json = nlohmann::ordered_json;

Json inspect_policy(const std::string& path) {
  const PolicyFile policy = load_policy(path);
  const MlpLayout& layout = policy.weights->layout;
  Json j;
  j["kind"] = "policy";
  j["file"] = path;
  j["env"] = policy.env_id;
  j["observations"] = layout.shape.observations();
  j["frame_stack"] = layout.shape.frame_stack;
  if (!layout.shape.conv.empty()) {
    auto conv = Json::array();
    for (const ConvShape& c : layout.shape.conv) conv.push_back(c.channels);
    j["conv_channels"] = conv;
  }
  j["hidden"] = layout.shape.hidden;
  j["activation"] = activation_name(layout.shape.activation);
  j["trunk"] = trunk_name(layout.shape.trunk);
  j["memory"] = memory_name(layout.shape.memory);
  if (layout.shape.memory != MemoryKind::kNone) j["memory_size"] = layout.shape.memory_size;
  j["outputs"] = layout.shape.outputs();
  j["actions"] = action_kind(layout.shape);
  if (layout.shape.reals > 0) j["distribution"] = distribution_name(layout.shape.distribution);
  j["parameters"] = layout.parameter_count();
  j["normalizes_observations"] = policy.weights->normalizer.enabled();
  return j;
}

Json inspect_checkpoint(const std::string& folder) {
  Json j;
  j["kind"] = "checkpoint";
  j["folder"] = folder;
  const std::string problem = check_checkpoint(folder);
  j["ok"] = problem.empty();
  if (!problem.empty()) {
    j["problem"] = problem;
    return j;
  }
  const CheckpointInfo info = read_checkpoint_info(folder);
  j["env"] = info.environment;
  j["steps"] = info.env_steps;
  j["updates"] = info.update;
  j["ranks"] = info.world_size;
  j["seed"] = info.seed;
  j["build"] = info.build;
  j["policy"] = inspect_policy(folder + "/policy.safetensors");
  return j;
}

Json inspect_run(const std::string& dir) {
  Json j;
  j["kind"] = "run";
  j["folder"] = dir;
  if (file_exists(dir + "/RUN_STATUS.json")) {
    const std::string path = dir + "/RUN_STATUS.json";
    j["status"] = parse_json_strict(read_file(path, 1 << 20), path, 4);
    if (run_has_died(dir)) {
      j["status"]["state"] = "died";
      j["status"]["exit_code"] = nullptr;
      j["status"]["message"] =
          "its process ended without a word: it crashed or was killed; continue with --resume";
    }
  }
  j["checkpoints"] = Json::array();
  for (const std::string& folder : list_checkpoints(dir))
    j["checkpoints"].push_back(inspect_checkpoint(folder));
  if (file_exists(dir + "/evaluation.json")) {
    const std::string path = dir + "/evaluation.json";
    j["evaluation"] = parse_json_strict(read_file(path, 1 << 20), path, 4);
  }
  return j;
}

Json inspect_dataset(const std::string& dir) {
  const Manifest m = read_manifest(dir);
  const EpisodeStats stats = read_episode_stats(dir);
  Json j;
  j["kind"] = "dataset";
  j["folder"] = dir;
  j["state"] = m.state == DatasetState::kDone ? "done" : "running";
  j["env"] = m.spec.env_id;
  j["env_params"] =
      parse_json_strict(m.spec.env_params, dir + "/MANIFEST.json: environment_params", 4);
  j["policy"] = m.spec.policy_id;
  j["seed"] = m.spec.seed;
  j["episodes"] = m.episodes();
  j["transitions"] = m.steps();
  j["shards"] = m.shards.size();
  std::uint64_t bytes = 0;
  for (const ShardInfo& s : m.shards) bytes += s.bytes;
  j["bytes"] = bytes;
  j["content_hash"] = m.content_hash();
  j["columns"] = Json::array();
  for (const Column& c : m.spec.columns) {
    std::string shape = c.per_episode() ? "(E" : "(S";
    for (auto d : c.row_shape) shape += ", " + std::to_string(d);
    j["columns"].push_back(fmt::format("{} {}{} {}", c.name, shape,
                                       c.row_shape.empty() ? ",)" : ")", dtype_name(c.dtype)));
  }
  if (!stats.returns.empty()) {
    const std::vector<double> returns(stats.returns.begin(), stats.returns.end());
    const std::vector<double> lengths(stats.lengths.begin(), stats.lengths.end());
    const auto [low, high] = std::minmax_element(returns.begin(), returns.end());
    j["returns"] = {
        {"mean", mean(returns)}, {"median", median(returns)}, {"min", *low}, {"max", *high}};
    j["mean_length"] = mean(lengths);
    Json ends = Json::object();
    for (const auto& [code, count] : stats.outcomes) {
      ends[outcome_text(m.spec, code)] = count;
    }
    j["ends"] = ends;
  }
  return j;
}

// Indented "key  value" lines.
void print_tree(const Json& j, int depth, std::string& out) {
  const std::string pad(static_cast<std::size_t>(2 * depth), ' ');
  for (const auto& [key, value] : j.items()) {
    if (value.is_object() && !value.empty()) {
      out += pad + key + "\n";
      print_tree(value, depth + 1, out);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      for (const auto& item : value) {
        out += pad + key + "\n";
        print_tree(item, depth + 1, out);
      }
    } else if (value.is_array() && !value.empty() && value.front().is_string()) {
      for (const auto& item : value)
        out += pad + fmt::format("{:<24}{}\n", key, item.get<std::string>());
    } else {
      out += pad + fmt::format("{:<24}{}\n", key,
                               value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

}  // namespace

int run_inspect(const Arguments& arguments) {
  std::string path;
  bool json = false;
  Args parser("inspect", "Summarises a dataset, run, checkpoint or policy.");
  parser.positional("PATH", path, "what to look at");
  parser.flag("--json", json, "print as JSON");
  if (!parser.parse(arguments)) return 0;
  namespace fs = std::filesystem;
  if (!fs::exists(path)) fail_data(path + ": no such file or folder");
  Json j;
  if (!fs::is_directory(path)) {
    if (fs::path(path).extension() != ".safetensors") {
      fail_data(
          path +
          ": inspect takes the folder of a dataset, run or checkpoint, or a policy.safetensors");
    }
    j = inspect_policy(path);
  } else if (file_exists(path + "/config.toml") || fs::exists(checkpoints_dir(path))) {
    j = inspect_run(path);
  } else if (file_exists(path + "/policy.safetensors")) {
    j = inspect_checkpoint(path);
  } else if (has_manifest(path)) {
    j = inspect_dataset(path);
  } else {
    fail_data(path + ": neither a dataset, nor a run, nor a checkpoint");
  }
  std::string text;
  print_tree(j, 0, text);
  print_out(json ? j.dump(2) + "\n" : text);
  return 0;
}

}  // namespace rollmill
