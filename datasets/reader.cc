#include "datasets/reader.h"

#include <algorithm>
#include <optional>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/h5.h"

namespace rollmill {

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  fail_data(where + ": " + why + "; the shard is damaged or of another kind");
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + ")";
}

void check_header(const H5Group& root) {
  if (root.get_string("format") != "rollmill-dataset") refuse(root.what(), "not a Rollmill shard");
  const std::int64_t version = root.get_int64("format_version");
  if (version != kDatasetFormatVersion)
    refuse(root.what(), "format version " + std::to_string(version) + ", this build reads " +
                            std::to_string(kDatasetFormatVersion));
}

// A shard of another job: the manifest and the shards each say what made them.
void check_origin(const H5Group& root, const DatasetSpec& spec) {
  const auto same = [&](const char* name, const std::string& wanted) {
    const std::string have = root.get_string(name);
    if (have != wanted) refuse(root.what(), std::string(name) + " is '" + have + "', the manifest says '" + wanted + "'");
  };
  same("environment", spec.env_id);
  same("environment_version", spec.env_version);
  same("environment_params", spec.env_params);
  same("policy", spec.policy_id);
  same("policy_hash", spec.policy_hash);
  if (root.get_uint64("seed") != spec.seed) refuse(root.what(), "its seed is not the manifest's");
}

// HDF5's metadata carries no checksum here: a flipped bit can hand out another chunk's rows, each with a good checksum.
void check_content(const H5Group& root, const ShardData& data) {
  if (root.get_string("content") != data.content_hash())
    refuse(root.what(), "its values do not have the hash they were written with");
}

// A declared column with its dataset. The file's dtype and shape after the first dimension must be the column's.
H5Dataset open_column(const H5Group& root, const Column& column) {
  H5Dataset dataset = root.open_dataset(column.name);
  dataset.check_dtype(column.dtype);
  const auto& shape = dataset.shape();
  const bool fits = !shape.empty() && std::equal(shape.begin() + 1, shape.end(),
                                                 column.row_shape.begin(), column.row_shape.end());
  if (!fits)
    refuse(dataset.what(),
           "shape " + shape_text(shape) + ", expected rows of " + shape_text(column.row_shape));
  return dataset;
}

ShardData load_columns(H5File& file, const std::vector<Column>& columns) {
  ShardData data(columns);
  std::optional<std::uint64_t> steps, episodes;
  std::uint64_t total = 0;
  std::vector<H5Dataset> datasets;
  for (const Column& column : columns) {
    datasets.push_back(open_column(file.root(), column));
    const H5Dataset& dataset = datasets.back();
    std::optional<std::uint64_t>& rows = column.per_episode() ? episodes : steps;
    if (rows && *rows != dataset.rows())
      refuse(dataset.what(),
             std::to_string(dataset.rows()) + " rows, other columns have " + std::to_string(*rows));
    rows = dataset.rows();
    total += dataset.rows() * dataset.row_bytes();
    if (total > kMaxShardBytes) refuse(dataset.what(), "the shard's columns exceed 32 GiB");
  }
  data.resize(steps.value_or(0), episodes.value_or(0));
  for (std::size_t i = 0; i < columns.size(); ++i)
    datasets[i].read_rows(0, datasets[i].rows(), data.raw(columns[i].name));
  data.first_episode = file.root().get_int64("first_episode");
  return data;
}

}  // namespace

ShardData load_shard(const std::string& path, const std::vector<Column>& columns,
                     const std::vector<std::string>& only, const std::string& sha256,
                     const DatasetSpec* made_by) {
  H5Limits limits;
  limits.probe = sha256.empty();
  if (!sha256.empty()) {
    file_bytes(path);  // a regular file, no link
    if (sha256_file(path) != sha256) refuse(path, "its sha256 is not that of the manifest");
  }
  H5File file = H5File::open_untrusted(path, limits);
  check_header(file.root());
  if (made_by != nullptr) check_origin(file.root(), *made_by);
  std::vector<Column> wanted;
  for (const Column& column : columns) {
    if (only.empty() || std::find(only.begin(), only.end(), column.name) != only.end())
      wanted.push_back(column);
  }
  if (only.empty()) {
    std::vector<std::string> names;
    for (const Column& column : columns) names.push_back(column.name);
    if (file.root().get_strings("columns") != names)
      refuse(path, "its columns are not those of the manifest");
  }
  ShardData data = load_columns(file, wanted);
  if (only.empty()) check_content(file.root(), data);
  return data;
}

ShardData load_shard(const std::string& path) {
  H5File file = H5File::open_untrusted(path);
  check_header(file.root());
  std::vector<Column> columns;
  for (const std::string& name : file.root().get_strings("columns")) {
    const H5Dataset dataset = file.root().open_dataset(name);
    if (dataset.shape().empty())
      refuse(dataset.what(), "a single number where a column is expected");
    columns.push_back(
        {name, dataset.dtype(), {dataset.shape().begin() + 1, dataset.shape().end()}});
  }
  ShardData data = load_columns(file, columns);
  check_content(file.root(), data);
  return data;
}

DatasetReader::DatasetReader(std::string dir)
    : dir_(std::move(dir)), manifest_(read_manifest(dir_)) {}

ShardData DatasetReader::load(std::size_t shard, const std::vector<std::string>& only) const {
  const ShardInfo& info = manifest_.shards.at(shard);
  const std::string path = dir_ + "/" + info.file;
  ShardData data = load_shard(path, manifest_.spec.columns, only, info.sha256, &manifest_.spec);
  if (data.first_episode != info.first_episode)
    refuse(path, "it starts with another episode than the manifest says");
  if (!only.empty()) return data;
  if (static_cast<std::int64_t>(data.steps()) != info.steps ||
      static_cast<std::int64_t>(data.episodes()) != info.episodes) {
    refuse(path, "it has other numbers of steps and episodes than the manifest says");
  }
  check_structure(data, path);
  return data;
}

}  // namespace rollmill
