// One shard in memory: the columns of its steps and episodes, as raw bytes that typed views look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/assert.h"
#include "datasets/format.h"

namespace rollmill {

struct ShardColumn {
  Column column;
  std::vector<std::byte> bytes;  // rows * column.row_bytes(), row-major, host order
};

class ShardData {
 public:
  ShardData() = default;
  // Columns of this layout, without rows.
  explicit ShardData(const std::vector<Column>& columns);

  // Gives every column its number of rows. Rows that were there stay, new ones are zero; memory is kept for reuse.
  void resize(std::uint64_t steps, std::uint64_t episodes);
  std::uint64_t steps() const { return steps_; }
  std::uint64_t episodes() const { return episodes_; }
  // Number of the first episode; episodes/id counts up from it.
  std::int64_t first_episode = 0;

  const std::vector<ShardColumn>& columns() const { return columns_; }
  bool has(const std::string& name) const { return find(name) != nullptr; }
  std::uint64_t bytes() const;

  // All numbers of a column, rows * product(row_shape) of them. The column must exist and be of this type; a bool
  // column is seen as uint8_t. Spans are valid until the next resize.
  template <typename T>
  std::span<T> values(const std::string& name) {
    ShardColumn* found = const_cast<ShardColumn*>(find(name));
    check_type(found, dtype_of<T>);
    return {reinterpret_cast<T*>(found->bytes.data()), found->bytes.size() / sizeof(T)};
  }
  template <typename T>
  std::span<const T> values(const std::string& name) const {
    const ShardColumn* found = find(name);
    check_type(found, dtype_of<T>);
    return {reinterpret_cast<const T*>(found->bytes.data()), found->bytes.size() / sizeof(T)};
  }
  std::span<std::byte> raw(const std::string& name) {
    ShardColumn* found = const_cast<ShardColumn*>(find(name));
    RM_ASSERT(found != nullptr);
    return found->bytes;
  }

  std::span<const std::byte> raw(const std::string& name) const {
    const ShardColumn* found = find(name);
    RM_ASSERT(found != nullptr);
    return found->bytes;
  }

  // XXH3-128 over the number of columns, then per column in order: name, dtype, rank, dimensions, values.
  std::string content_hash() const;

 private:
  const ShardColumn* find(const std::string& name) const;
  static void check_type(const ShardColumn* found, DType type) {
    RM_ASSERT(found != nullptr);
    RM_ASSERT(found->column.dtype == type ||
              (found->column.dtype == DType::kBool && type == DType::kU8));
  }

  std::vector<ShardColumn> columns_;
  std::uint64_t steps_ = 0;
  std::uint64_t episodes_ = 0;
};

// The dataset's content hash: over the shards' content hashes in order of their episodes.
std::string dataset_content_hash(const std::vector<ShardInfo>& shards);

// Error kBadData, naming `where`, column and row, unless: episodes/start and length cut the steps into episodes of
// one step or more without gaps; episodes/id counts up from first_episode; terminals and timeouts are 0 or 1,
// exactly one of them is set on an episode's last row and none before; all floats are finite. Checks those columns that are there.
void check_structure(const ShardData& data, const std::string& where);

}  // namespace rollmill
