// RolloutPair on a GPU.
#pragma once

#include <memory>

#include "rollout/device_collector.h"
#include "rollout/rollout_pair.h"

namespace rollmill {

// As make_device_collector. Policies without memory.
std::unique_ptr<RolloutPair> make_device_rollout_pair(const DeviceCollectorConfig& config);

}  // namespace rollmill

extern "C" rollmill::RolloutPair* rollmill_make_device_rollout_pair(
    const rollmill::DeviceCollectorConfig* config);
