#include "datasets/shard.h"

#include <cmath>

#include "core/base/error.h"

namespace rollmill {

namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  fail_data(where + ": " + why + "; the shard is damaged or was not written by Rollmill");
}

// x - x is 0 for finite numbers only; a sum of such zeros vectorises where isfinite with a branch does not.
template <typename T>
bool all_finite(std::span<const T> values) {
  T sum = 0;
  for (const T value : values) sum += value - value;
  return sum == T(0);
}

template <typename T>
void check_finite(std::span<const T> values, const Column& column, const std::string& where) {
  if (all_finite(values)) return;
  std::size_t bad = 0, first = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) && bad++ == 0) first = i;
  }
  const std::size_t width = column.row_bytes() / sizeof(T);
  refuse(where, column.name + " has " + std::to_string(bad) +
                    " values that are NaN or infinite, the first in row " +
                    std::to_string(first / width));
}

void check_flags(const ShardData& data, const std::string& where) {
  const auto terminals = data.values<std::uint8_t>("terminals");
  const auto timeouts = data.values<std::uint8_t>("timeouts");
  const auto starts = data.values<std::int64_t>("episodes/start");
  const auto lengths = data.values<std::int32_t>("episodes/length");
  std::uint64_t flags = 0;
  for (std::size_t row = 0; row < terminals.size(); ++row) {
    if (terminals[row] > 1 || timeouts[row] > 1)
      refuse(where, "a flag that is neither 0 nor 1 in row " + std::to_string(row));
    flags += terminals[row];
    flags += timeouts[row];
  }
  for (std::size_t episode = 0; episode < starts.size(); ++episode) {
    const auto last = static_cast<std::size_t>(starts[episode] + lengths[episode] - 1);
    if (terminals[last] + timeouts[last] != 1) {
      refuse(where, "row " + std::to_string(last) + " ends an episode, but " +
                        (terminals[last] ? "both" : "neither") +
                        " of terminals and timeouts is set");
    }
  }
  if (flags != starts.size())
    refuse(where, "terminals or timeouts are set before the end of an episode");
}

}  // namespace

ShardData::ShardData(const std::vector<Column>& columns) {
  for (const Column& column : columns) columns_.push_back({column, {}});
}

void ShardData::resize(std::uint64_t steps, std::uint64_t episodes) {
  for (ShardColumn& column : columns_) {
    column.bytes.resize((column.column.per_episode() ? episodes : steps) *
                        column.column.row_bytes());
  }
  steps_ = steps;
  episodes_ = episodes;
}

std::uint64_t ShardData::bytes() const {
  std::uint64_t total = 0;
  for (const ShardColumn& column : columns_) total += column.bytes.size();
  return total;
}

const ShardColumn* ShardData::find(const std::string& name) const {
  for (const ShardColumn& column : columns_) {
    if (column.column.name == name) return &column;
  }
  return nullptr;
}

std::string ShardData::content_hash() const {
  Xxh3_128 hash;
  hash.update_u64(columns_.size());
  for (const ShardColumn& entry : columns_) {
    hash.update_text(entry.column.name);
    hash.update_text(dtype_name(entry.column.dtype));
    hash.update_u64(1 + entry.column.row_shape.size());
    hash.update_u64(entry.column.per_episode() ? episodes_ : steps_);
    for (const std::uint64_t side : entry.column.row_shape) hash.update_u64(side);
    hash.update(entry.bytes);
  }
  return hash.hex();
}

std::string dataset_content_hash(const std::vector<ShardInfo>& shards) {
  Xxh3_128 hash;
  for (const ShardInfo& shard : shards) hash.update_text(shard.content);
  return hash.hex();
}

void check_structure(const ShardData& data, const std::string& where) {
  if (data.has("episodes/start") && data.has("episodes/length")) {
    const auto starts = data.values<std::int64_t>("episodes/start");
    const auto lengths = data.values<std::int32_t>("episodes/length");
    std::int64_t at = 0;
    for (std::size_t i = 0; i < starts.size(); ++i) {
      if (starts[i] != at || lengths[i] < 1)
        refuse(where, "episode " + std::to_string(i) +
                          " of the shard does not start where the one before ends, or is empty");
      at += lengths[i];
    }
    if (static_cast<std::uint64_t>(at) != data.steps())
      refuse(where, "episode lengths sum to " + std::to_string(at) + " of " +
                        std::to_string(data.steps()) + " rows");
    if (data.has("terminals") && data.has("timeouts")) check_flags(data, where);
  }
  if (data.has("episodes/id")) {
    const auto ids = data.values<std::int64_t>("episodes/id");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] != data.first_episode + static_cast<std::int64_t>(i))
        refuse(where, "episodes/id does not count up from " + std::to_string(data.first_episode));
    }
  }
  for (const ShardColumn& entry : data.columns()) {
    if (entry.column.dtype == DType::kF32)
      check_finite(data.values<float>(entry.column.name), entry.column, where);
    if (entry.column.dtype == DType::kF64)
      check_finite(data.values<double>(entry.column.name), entry.column, where);
  }
}

}  // namespace rollmill
