// MANIFEST.json: the one place that says which shards a dataset has. It is replaced atomically after every shard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/format.h"

namespace rollmill {

enum class DatasetState { kRunning, kDone };

struct Manifest {
  DatasetSpec spec;
  DatasetState state = DatasetState::kRunning;
  std::vector<ShardInfo> shards;  // by first episode; a running dataset may have gaps

  std::int64_t episodes() const;
  std::int64_t steps() const;
  std::string content_hash() const;  // dataset_content_hash(shards)
  const ShardInfo* find(const std::string& file) const;
};

bool has_manifest(const std::string& dir);

// Strict: Error kBadData for a missing or damaged manifest, one of a newer format, wrong types, a shard name that is not
// shard-NNNNNN.h5 (so no path, no ".."), duplicates, overlapping ranges, and for a finished dataset gaps or a wrong content hash.
Manifest read_manifest(const std::string& dir);
// Error kIo.
void write_manifest(const std::string& dir, const Manifest& manifest);

// Adds shards in their place and writes the manifest once. A shard that is listed already is replaced.
void append_shards(const std::string& dir, Manifest& manifest,
                   const std::vector<ShardInfo>& shards);
// Takes a shard out of the manifest, then removes its file. For the short last shard of a dataset that grows.
void remove_shard(const std::string& dir, Manifest& manifest, const std::string& file);
// Marks it done and writes it. The shards must be contiguous from episode 0.
void finish_manifest(const std::string& dir, Manifest& manifest);

struct Reconciled {
  std::vector<std::string>
      lost;  // listed, but missing or of another size: out of the manifest, to be generated again
  std::vector<std::string> removed;  // shard files that the manifest does not list: deleted
  int leftovers = 0;                 // *.tmp-<pid>
};
// For --resume, before anybody writes: brings folder and manifest into agreement. Generation then does the rest.
Reconciled reconcile(const std::string& dir, Manifest& manifest);

}  // namespace rollmill
