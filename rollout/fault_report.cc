#include "rollout/fault_report.h"

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/build_info.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "envs/batch_layout.h"
#include "rollout/buffer.h"

namespace rollmill {
namespace {

constexpr const char* kFormat = "rollmill-fault-1";
constexpr std::size_t kMostWords = 1u << 22;

using WordList = std::vector<std::uint32_t>;

// An object's member as words; everything is checked, for the file may come from anywhere.
WordList words_of(const nlohmann::json& list, std::size_t size, const std::string& where) {
  if (!list.is_array() || list.size() != size)
    fail_data(where + ": a list of " + std::to_string(size) + " words is wanted");
  WordList words;
  for (const auto& v : list) {
    if (!v.is_number_unsigned() || v.get<std::uint64_t>() > 0xFFFFFFFFu)
      fail_data(where + ": words are whole numbers below 2^32");
    words.push_back(v.get<std::uint32_t>());
  }
  return words;
}

std::uint64_t number_of(const nlohmann::json& j, const char* key, std::uint64_t high,
                        const std::string& where) {
  const auto it = j.find(key);
  if (it == j.end() || !it->is_number_unsigned() || it->get<std::uint64_t>() > high)
    fail_data(where + ": '" + key + "' is missing or out of range");
  return it->get<std::uint64_t>();
}

const nlohmann::json& member(const nlohmann::json& j, const char* key, const std::string& where) {
  const auto it = j.find(key);
  if (it == j.end()) fail_data(where + ": '" + key + "' is missing");
  return *it;
}

std::vector<WordList> lists_of(const nlohmann::json& j, const char* key, std::size_t size,
                               const std::string& where) {
  const nlohmann::json& lists = member(j, key, where);
  if (!lists.is_array() || lists.size() * size > kMostWords)
    fail_data(where + ": '" + key + "' is no list of states or actions, or too long");
  std::vector<WordList> result;
  for (const auto& list : lists) result.push_back(words_of(list, size, where + ": " + key));
  return result;
}

int reports_in(const std::string& dir) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    count += name.starts_with("fault-") && name.ends_with(".json") ? 1 : 0;
  }
  return count;
}

}  // namespace

std::vector<std::string> write_faults(const std::string& dir, const EnvSpec& spec,
                                      std::uint64_t seed, const EnvBatch::Faults& faults) {
  std::vector<std::string> paths;
  if (faults.described.empty()) return paths;
  make_dirs(dir);
  int room = kMostFaultFiles - reports_in(dir);
  for (const Fault& f : faults.described) {
    const std::string path =
        dir + "/fault-" + std::to_string(f.environment) + "-" + std::to_string(f.episode) + ".json";
    if (!file_exists(path) && room-- <= 0) continue;
    nlohmann::ordered_json j;
    j["format"] = kFormat;
    j["environment"] = spec.id;
    j["seed"] = seed;
    j["environment_number"] = f.environment;
    j["episode"] = f.episode;
    j["step"] = f.step;
    j["level"] = f.level;
    j["params"] = f.params;
    j["state_fields"] = spec.state_fields;
    j["last_state"] = f.states.empty() ? "" : state_text(spec, f.states.back());
    j["broken_state"] = state_text(spec, f.broken);
    j["states"] = f.states;
    j["actions"] = f.actions;
    j["broken"] = f.broken;
    j["build"] = build_info();
    write_file_atomic(path, j.dump(1) + "\n");
    paths.push_back(path);
  }
  return paths;
}

std::string FaultReports::write(const EnvSpec& spec, std::uint64_t seed,
                                const EnvBatch::Faults& faults) {
  if (faults.described.empty())
    return "on a GPU they are counted only: run them with env.device = \"cpu\" to see why";
  const std::vector<std::string> files = write_faults(dir_, spec, seed, faults);
  std::string text = files.empty() ? "see " + dir_ : "rollmill replay " + files.front();
  if (files.size() < faults.described.size() && !told_full_) {
    told_full_ = true;
    text += "; " + dir_ + " holds " + std::to_string(kMostFaultFiles) +
            " reports: no more are written, all are counted";
  }
  return text;
}

FaultFile read_fault(const std::string& path) {
  const nlohmann::json j = parse_json_strict(read_file(path, std::size_t{256} << 20), path, 4);
  const auto format = j.find("format");
  if (format == j.end() || *format != kFormat)
    fail_data(path + ": is no report of a broken environment (format " + kFormat + ")");
  FaultFile file;
  if (!member(j, "environment", path).is_string()) fail_data(path + ": 'environment' is no text");
  file.env_id = j["environment"].get<std::string>();
  EnvSpec spec;
  try {
    spec = find_env(file.env_id).spec();
  } catch (const Error& e) {
    fail_data(path + ": " + e.what());
  }
  file.seed = number_of(j, "seed", ~std::uint64_t{0}, path);
  Fault& f = file.fault;
  f.environment = static_cast<std::uint32_t>(number_of(j, "environment_number", 0xFFFFFFFFu, path));
  f.episode = static_cast<std::uint32_t>(number_of(j, "episode", 0xFFFFFFFFu, path));
  f.step = static_cast<std::uint32_t>(number_of(j, "step", 0xFFFFFFFFu, path));
  f.level = static_cast<std::uint32_t>(number_of(j, "level", 0xFFFFFFFFu, path));
  const nlohmann::json& params = member(j, "params", path);
  if (!params.is_array() || params.size() != spec.params.size())
    fail_data(path + ": 'params' does not fit " + spec.id);
  for (const auto& v : params) {
    if (!v.is_number()) fail_data(path + ": 'params' are numbers");
    f.params.push_back(v.get<double>());
  }
  f.states = lists_of(j, "states", spec.state_fields.size(), path);
  f.actions = lists_of(j, "actions", static_cast<std::size_t>(spec.action_size()), path);
  f.broken = words_of(member(j, "broken", path), spec.state_fields.size(), path + ": broken");
  for (const WordList& action : f.actions) {  // an environment may index with it
    for (std::size_t k = 0; k < spec.choices.size(); ++k) {
      if (action[k] >= static_cast<std::uint32_t>(spec.choices[k]))
        fail_data(path + ": actions: " + std::to_string(action[k]) + " is no choice of '" +
                  spec.action[k].name + "'");
    }
  }
  if (!f.states.empty() && f.states.size() != f.actions.size())
    fail_data(path + ": states and actions are not equally many");
  if (f.states.size() > std::size_t{f.step} + 1) fail_data(path + ": more states than steps");
  return file;
}

FaultReplay replay_fault(const EnvEntry& entry, const FaultFile& file) {
  const Fault& f = file.fault;
  if (f.states.empty()) {
    fail_usage(
        "the report holds no states to start from; run the job with --set env.trace_steps=K "
        "(K last states and actions of each environment are kept)");
  }
  BatchConfig config;
  config.seed = file.seed;
  config.first_environment = f.environment;
  config.first_episode = f.episode;
  config.time_limit = 0;
  config.params = f.params;
  const auto batch = entry.make_cpu(config, nullptr);
  const EnvSpec& spec = batch->spec();
  const HostRollout memory(spec, 1, 1);
  const RolloutBuffer& b = memory.buffer();
  batch->reset(b.observation_slot(0), b.mask_slot(0));
  // The oldest state, at its own step, so that the same randomness follows.
  WordList words = batch->save_environment(0);
  std::copy(f.states[0].begin(), f.states[0].end(), words.begin());
  const std::size_t step_word = spec.state_fields.size() + 2;
  words[step_word] = f.step + 1 - static_cast<std::uint32_t>(f.states.size());
  batch->load_environment(0, words);
  FaultReplay replay;
  replay.reproduced = true;
  for (std::size_t t = 0; t < f.states.size(); ++t) {
    FaultStep s;
    s.step = batch->episodes().step[0];
    s.state = batch->state_words(0);
    s.action = f.actions[t];
    for (int k = 0; k < spec.action_size(); ++k)
      static_cast<Word*>(b.actions)[k * b.stride] = s.action[static_cast<std::size_t>(k)];
    batch->step(b.step_buffers(0));
    s.reward = b.rewards[0];
    s.broken = b.ends[0] == kTerminated && b.outcomes[0] == kOutcomeNotFinite;
    const EnvBatch::Faults found = batch->take_faults();
    s.after = found.described.empty() ? batch->state_words(0) : found.described[0].broken;
    replay.reproduced = replay.reproduced && s.state == f.states[t];
    replay.steps.push_back(s);
    if (b.ends[0] != kRunning) break;
  }
  const FaultStep& last = replay.steps.back();
  replay.reproduced = replay.reproduced && last.broken && last.after == f.broken &&
                      replay.steps.size() == f.states.size();
  return replay;
}

std::string state_text(const EnvSpec& spec, const std::vector<std::uint32_t>& words) {
  std::string text;
  for (std::size_t k = 0; k < words.size() && k < spec.state_fields.size(); ++k) {
    char number[32];
    if (spec.state_is_real[k]) {
      float x;
      std::memcpy(&x, &words[k], 4);
      std::snprintf(number, sizeof number, "%.9g", static_cast<double>(x));
    } else {
      std::snprintf(number, sizeof number, "%d", static_cast<std::int32_t>(words[k]));
    }
    text += (text.empty() ? "" : " ") + spec.state_fields[k] + "=" + number;
  }
  return text;
}

}  // namespace rollmill
