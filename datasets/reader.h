// Reading datasets shard by shard. Files are treated as untrusted (H5File::open_untrusted).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/manifest.h"
#include "datasets/shard.h"

namespace rollmill {

inline constexpr std::uint64_t kMaxShardBytes = std::uint64_t{32} << 30;

// The shard's columns in order; only those named when `only` is not empty. Error kBadData naming file and column for a
// damaged file, values without the hash they were written with, unknown or missing columns, wrong dtype or shape. Values are not judged: see check_structure.
// made_by: what the shard's own attributes must say of environment, parameters, policy and seed.
// HDF5 may crash on damaged bytes: the file is probed in a child process unless `sha256` is given and is the file's.
ShardData load_shard(const std::string& path, const std::vector<Column>& columns,
                     const std::vector<std::string>& only = {}, const std::string& sha256 = {},
                     const DatasetSpec* made_by = nullptr);
// A shard without a manifest: the columns that its own attributes list.
ShardData load_shard(const std::string& path);

class DatasetReader {
 public:
  // Error kBadData without a good manifest.
  explicit DatasetReader(std::string dir);
  const std::string& dir() const { return dir_; }
  const Manifest& manifest() const { return manifest_; }
  std::size_t shards() const { return manifest_.shards.size(); }
  // Checks the shard's sha256, loads it, checks that its rows are those of the manifest, and its structure unless only some columns are asked for.
  ShardData load(std::size_t shard, const std::vector<std::string>& only = {}) const;

 private:
  std::string dir_;
  Manifest manifest_;
};

}  // namespace rollmill
