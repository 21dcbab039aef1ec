// Spaces of observations and actions, as types an environment names. As plain data: envs/env_spec.h.
//
// Everything is stored as columns of 32-bit words: a float, an integer, four bytes or 32 booleans. An observation's
// `kSize` counts its columns, `kElements` what a network reads once it is unpacked (rollout/unpack.h):
//
//   space             stored                        a network reads
//   Box<d>            d float32                     d numbers
//   Discrete<n>       1 int32                       n numbers, one of them 1
//   MultiDiscrete<n...>  one int32 for each         one-hot parts, one after another
//   Planes<c, h, w>   1 bit an element, 32 a word   c * h * w numbers, 0 or 1
//   Pixels<c, h, w>    1 byte an element, 4 a word   c * h * w numbers, x / 255
//
// Element (c, y, x) of a picture has index (c * h + y) * w + x; its bit is bit index % 32 of word index / 32, its byte
// is byte index % 4 (little-endian) of word index / 4. Bits and bytes beyond the last element are 0.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill {

// Words of column storage, whatever they hold: these types may alias any other.
using Word = std::uint32_t __attribute__((__may_alias__));
using IntWord = std::int32_t __attribute__((__may_alias__));
using FloatWord = float __attribute__((__may_alias__));

// A strided view of one environment's row in column storage: element k lies `stride` elements after k - 1.
template <class T>
struct Strided {
  T* data;
  std::int64_t stride;
  RM_HD T& operator[](int k) const { return data[k * stride]; }
};

// The same of words and of integers. (Types of their own: a template would drop the attribute.)
struct Words {
  Word* data;
  std::int64_t stride;
  RM_HD Word& operator[](int k) const { return data[k * stride]; }
};
struct ConstWords {
  const Word* data;
  std::int64_t stride;
  RM_HD Word operator[](int k) const { return data[k * stride]; }
};
struct Ints {
  IntWord* data;
  std::int64_t stride;
  RM_HD IntWord& operator[](int k) const { return data[k * stride]; }
};
struct ConstInts {
  const IntWord* data;
  std::int64_t stride;
  RM_HD std::int32_t operator[](int k) const { return data[k * stride]; }
};

enum class ObservationKind : std::uint8_t { kReal, kChoices, kBits, kPixels };

// d real numbers.
template <int d>
struct Box {
  static constexpr int kSize = d;  // columns
  // as an action
  static constexpr int kDiscreteColumns = 0;
  static constexpr int kTotalChoices = 0;
  struct Value {
    float v[d];
    RM_HD float operator[](int k) const { return v[k]; }
  };
  RM_HD static Value load(const void* actions, std::int64_t stride, std::int64_t i) {
    Value value;
    for (int k = 0; k < d; ++k) value.v[k] = static_cast<const FloatWord*>(actions)[k * stride + i];
    return value;
  }
  RM_HD static void store(const Value& value, void* actions, std::int64_t stride, std::int64_t i) {
    for (int k = 0; k < d; ++k) static_cast<FloatWord*>(actions)[k * stride + i] = value.v[k];
  }
  // as an observation
  static constexpr ObservationKind kKind = ObservationKind::kReal;
  static constexpr int kElements = d;
  static constexpr int kFields = d;  // FieldInfos that describe it
  static constexpr int kShape[1] = {d};
  using Writer = Strided<float>;
  using Reader = Strided<const float>;
};

// Several independent choices; the k-th is 0 .. n_k - 1.
template <int... n>
struct MultiDiscrete {
  static constexpr int kSize = sizeof...(n);
  static constexpr int kChoices[sizeof...(n)] = {n...};
  // as an action
  static constexpr int kDiscreteColumns = kSize;
  static constexpr int kTotalChoices = (n + ...);
  struct Value {
    std::int32_t v[kSize];
    RM_HD std::int32_t operator[](int k) const { return v[k]; }
  };
  RM_HD static Value load(const void* actions, std::int64_t stride, std::int64_t i) {
    Value value;
    for (int k = 0; k < kSize; ++k)
      value.v[k] = static_cast<const IntWord*>(actions)[k * stride + i];
    return value;
  }
  RM_HD static void store(const Value& value, void* actions, std::int64_t stride, std::int64_t i) {
    for (int k = 0; k < kSize; ++k) static_cast<IntWord*>(actions)[k * stride + i] = value.v[k];
  }
  // as an observation
  static constexpr ObservationKind kKind = ObservationKind::kChoices;
  static constexpr int kElements = kTotalChoices;
  static constexpr int kFields = kSize;
  static constexpr int kShape[1] = {kSize};
  using Writer = Ints;
  using Reader = ConstInts;
};

// n choices, 0 .. n - 1.
template <int n>
struct Discrete : MultiDiscrete<n> {
  using Value = std::int32_t;
  RM_HD static Value load(const void* actions, std::int64_t, std::int64_t i) {
    return static_cast<const IntWord*>(actions)[i];
  }
  RM_HD static void store(Value value, void* actions, std::int64_t, std::int64_t i) {
    static_cast<IntWord*>(actions)[i] = value;
  }
};

// Choices and real numbers together; the choices' columns come first.
template <class Choices, class Reals>
struct Mixed {
  static constexpr int kDiscreteColumns = Choices::kSize;
  static constexpr int kTotalChoices = Choices::kTotalChoices;
  static constexpr int kSize = Choices::kSize + Reals::kSize;
  static constexpr auto& kChoices = Choices::kChoices;
  struct Value {
    typename Choices::Value choice;
    typename Reals::Value real;
  };
  RM_HD static Value load(const void* actions, std::int64_t stride, std::int64_t i) {
    return {Choices::load(actions, stride, i),
            Reals::load(static_cast<const Word*>(actions) + Choices::kSize * stride, stride, i)};
  }
  RM_HD static void store(const Value& value, void* actions, std::int64_t stride, std::int64_t i) {
    Choices::store(value.choice, actions, stride, i);
    Reals::store(value.real, static_cast<Word*>(actions) + Choices::kSize * stride, stride, i);
  }
};

// c planes of h x w booleans.
template <int c, int h, int w>
struct Planes {
  static constexpr ObservationKind kKind = ObservationKind::kBits;
  static constexpr int kElements = c * h * w;
  static constexpr int kSize = (kElements + 31) / 32;
  static constexpr int kFields = c;
  static constexpr int kShape[3] = {c, h, w};
  using Writer = Words;
  using Reader = ConstWords;
  RM_HD static constexpr int index(int plane, int y, int x) { return (plane * h + y) * w + x; }
};

// c planes of h x w bytes.
template <int c, int h, int w>
struct Pixels {
  static constexpr ObservationKind kKind = ObservationKind::kPixels;
  static constexpr int kElements = c * h * w;
  static constexpr int kSize = (kElements + 3) / 4;
  static constexpr int kFields = c;
  static constexpr int kShape[3] = {c, h, w};
  using Writer = Words;
  using Reader = ConstWords;
  RM_HD static constexpr int index(int plane, int y, int x) { return (plane * h + y) * w + x; }
};

// A row of bits in local variables, to be written to a Planes observation or an action mask at the end. Loops have
// constant bounds and no branches, so that a step loop over it still vectorises.
template <int words>
struct BitRow {
  std::uint32_t word[words] = {};

  // Sets bit `index` (known only at run time) if `on`.
  RM_HD void set(int index, bool on = true) {
    const std::uint32_t bit = on ? 1u << (index & 31) : 0u;
    for (int k = 0; k < words; ++k) word[k] |= (index >> 5) == k ? bit : 0u;
  }
  // Ors `bits` in, its bit 0 at `first`. Bits must not reach beyond the row. Free of selects where `first` is a constant.
  RM_HD void put(int first, std::uint32_t bits) {
    const int shift = first & 31;
    for (int k = 0; k < words; ++k) {
      word[k] |= (first >> 5) == k ? bits << shift : 0u;
      if (shift != 0) word[k] |= (first >> 5) + 1 == k ? bits >> (32 - shift) : 0u;
    }
  }
  RM_HD bool get(int index) const {
    std::uint32_t chosen = 0;
    for (int k = 0; k < words; ++k) chosen |= (index >> 5) == k ? word[k] : 0u;
    return ((chosen >> (index & 31)) & 1u) != 0;
  }
  RM_HD void store(Words out) const {
    for (int k = 0; k < words; ++k) out[k] = word[k];
  }
};

}  // namespace rollmill
