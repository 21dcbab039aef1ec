#include "cli/sweep/rank_part.h"

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/device/device.h"

namespace rollmill {
namespace {

// The rank's own of the GPUs that its machine's ranks see; "" where there is none.
std::string own_gpu(int local_rank) {
  const auto rank = static_cast<std::size_t>(local_rank);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) {
    const int count = cuda_device_count();
    return count == 0 ? "" : std::to_string(rank % static_cast<std::size_t>(count));
  }
  std::vector<std::string> all(1);
  for (const char* c = visible; *c != '\0'; ++c) {
    if (*c == ',') {
      all.emplace_back();
    } else {
      all.back() += *c;
    }
  }
  return all[rank % all.size()];
}

}  // namespace

SweepPart rank_part(const LaunchInfo& launch, const SweepPlan& plan) {
  if (plan.options.method == SweepMethod::kHalving) {
    fail_usage(
        "halving compares all trials of a rung; start it as one process with --jobs, or set "
        "method = \"random\"");
  }
  return {launch.rank, launch.world_size};
}

void leave_launcher(const LaunchInfo& launch, const SweepPlan& plan) {
  forget_launch_info();
  const DeviceChoice device = parse_device(plan.device, "env.device");
  if (launch.local_world_size == 1 || device.kind == DeviceChoice::Kind::kCpu) return;
  if (device.index >= 0) {
    fail_usage("env.device = \"" + plan.device + "\" puts the trainings of all " +
               std::to_string(launch.local_world_size) +
               " ranks of this machine on one GPU; use \"cuda\"");
  }
  if (const std::string gpu = own_gpu(launch.local_rank); !gpu.empty())
    setenv("CUDA_VISIBLE_DEVICES", gpu.c_str(), 1);
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

}  // namespace rollmill
