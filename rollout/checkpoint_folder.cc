#include "rollout/checkpoint_folder.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/hash.h"
#include "core/io/strict_json.h"
#include "core/log/log.h"

namespace rollmill {
namespace {

namespace fs = std::filesystem;

nlohmann::json read_manifest_of(const std::string& folder) {
  const std::string path = folder + "/MANIFEST.json";
  return parse_json_strict(read_file(path, 1 << 20), path, 8);
}

}  // namespace

std::string checkpoints_dir(const std::string& run_dir) { return run_dir + "/checkpoints"; }

std::string checkpoint_name(std::int64_t env_steps) {
  std::string digits = std::to_string(env_steps);
  if (digits.size() < 12) digits.insert(0, 12 - digits.size(), '0');
  return "step_" + digits;
}

std::vector<std::string> list_checkpoints(const std::string& run_dir) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(checkpoints_dir(run_dir), ignored)) {
    const std::string name = entry.path().filename().string();
    const bool digits =
        name.size() >= 17 && name.starts_with("step_") &&
        std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits) names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a > b;
  });
  return names;
}

std::string check_checkpoint(const std::string& folder) {
  try {
    const auto m = read_manifest_of(folder);
    const auto version = m.at("format_version").get<int>();
    if (version > kCheckpointFormatVersion) {
      return "format " + std::to_string(version) + " is newer than this program reads (" +
             std::to_string(kCheckpointFormatVersion) + ")";
    }
    if (m.at("kind") != "checkpoint") return "MANIFEST.json is not a checkpoint's";
    if (!m.at("sha256").contains("policy.safetensors")) return "MANIFEST.json names no policy";
    const std::string name =
        fs::path(folder).filename().string();  // a copy may have any other name
    if (name.starts_with("step_") &&
        name != checkpoint_name(m.at("env_steps").get<std::int64_t>())) {
      return "MANIFEST.json is of another checkpoint than the folder's name says";
    }
    if (m.at("sha256").size() != m.at("world_size").get<std::size_t>() + 1) {
      return "MANIFEST.json does not list one state file a rank";
    }
    for (const auto& [file, hash] : m.at("sha256").items()) {
      if (file.find('/') != std::string::npos)
        return "MANIFEST.json names a path outside the checkpoint";
      const std::string path = folder + "/" + file;
      if (!file_exists(path)) return file + " is missing";
      if (sha256_file(path) != hash.get<std::string>()) return file + " does not match its hash";
    }
  } catch (const nlohmann::json::exception& e) {
    return std::string("MANIFEST.json is damaged: ") + e.what();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::string newest_good_checkpoint(const std::string& run_dir, std::string& problems) {
  problems.clear();
  for (const std::string& folder : list_checkpoints(run_dir)) {
    const std::string problem = check_checkpoint(folder);
    if (problem.empty()) return folder;
    problems += (problems.empty() ? "" : "; ") + folder + ": " + problem;
  }
  return "";
}

CheckpointInfo read_checkpoint_info(const std::string& folder) {
  const nlohmann::json m = read_manifest_of(folder);
  try {
    CheckpointInfo info;
    info.environment = m.at("environment").get<std::string>();
    info.build = m.at("build").get<std::string>();
    info.update = m.at("update").get<std::int64_t>();
    info.env_steps = m.at("env_steps").get<std::int64_t>();
    info.world_size = m.at("world_size").get<int>();
    info.seed = m.at("seed").get<std::uint64_t>();
    return info;
  } catch (const nlohmann::json::exception& e) {
    fail_data(folder + "/MANIFEST.json is damaged: " + e.what());
  }
}

std::string find_policy_file(const std::string& path) {
  if (!fs::exists(path)) {
    const bool word = path.find('/') == std::string::npos;
    fail_data(path + ": no such run, checkpoint or policy" +
              (word ? "; the words for a policy are random and expert" : ""));
  }
  if (!fs::is_directory(path)) return path;
  std::string folder = path;
  if (!file_exists(path + "/policy.safetensors")) {
    std::string problems;
    folder = newest_good_checkpoint(path, problems);
    if (folder.empty()) {
      fail_data(path + ": no usable checkpoint" +
                (problems.empty() ? " (is this a run folder?)" : ": " + problems));
    }
    if (!problems.empty()) log_warn("{}; going back to {}", problems, folder);
  } else if (file_exists(path + "/MANIFEST.json")) {
    if (const std::string problem = check_checkpoint(path); !problem.empty())
      fail_data(path + ": " + problem);
  }
  return folder + "/policy.safetensors";
}

}  // namespace rollmill
