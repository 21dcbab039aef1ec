// A policy as kernels see it: plain data and device pointers, by value.
#pragma once

#include <cstdint>

namespace rollmill {

inline constexpr int kMaxDeviceLayers = 8;

struct DeviceNet {
  struct Layer {
    int inputs, width;
    std::int64_t weight, bias;  // offsets into the parameters
  } layers[kMaxDeviceLayers];
  int count;
};

struct DevicePolicy {
  DeviceNet actor, critic;
  const float* params;         // rollout/mlp/layout.h
  const float *shift, *scale;  // [observations] of the normaliser; null when it is off
  float clip;
  const float* log_std;                           // [actions]; continuous only
  const float *middle, *half_range, *low, *high;  // [actions] bounds; continuous only
  int observations, outputs, max_width, tile_rows;
  bool discrete, greedy;
  std::uint64_t seed;
};

}  // namespace rollmill
