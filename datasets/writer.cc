#include "datasets/writer.h"

#include <utility>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/h5.h"

namespace rollmill {

namespace {

// What makes a shard readable without its manifest.
void write_attributes(H5Group& root, std::int64_t index, const DatasetSpec& spec,
                      const ShardData& data, const std::string& content) {
  root.set_string("format", "rollmill-dataset");
  root.set_int64("format_version", kDatasetFormatVersion);
  root.set_string("environment", spec.env_id);
  root.set_string("environment_version", spec.env_version);
  root.set_string("environment_params", spec.env_params);
  root.set_string("environment_params_hash", spec.env_params_hash.empty()
                                                 ? params_hash(spec.env_params)
                                                 : spec.env_params_hash);
  root.set_string("policy", spec.policy_id);
  root.set_string("policy_hash", spec.policy_hash);
  root.set_uint64("seed", spec.seed);
  root.set_string("build", spec.build);
  root.set_string("observation_kind", spec.observation_kind);
  root.set_int64s("observation_shape", spec.observation_shape);
  if (spec.observation_kind == "bits") root.set_string("observation_packing", "little");
  root.set_strings("observation_names", spec.observation_names);
  root.set_strings("observation_units", spec.observation_units);
  root.set_string("action_description", spec.action_description);
  root.set_strings("outcome_names", spec.outcome_names);
  std::vector<std::string> names;
  for (const Column& column : spec.columns) names.push_back(column.name);
  root.set_strings("columns", names);
  root.set_int64("shard_index", index);
  root.set_int64("first_episode", data.first_episode);
  root.set_string("content",
                  content);  // old-style HDF5 metadata has no checksums: this one covers all
}

void write_columns(H5Group& root, const ShardData& data, H5Filter filter) {
  for (const ShardColumn& entry : data.columns()) {
    const std::string& name = entry.column.name;
    const auto slash = name.find('/');
    std::vector<std::uint64_t> shape = {entry.column.per_episode() ? data.episodes()
                                                                   : data.steps()};
    shape.insert(shape.end(), entry.column.row_shape.begin(), entry.column.row_shape.end());
    if (slash == std::string::npos) {
      root.create_dataset(name, entry.column.dtype, shape, filter).write_all(entry.bytes);
      continue;
    }
    const std::string parent = name.substr(0, slash);
    H5Group group = root.has(parent) ? root.open_group(parent) : root.create_group(parent);
    group.create_dataset(name.substr(slash + 1), entry.column.dtype, shape, filter)
        .write_all(entry.bytes);
  }
}

}  // namespace

ShardInfo write_shard(const std::string& dir, std::int64_t index, const DatasetSpec& spec,
                      const ShardData& data, const ShardOptions& options) {
  RM_ASSERT(data.columns().size() == spec.columns.size());
  for (std::size_t i = 0; i < spec.columns.size(); ++i)
    RM_ASSERT(data.columns()[i].column == spec.columns[i]);
  const std::uint64_t needed = data.bytes() + (std::uint64_t{1} << 20);
  if (!options.compress && free_bytes(dir) < needed) {
    fail_io("cannot write the next shard to " + dir + ": " + std::to_string(needed >> 20) +
            " MiB are needed, less is free; free some space, then run again with --resume");
  }
  ShardInfo info;
  info.file = shard_file_name(index);
  info.first_episode = data.first_episode;
  info.episodes = static_cast<std::int64_t>(data.episodes());
  info.steps = static_cast<std::int64_t>(data.steps());
  info.content = data.content_hash();

  AtomicPath target(dir + "/" + info.file);
  {
    H5File file = H5File::create(target.tmp());
    write_attributes(file.root(), index, spec, data, info.content);
    write_columns(file.root(), data,
                  options.compress ? H5Filter::kGzip1Shuffle : H5Filter::kFletcher32);
    file.close();
  }
  info.bytes = file_bytes(target.tmp());
  info.sha256 = sha256_file(target.tmp());
  target.commit();
  return info;
}

AsyncShardWriter::AsyncShardWriter(std::string dir, DatasetSpec spec, ShardOptions options)
    : dir_(std::move(dir)), spec_(std::move(spec)), options_(options), thread_([this] { run(); }) {}

AsyncShardWriter::~AsyncShardWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void AsyncShardWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || (!jobs_.empty() && !error_); });
    if (stop_) return;
    Job& job = jobs_.front();  // stays at the front until written: it counts as in flight
    lock.unlock();
    ShardInfo info;
    std::exception_ptr error;
    try {
      info = write_shard(dir_, job.index, spec_, job.data, options_);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) {
      error_ = error;
    } else {
      written_.push_back(std::move(info));
      empty_.push_back(std::move(job.data));
      jobs_.pop_front();
    }
    changed_.notify_all();
  }
}

void AsyncShardWriter::rethrow() {
  if (error_) std::rethrow_exception(error_);
}

void AsyncShardWriter::push(std::int64_t index, ShardData data) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return error_ || jobs_.size() < kMaxInFlight; });
  rethrow();
  jobs_.push_back({index, std::move(data)});
  changed_.notify_all();
}

std::vector<ShardInfo> AsyncShardWriter::take_written() {
  const std::lock_guard lock(mutex_);
  rethrow();
  return std::exchange(written_, {});
}

std::vector<ShardInfo> AsyncShardWriter::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return error_ || jobs_.empty(); });
  rethrow();
  return std::exchange(written_, {});
}

ShardData AsyncShardWriter::take_empty() {
  const std::lock_guard lock(mutex_);
  if (empty_.empty()) return ShardData(spec_.columns);
  ShardData data = std::move(empty_.back());
  empty_.pop_back();
  data.resize(0, 0);
  return data;
}

}  // namespace rollmill
