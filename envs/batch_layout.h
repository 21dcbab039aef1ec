// Where a batch keeps what, the same in host and device memory: snapshots of one are snapshots of the other.
// One allocation of 32-bit words, [columns][stride]:
//   state words | environment | episode | step | running return | and, where the world varies, level | parameters
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "envs/step_kernel.h"

namespace rollmill {

// Words that the runtime keeps for each environment after its state.
inline constexpr int kRuntimeWords = 4;

template <class Params>
constexpr int count_param_words() {
  int count = 0;
  Params p{};
  p.visit([&count](const FieldInfo&, auto&) { ++count; });
  return count;
}

inline bool varies(const BatchConfig& config) {
  return config.changing_world || !config.world.draws.empty() || config.world.levels.count != 0;
}

// Columns of one environment.
template <class Env>
int batch_words(bool varied) {
  return kWords<typename Env::State> + kRuntimeWords +
         (varied ? 1 + count_param_words<typename Env::Params>() : 0);
}

inline BatchColumns layout_columns(std::uint32_t* words, std::int64_t stride, int state_words,
                                   bool varied) {
  BatchColumns c{};
  c.stride = stride;
  c.state = words;
  c.environment = c.state + state_words * stride;
  c.episode = c.environment + stride;
  c.step = c.episode + stride;
  c.episode_return = reinterpret_cast<float*>(c.step + stride);
  c.level = varied ? c.step + 2 * stride : nullptr;
  c.params = varied ? c.step + 3 * stride : nullptr;
  return c;
}

inline BatchConstants batch_constants(const BatchConfig& config, int own_time_limit) {
  BatchConstants c{};
  c.seed = config.seed;
  c.episode_stride = config.episode_stride;
  const int limit = config.time_limit < 0 ? own_time_limit : config.time_limit;
  c.time_limit = limit == 0 ? 0xFFFFFFFFu : static_cast<std::uint32_t>(limit);
  return c;
}

// Sums of level weights, scaled so that the last one is 1; empty for uniform levels.
inline std::vector<float> cumulative_weights(const LevelSet& levels) {
  if (levels.count == 0 || levels.weights.empty()) return {};
  if (levels.weights.size() != levels.count) fail_usage("one weight for each level is wanted");
  double total = 0;
  for (const float w : levels.weights) {
    if (!(w >= 0.0f)) fail_usage("level weights must not be negative or NaN");
    total += static_cast<double>(w);
  }
  if (!(total > 0)) fail_usage("at least one level needs a weight above 0");
  std::vector<float> sums;
  double sum = 0;
  for (const float w : levels.weights) {
    sum += static_cast<double>(w);
    sums.push_back(static_cast<float>(sum / total));
  }
  // No draw may pass the last level that has a weight: u < 1 finds the first sum above it.
  for (std::size_t k = sums.size(); k-- > 0;) {
    if (levels.weights[k] != 0.0f) {
      sums[k] = 1.0f;
      break;
    }
  }
  return sums;
}

// A world in host memory with the pointers that kernels take.
struct HostWorld {
  World world;
  std::vector<float> cumulative;
  explicit HostWorld(const World& w) : world(w), cumulative(cumulative_weights(w.levels)) {}
  WorldView view() const {
    WorldView v;
    v.draws = world.draws.data();
    v.draw_count = static_cast<std::int32_t>(world.draws.size());
    v.level_seed = world.levels.seed;
    v.level_first = world.levels.first;
    v.level_count = world.levels.count;
    v.cumulative = cumulative.empty() ? nullptr : cumulative.data();
    return v;
  }
};

// A parameter word as the number it is.
template <class Params>
std::vector<double> param_values(Params params) {
  std::vector<double> values;
  params.visit([&](const FieldInfo&, auto& value) { values.push_back(shortest_double(value)); });
  return values;
}

}  // namespace rollmill
