#include "cli/sweep/rank_part.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr const char* kOfLauncher[] = {"RANK",
                                       "WORLD_SIZE",
                                       "LOCAL_RANK",
                                       "LOCAL_WORLD_SIZE",
                                       "MASTER_ADDR",
                                       "MASTER_PORT",
                                       "TORCHELASTIC_RUN_ID",
                                       "TORCHELASTIC_RESTART_COUNT",
                                       "TORCHELASTIC_USE_AGENT_STORE"};

// The rank's own of the GPUs that its machine's ranks see.
std::string own_gpu(int local_rank) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return std::to_string(local_rank);
  std::vector<std::string> all(1);
  for (const char* c = visible; *c != '\0'; ++c) {
    if (*c == ',') {
      all.emplace_back();
    } else {
      all.back() += *c;
    }
  }
  return all[static_cast<std::size_t>(local_rank) % all.size()];
}

}  // namespace

SweepPart rank_part(const LaunchInfo& launch, const SweepPlan& plan) {
  if (plan.options.method == SweepMethod::kHalving) {
    Error error(ExitCode::kUsage,
                "halving compares all trials of a rung; start it as one process with --jobs, or "
                "set method = \"random\"");
    if (launch.rank != 0) error.set_reported();
    throw error;
  }
  return {launch.rank, launch.world_size};
}

std::unique_ptr<SweepFolder> whole_sweep(const SweepPlan& plan, std::unique_ptr<SweepFolder> part) {
  const std::string dir = part->dir();
  // Ranks that end together are in each other's way for a moment: one of them gets through.
  for (int attempt = 0;; ++attempt) {
    if (!part->all_parts_done()) return nullptr;
    part->leave();
    try {
      auto whole = std::make_unique<SweepFolder>(dir, plan, std::nullopt, false);
      if (!part->all_parts_done()) return nullptr;  // another rank was here meanwhile
      return whole;
    } catch (const Error&) {
      if (attempt == 100) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void leave_launcher(const LaunchInfo& launch) {
  if (launch.local_world_size > 1)
    setenv("CUDA_VISIBLE_DEVICES", own_gpu(launch.local_rank).c_str(), 1);
  for (const char* name : kOfLauncher) unsetenv(name);
}

}  // namespace rollmill
