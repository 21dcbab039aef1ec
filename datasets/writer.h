// Writing shards: complete and hashed under their final name, or not there at all.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "datasets/format.h"
#include "datasets/shard.h"

namespace rollmill {

struct ShardOptions {
  bool compress = false;  // gzip1+shuffle instead of fletcher32
};

// Writes DIR/shard-<index>.h5 and returns what the manifest needs. The data must have the spec's columns.
// Same spec, index and data give the same bytes. Throws Error kIo (disk full, unwritable, ...), leaving nothing behind.
ShardInfo write_shard(const std::string& dir, std::int64_t index, const DatasetSpec& spec,
                      const ShardData& data, const ShardOptions& options = {});

// One writer thread behind a bounded queue: at most two shards are in flight, then push() waits, so memory stays
// bounded on a slow disk. All HDF5 writing of the process belongs to that thread.
class AsyncShardWriter {
 public:
  AsyncShardWriter(std::string dir, DatasetSpec spec, ShardOptions options = {});
  ~AsyncShardWriter();  // abandons what is queued; call finish() first
  AsyncShardWriter(const AsyncShardWriter&) = delete;
  AsyncShardWriter& operator=(const AsyncShardWriter&) = delete;

  // Rethrows an error of an earlier shard.
  void push(std::int64_t index, ShardData data);
  // Shards that are on disk since the last call, in the order they were pushed. Rethrows an error. Does not wait.
  std::vector<ShardInfo> take_written();
  // Waits for all; returns those not taken yet. Rethrows an error. push() may follow.
  std::vector<ShardInfo> finish();
  // An emptied shard of an earlier push, to fill again without new memory; of the spec's columns in any case.
  ShardData take_empty();

 private:
  struct Job {
    std::int64_t index;
    ShardData data;
  };
  void run();
  void rethrow();

  static constexpr std::size_t kMaxInFlight = 2;
  const std::string dir_;
  const DatasetSpec spec_;
  const ShardOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the first is being written
  std::vector<ShardInfo> written_;
  std::vector<ShardData> empty_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace rollmill
