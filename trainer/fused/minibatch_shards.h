// Into how many shards a minibatch is cut: by sizes alone, so that who computes them changes nothing. Each has its own gradient,
// and they are added in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rollout/mlp/tile_input.h"
#include "trainer/fused/sequence_rows.h"

namespace rollmill {

// As many as keep a large GPU's blocks busy, while their gradients take 256 MB or less.
inline constexpr int kMaxShards = 512, kFewShards = 64;
inline constexpr std::int64_t kShardFloats = std::int64_t{1} << 26;

// Units of one shard at most as many as keep a thread busy for long; fewer for sequences, which are long themselves. More where
// patches are looked up: more rows show few patches more, and a shard then takes little longer than adding up its gradient.
inline int shard_units(const PolicyShape& shape) {
  if (shape.memory != MemoryKind::kNone) return kSequenceRows;
  return (shape.by_patch() ? 4 : 2) * kTileRows;
}

// units: of one group; most: of a shard, while there are few.
inline int minibatch_shards(int units, int most, std::int64_t parameters) {
  const auto room = std::clamp<std::int64_t>(kShardFloats / parameters, kFewShards, kMaxShards);
  return std::clamp((units - 1) / most + 1, 1, static_cast<int>(room));
}

}  // namespace rollmill
