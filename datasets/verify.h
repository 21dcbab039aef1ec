// The full check of a dataset on disk: every hash, every structural promise.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rollmill {

struct Problem {
  std::string file;  // in the dataset's folder
  std::string what;
};

struct VerifyReport {
  std::vector<Problem> problems;
  std::int64_t shards = 0, episodes = 0, steps = 0;  // as the manifest says
  std::uint64_t bytes = 0;
  bool finished = false;  // state "done"
  std::string content_hash;
  bool ok() const { return problems.empty(); }
};

// Never stops at the first problem, and throws only where the machine fails (kIo). A folder without a good manifest
// is one problem of MANIFEST.json. In a finished dataset a shard file that the manifest
// does not list is a problem too; temporary files are not.
VerifyReport verify_dataset(const std::string& dir);

}  // namespace rollmill
