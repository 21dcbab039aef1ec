// How worlds vary from episode to episode: parameters drawn anew for each, and levels.
//
// An episode of environment e draws its parameters from the key (seed, parameters, e, episode), its initial state from
// (seed, reset, e, episode). With levels it first draws a level number from (seed, level, e, episode); parameters and
// initial state then follow from (level seed, level) alone, so the same level is the same world for everyone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"

namespace rollmill {

enum class DrawKind : std::int32_t { kConstant, kUniform, kLogUniform, kNormal, kChoice };

inline constexpr int kMaxDrawChoices = 8;

// Distribution of one parameter. Draws are kept within [low, high], the parameter's own range.
struct ParamDraw {
  std::int32_t param = 0;  // index into EnvSpec::params
  DrawKind kind = DrawKind::kConstant;
  float a = 0, b = 0;  // constant: a. uniform, log_uniform: [a, b]. normal: mean a, deviation b
  std::int32_t count = 0;
  float choices[kMaxDrawChoices] = {};
  float low = 0, high = 0;
  std::int32_t integer = 0;  // 1: rounded to whole numbers, uniform means each of a..b alike
};

RM_HD float draw_parameter(const ParamDraw& d, Rng& rng) {
  float value = d.a;
  const float u = rng.uniform();
  const float z = d.kind == DrawKind::kNormal ? rng.normal() : 0.0f;
  switch (d.kind) {
    case DrawKind::kConstant: break;
    case DrawKind::kUniform:
      value = d.integer != 0 ? math::floor(d.a + (d.b - d.a + 1.0f) * u) : d.a + (d.b - d.a) * u;
      value = math::min(value, d.b);
      break;
    case DrawKind::kLogUniform:
      value = math::exp(math::log(d.a) + (math::log(d.b) - math::log(d.a)) * u);
      break;
    case DrawKind::kNormal: value = d.a + d.b * z; break;
    case DrawKind::kChoice: {
      const int last = d.count - 1;
      const int k = static_cast<int>(u * static_cast<float>(d.count));
      value = d.choices[k > last ? last : k];
      break;
    }
  }
  value = d.integer != 0 ? math::floor(value + 0.5f) : value;
  return math::clamp(value, d.low, d.high);
}

// Levels [first, first + count), drawn uniformly or by weight. count 0: none, every episode is a world of its own.
struct LevelSet {
  std::uint64_t seed = 0;  // of the levels' content: the same for every job
  std::uint32_t first = 0, count = 0;
  std::vector<float> weights;  // empty: uniform; else one a level, not negative, not all zero
};

// What a batch draws its worlds from. A curriculum replaces it between two rollouts; running episodes keep theirs.
struct World {
  std::vector<ParamDraw> draws;
  LevelSet levels;
};

// As kernels see it; pointers are in the batch's memory.
struct WorldView {
  const ParamDraw* draws = nullptr;
  std::int32_t draw_count = 0;
  std::uint64_t level_seed = 0;
  std::uint32_t level_first = 0, level_count = 0;
  const float* cumulative =
      nullptr;  // [level_count] sums of weights, the last one 1; null: uniform
};

// In place of an environment in a level's keys.
inline constexpr std::uint32_t kLevelEnvironment = 0xFFFFFFFFu;

// The level of an episode, 0 where there are none.
RM_HD std::uint32_t draw_level(const WorldView& world, std::uint64_t seed,
                               std::uint32_t environment, std::uint32_t episode) {
  if (world.level_count == 0) return 0;
  Rng rng(seed, Purpose::kLevel, environment, episode, 0);
  if (world.cumulative == nullptr) return world.level_first + rng.integer(world.level_count);
  const float u = rng.uniform();
  std::uint32_t low = 0, high = world.level_count - 1;  // the first level whose sum exceeds u
  while (low < high) {
    const std::uint32_t middle = (low + high) / 2;
    if (world.cumulative[middle] > u) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return world.level_first + low;
}

// What an episode's world is a function of: its own keys, or where there are levels its level's.
struct WorldKeys {
  std::uint64_t seed;
  std::uint32_t environment, episode;
};

// (By masks: g++ makes control flow of a condition that comes up three times, and does not vectorise it.)
RM_HD WorldKeys world_keys(const WorldView& world, std::uint64_t seed, std::uint32_t environment,
                           std::uint32_t episode, std::uint32_t level) {
  static_assert(kLevelEnvironment == ~0u);
  const std::uint32_t levels = 0u - (world.level_count != 0 ? 1u : 0u);
  const std::uint64_t both = std::uint64_t{levels} << 32 | levels;
  return {(world.level_seed & both) | (seed & ~both), environment | levels,
          (level & levels) | (episode & ~levels)};
}

}  // namespace rollmill
