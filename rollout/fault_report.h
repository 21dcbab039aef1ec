// Environments whose numbers stopped being finite, on disk: DIR/fault-<environment>-<episode>.json holds the last states and
// actions before it, and whatever else it takes to do the same again. `rollmill replay FILE` does.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "envs/registry.h"

namespace rollmill {

// An environment that breaks in every episode would fill a disk: the first ones show why.
inline constexpr int kMostFaultFiles = 64;

// Writes one file for each described fault into `dir` (made if need be), while that holds fewer than kMostFaultFiles; a report that
// is there already is written anew. Returns the paths of those written. seed: the batch's.
std::vector<std::string> write_faults(const std::string& dir, const EnvSpec& spec,
                                      std::uint64_t seed, const EnvBatch::Faults& faults);

// The reports of one job.
class FaultReports {
 public:
  explicit FaultReports(std::string dir) : dir_(std::move(dir)) {}
  // Writes them, and returns for people how to see one of them again.
  std::string write(const EnvSpec& spec, std::uint64_t seed, const EnvBatch::Faults& faults);

 private:
  std::string dir_;
  bool told_full_ = false;
};

struct FaultFile {
  std::string env_id;
  std::uint64_t seed = 0;
  Fault fault;
};
// Throws Error(kBadData) for anything that is not such a file.
FaultFile read_fault(const std::string& path);

// One step of a replayed fault.
struct FaultStep {
  std::uint32_t step = 0;
  std::vector<std::uint32_t> state, action, after;  // words: before, taken, after
  float reward = 0;
  bool broken = false;
};
struct FaultReplay {
  std::vector<FaultStep> steps;
  bool reproduced = false;  // the last step breaks, and every state has the recorded bits
};
// Executes the recorded actions from the oldest recorded state.
FaultReplay replay_fault(const EnvEntry& entry, const FaultFile& file);

// "x=1.25 x_dot=nan ...", by the names of the state's manifest.
std::string state_text(const EnvSpec& spec, const std::vector<std::uint32_t>& words);

}  // namespace rollmill
