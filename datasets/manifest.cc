#include "datasets/manifest.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <nlohmann/json.hpp>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/strict_json.h"
#include "datasets/shard.h"

namespace rollmill {

namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{256} << 20;
constexpr const char* kFormatName = "rollmill-dataset";

std::string manifest_path(const std::string& dir) { return dir + "/MANIFEST.json"; }

// Typed access with one line of complaint each.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) refuse(where_ + " is not an object");
  }
  [[noreturn]] static void refuse(const std::string& what) {
    fail_data(what + "; the manifest is damaged: restore it or generate the dataset again");
  }
  bool has(const char* key) const { return json_.contains(key); }
  const Json& get(const char* key) const {
    const auto at = json_.find(key);
    if (at == json_.end()) refuse(where_ + ": \"" + key + "\" is missing");
    return *at;
  }
  std::string text(const char* key) const {
    const Json& value = get(key);
    if (!value.is_string()) refuse(where_ + ": \"" + key + "\" is not text");
    return value.get<std::string>();
  }
  std::uint64_t u64(const char* key) const {
    const Json& value = get(key);
    if (!value.is_number_unsigned())
      refuse(where_ + ": \"" + key + "\" is not a whole number of 0 or more");
    return value.get<std::uint64_t>();
  }
  std::int64_t count(const char* key) const {
    const std::uint64_t value = u64(key);
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 4)
      refuse(where_ + ": \"" + key + "\" is too large");
    return static_cast<std::int64_t>(value);
  }
  const Json& list(const char* key) const {
    const Json& value = get(key);
    if (!value.is_array()) refuse(where_ + ": \"" + key + "\" is not a list");
    return value;
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> values;
    for (const Json& value : list(key)) {
      if (!value.is_string()) refuse(where_ + ": \"" + key + "\" is not a list of texts");
      values.push_back(value.get<std::string>());
    }
    return values;
  }
  std::string hex(const char* key, std::size_t digits) const {
    const std::string value = text(key);
    if (value.size() != digits ||
        value.find_first_not_of("0123456789abcdef") != std::string::npos) {
      refuse(where_ + ": \"" + key + "\" is not a hash of " + std::to_string(digits) + " digits");
    }
    return value;
  }

 private:
  const Json& json_;
  std::string where_;
};

OrderedJson to_json(const Column& column) {
  return {
      {"name", column.name}, {"dtype", dtype_name(column.dtype)}, {"row_shape", column.row_shape}};
}

Column read_column(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  Column column;
  column.name = fields.text("name");
  const auto dtype = dtype_from_name(fields.text("dtype"));
  if (!dtype) Fields::refuse(where + ": column " + column.name + " has an unknown dtype");
  column.dtype = *dtype;
  std::uint64_t total = 1;
  for (const Json& side : fields.list("row_shape")) {
    const bool fits = side.is_number_unsigned() && side.get<std::uint64_t>() > 0 &&
                      side.get<std::uint64_t>() <= (std::uint64_t{1} << 30) / total;
    if (!fits) Fields::refuse(where + ": column " + column.name + " has an impossible row_shape");
    column.row_shape.push_back(side.get<std::uint64_t>());
    total *= column.row_shape.back();
  }
  const auto slash = column.name.find('/');
  const bool plain =
      column.name.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/") == std::string::npos;
  if (column.name.empty() || !plain || slash == 0 ||
      (slash != std::string::npos && column.name.find('/', slash + 1) != std::string::npos) ||
      column.name.back() == '/' || column.row_shape.size() > 6) {
    Fields::refuse(where + ": impossible column \"" + column.name.substr(0, 64) + "\"");
  }
  return column;
}

OrderedJson to_json(const ShardInfo& shard) {
  return {{"file", shard.file},         {"first_episode", shard.first_episode},
          {"episodes", shard.episodes}, {"steps", shard.steps},
          {"bytes", shard.bytes},       {"sha256", shard.sha256},
          {"content", shard.content}};
}

ShardInfo read_shard_info(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  ShardInfo shard;
  shard.file = fields.text("file");
  if (shard_index(shard.file) < 0)
    Fields::refuse(where + ": \"" + shard.file.substr(0, 64) + "\" is not the name of a shard");
  shard.first_episode = fields.count("first_episode");
  shard.episodes = fields.count("episodes");
  shard.steps = fields.count("steps");
  shard.bytes = fields.u64("bytes");
  shard.sha256 = fields.hex("sha256", 64);
  shard.content = fields.hex("content", 32);
  return shard;
}

// What check_ranges would say; empty when all is well.
std::string range_problem(const Manifest& manifest) {
  std::set<std::string> names;
  std::int64_t at = 0;
  for (const ShardInfo& shard : manifest.shards) {
    if (!names.insert(shard.file).second) return shard.file + " is listed twice";
    if (shard.first_episode < at) return shard.file + " overlaps the shard before it";
    if (manifest.state == DatasetState::kDone && shard.first_episode > at)
      return "episodes before " + shard.file + " are missing";
    at = shard.first_episode + shard.episodes;
  }
  return {};
}

OrderedJson spec_to_json(const DatasetSpec& spec) {
  OrderedJson columns = OrderedJson::array();
  for (const Column& column : spec.columns) columns.push_back(to_json(column));
  return {{"environment", spec.env_id},
          {"environment_version", spec.env_version},
          {"environment_params", spec.env_params},
          {"environment_params_hash",
           spec.env_params_hash.empty() ? params_hash(spec.env_params) : spec.env_params_hash},
          {"policy", spec.policy_id},
          {"policy_hash", spec.policy_hash},
          {"seed", spec.seed},
          {"shard_episodes", spec.shard_episodes},
          {"observation_kind", spec.observation_kind},
          {"observation_shape", spec.observation_shape},
          {"observation_names", spec.observation_names},
          {"observation_units", spec.observation_units},
          {"action_description", spec.action_description},
          {"outcome_names", spec.outcome_names},
          {"columns", columns},
          {"build", spec.build},
          {"config", spec.config}};
}

DatasetSpec read_spec(const Fields& fields, const std::string& where) {
  DatasetSpec spec;
  spec.env_id = fields.text("environment");
  spec.env_version = fields.text("environment_version");
  spec.env_params = fields.text("environment_params");
  spec.env_params_hash = fields.hex("environment_params_hash", 32);
  if (spec.env_params_hash != params_hash(spec.env_params)) {
    Fields::refuse(where + ": \"environment_params\" does not match its hash");
  }
  spec.policy_id = fields.text("policy");
  spec.policy_hash = fields.text("policy_hash");
  spec.seed = fields.u64("seed");
  spec.shard_episodes = fields.count("shard_episodes");
  // A dataset from before there were other kinds does not say.
  if (fields.has("observation_kind")) {
    spec.observation_kind = fields.text("observation_kind");
    for (const Json& side : fields.list("observation_shape")) {
      if (!side.is_number_unsigned() || side.get<std::uint64_t>() > (1u << 30))
        Fields::refuse(where + ": \"observation_shape\" is not a list of sizes");
      spec.observation_shape.push_back(side.get<std::int64_t>());
    }
  }
  spec.observation_names = fields.texts("observation_names");
  spec.observation_units = fields.texts("observation_units");
  spec.action_description = fields.text("action_description");
  spec.outcome_names = fields.texts("outcome_names");
  spec.build = fields.text("build");
  spec.config = fields.text("config");
  std::set<std::string> names;
  for (const Json& column : fields.list("columns")) {
    spec.columns.push_back(read_column(column, where));
    if (!names.insert(spec.columns.back().name).second)
      Fields::refuse(where + ": column " + spec.columns.back().name + " is listed twice");
  }
  return spec;
}

bool by_episode(const ShardInfo& a, const ShardInfo& b) {
  return a.first_episode < b.first_episode;
}

}  // namespace

std::int64_t Manifest::episodes() const {
  std::int64_t total = 0;
  for (const ShardInfo& shard : shards) total += shard.episodes;
  return total;
}

std::int64_t Manifest::steps() const {
  std::int64_t total = 0;
  for (const ShardInfo& shard : shards) total += shard.steps;
  return total;
}

std::string Manifest::content_hash() const { return dataset_content_hash(shards); }

const ShardInfo* Manifest::find(const std::string& file) const {
  for (const ShardInfo& shard : shards) {
    if (shard.file == file) return &shard;
  }
  return nullptr;
}

bool has_manifest(const std::string& dir) { return file_exists(manifest_path(dir)); }

Manifest read_manifest(const std::string& dir) {
  const std::string where = manifest_path(dir);
  const Json json = parse_json_strict(read_file(where, kMaxManifestBytes), where, 8);
  const Fields fields(json, where);
  if (fields.text("format") != kFormatName)
    Fields::refuse(where + ": \"format\" is not " + kFormatName);
  const std::uint64_t version = fields.u64("format_version");
  if (version != kDatasetFormatVersion) {
    fail_data(where + ": format version " + std::to_string(version) +
              ", this build reads version " + std::to_string(kDatasetFormatVersion) +
              "; use the build that wrote it");
  }
  Manifest manifest;
  manifest.spec = read_spec(fields, where);
  const std::string state = fields.text("state");
  if (state != "running" && state != "done")
    Fields::refuse(where + ": \"state\" is neither running nor done");
  manifest.state = state == "done" ? DatasetState::kDone : DatasetState::kRunning;
  for (const Json& shard : fields.list("shards"))
    manifest.shards.push_back(read_shard_info(shard, where));
  const std::string problem = range_problem(manifest);
  if (!problem.empty()) Fields::refuse(where + ": " + problem);
  if (fields.hex("content_hash", 32) != manifest.content_hash())
    Fields::refuse(where + ": content_hash does not fit the shards");
  if (fields.count("episodes") != manifest.episodes() ||
      fields.count("steps") != manifest.steps()) {
    Fields::refuse(where + ": episodes and steps are not those of the shards");
  }
  return manifest;
}

void write_manifest(const std::string& dir, const Manifest& manifest) {
  OrderedJson json = {{"format", kFormatName},
                      {"format_version", kDatasetFormatVersion},
                      {"state", manifest.state == DatasetState::kDone ? "done" : "running"},
                      {"episodes", manifest.episodes()},
                      {"steps", manifest.steps()},
                      {"content_hash", manifest.content_hash()}};
  json.update(spec_to_json(manifest.spec));
  OrderedJson shards = OrderedJson::array();
  for (const ShardInfo& shard : manifest.shards) shards.push_back(to_json(shard));
  json["shards"] = std::move(shards);
  write_file_atomic(manifest_path(dir),
                    json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

void append_shards(const std::string& dir, Manifest& manifest,
                   const std::vector<ShardInfo>& shards) {
  if (shards.empty()) return;
  for (const ShardInfo& shard : shards) {
    std::erase_if(manifest.shards, [&](const ShardInfo& old) { return old.file == shard.file; });
    manifest.shards.push_back(shard);
  }
  std::sort(manifest.shards.begin(), manifest.shards.end(), by_episode);
  RM_ASSERT(range_problem(manifest).empty());
  write_manifest(dir, manifest);
}

void remove_shard(const std::string& dir, Manifest& manifest, const std::string& file) {
  RM_ASSERT(shard_index(file) >= 0);
  std::erase_if(manifest.shards, [&](const ShardInfo& old) { return old.file == file; });
  manifest.state = DatasetState::kRunning;
  write_manifest(dir, manifest);
  std::error_code error;
  std::filesystem::remove(dir + "/" + file, error);
  if (error)
    fail_io("cannot remove " + dir + "/" + file + ": " + error.message() + "; remove it by hand");
}

void finish_manifest(const std::string& dir, Manifest& manifest) {
  manifest.state = DatasetState::kDone;
  RM_ASSERT(range_problem(manifest).empty());
  write_manifest(dir, manifest);
}

Reconciled reconcile(const std::string& dir, Manifest& manifest) {
  Reconciled result;
  result.leftovers = remove_leftovers(dir);
  std::error_code error;
  std::set<std::string> present;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (shard_index(name) >= 0) present.insert(name);
  }
  if (error)
    fail_io("cannot list " + dir + ": " + error.message() + "; check that the folder may be read");
  for (const ShardInfo& shard : manifest.shards) {
    if (!present.contains(shard.file) || file_bytes(dir + "/" + shard.file) != shard.bytes)
      result.lost.push_back(shard.file);
  }
  for (const std::string& name : present) {
    if (manifest.find(name) == nullptr) result.removed.push_back(name);
  }
  for (const std::string& name : result.lost) remove_shard(dir, manifest, name);
  for (const std::string& name : result.removed) {
    std::filesystem::remove(dir + "/" + name, error);
    if (error)
      fail_io("cannot remove " + dir + "/" + name + ": " + error.message() + "; remove it by hand");
  }
  return result;
}

}  // namespace rollmill
