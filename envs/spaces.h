// Spaces of observations and actions, as types an environment names and as plain data that tools read.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill {

// A strided view of one environment's row in column storage: element k lies `stride` elements after k - 1.
template <class T>
struct Strided {
  T* data;
  std::int64_t stride;
  RM_HD T& operator[](int k) const { return data[k * stride]; }
};

// n choices, 0..n-1. Stored as one int32 column.
template <int n>
struct Discrete {
  static constexpr bool kDiscrete = true;
  static constexpr int kSize = 1;  // columns
  static constexpr int kChoices = n;
  using Value = std::int32_t;
  using Element = std::int32_t;
  RM_HD static Value load(const Element* column, std::int64_t, std::int64_t i) { return column[i]; }
};

// d real numbers. Stored as d float32 columns.
template <int d>
struct Box {
  static constexpr bool kDiscrete = false;
  static constexpr int kSize = d;
  static constexpr int kChoices = 0;
  struct Value {
    float v[d];
    RM_HD float operator[](int k) const { return v[k]; }
  };
  using Element = float;
  RM_HD static Value load(const Element* column, std::int64_t stride, std::int64_t i) {
    Value value;
    for (int k = 0; k < d; ++k) value.v[k] = column[k * stride + i];
    return value;
  }
};

}  // namespace rollmill
