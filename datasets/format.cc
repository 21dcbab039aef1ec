#include "datasets/format.h"

#include <cstdio>
#include <cstdlib>

#include "core/base/error.h"

namespace rollmill {

std::uint64_t Column::row_bytes() const {
  std::uint64_t bytes = dtype_size(dtype);
  for (const std::uint64_t side : row_shape) bytes *= side;
  return bytes;
}

std::vector<Column> standard_columns(const SpaceColumns& spaces, bool policy_outputs,
                                     std::uint64_t param_count) {
  std::vector<Column> columns = {{"observations", spaces.observation, spaces.observation_shape}};
  if (spaces.mask_choices > 0)
    columns.push_back({"action_masks", DType::kBool, {spaces.mask_choices}});
  columns.push_back({"actions", spaces.action.dtype, spaces.action.row_shape});
  if (spaces.real_actions > 0)
    columns.push_back({"real_actions", DType::kF32, {spaces.real_actions}});
  columns.push_back({"rewards", DType::kF32, {}});
  columns.push_back({"terminals", DType::kBool, {}});
  columns.push_back({"timeouts", DType::kBool, {}});
  if (policy_outputs) {
    columns.push_back({"logprobs", DType::kF32, {}});
    columns.push_back({"values", DType::kF32, {}});
  }
  columns.push_back({"episodes/start", DType::kI64, {}});
  columns.push_back({"episodes/length", DType::kI32, {}});
  columns.push_back({"episodes/id", DType::kI64, {}});
  columns.push_back({"episodes/seed_key", DType::kU64, {}});
  columns.push_back({"episodes/return", DType::kF32, {}});
  columns.push_back({"episodes/outcome", DType::kU8, {}});
  columns.push_back({"episodes/final_observation", spaces.observation, spaces.observation_shape});
  if (param_count > 0) columns.push_back({"episodes/params", DType::kF32, {param_count}});
  return columns;
}

std::string shard_file_name(std::int64_t index) {
  char name[48];
  std::snprintf(name, sizeof name, "shard-%06lld.h5", static_cast<long long>(index));
  return name;
}

std::int64_t shard_index(const std::string& file) {
  if (file.size() < 15 || file.size() > 24 || !file.starts_with("shard-") || !file.ends_with(".h5"))
    return -1;
  const std::string digits = file.substr(6, file.size() - 9);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  const std::int64_t index = std::strtoll(digits.c_str(), nullptr, 10);
  return shard_file_name(index) == file ? index : -1;
}

std::string params_hash(const std::string& params_json) {
  return xxh3_128_hex(bytes_of(params_json));
}

std::string spec_difference(const DatasetSpec& on_disk, const DatasetSpec& wanted) {
  const auto differs = [](const std::string& key, const std::string& a, const std::string& b) {
    return a == b ? std::string()
                  : key + ": " + (a.empty() ? "nothing" : a) + " in the dataset, " +
                        (b.empty() ? "nothing" : b) + " asked for";
  };
  const std::string texts[] = {
      differs("environment", on_disk.env_id, wanted.env_id),
      differs("environment version", on_disk.env_version, wanted.env_version),
      differs("environment parameters", on_disk.env_params, wanted.env_params),
      differs("policy", on_disk.policy_id, wanted.policy_id),
      differs("policy hash", on_disk.policy_hash, wanted.policy_hash),
      differs("seed", std::to_string(on_disk.seed), std::to_string(wanted.seed)),
      differs("episodes per shard", std::to_string(on_disk.shard_episodes),
              std::to_string(wanted.shard_episodes)),
      on_disk.columns == wanted.columns ? std::string()
                                        : "columns: the recorded columns are not the same"};
  for (const std::string& text : texts) {
    if (!text.empty()) return text;
  }
  return {};
}

void check_same_job(const std::string& dir, const DatasetSpec& on_disk, const DatasetSpec& wanted) {
  const std::string difference = spec_difference(on_disk, wanted);
  if (!difference.empty())
    fail_usage(dir + " holds the dataset of another job (" + difference +
               "); choose another --out or restore the setting");
}

}  // namespace rollmill
