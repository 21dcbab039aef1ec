// Threefry-4x32-20: a counter-based generator, 128 random bits from (128-bit counter, 128-bit key).
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); checked against
// the published known-answer vectors and against Debian's Random123 headers in tests/core/rng.
// Only 32-bit adds, rotates and xors: the same bits everywhere, and sixteen lanes at a time on AVX-512.
#pragma once

#include <cstdint>

#include "core/base/macros.h"

namespace rollmill {

struct Uint4 {
  std::uint32_t x, y, z, w;
};

namespace internal {

RM_HD constexpr std::uint32_t rotate_left(std::uint32_t v, int n) {
  return (v << n) | (v >> (32 - n));
}

// One round: two mixes. Even rounds pair (x,y)(z,w), odd rounds (x,w)(z,y).
template <int kFirst, int kSecond>
RM_HD constexpr void threefry_even(Uint4& v) {
  v.x += v.y;
  v.y = rotate_left(v.y, kFirst) ^ v.x;
  v.z += v.w;
  v.w = rotate_left(v.w, kSecond) ^ v.z;
}
template <int kFirst, int kSecond>
RM_HD constexpr void threefry_odd(Uint4& v) {
  v.x += v.w;
  v.w = rotate_left(v.w, kFirst) ^ v.x;
  v.z += v.y;
  v.y = rotate_left(v.y, kSecond) ^ v.z;
}

RM_HD constexpr void threefry_first_half(Uint4& v) {
  threefry_even<10, 26>(v);
  threefry_odd<11, 21>(v);
  threefry_even<13, 27>(v);
  threefry_odd<23, 5>(v);
}
RM_HD constexpr void threefry_second_half(Uint4& v) {
  threefry_even<6, 20>(v);
  threefry_odd<17, 11>(v);
  threefry_even<25, 10>(v);
  threefry_odd<18, 20>(v);
}
RM_HD constexpr void threefry_inject(Uint4& v, std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                     std::uint32_t d, std::uint32_t round) {
  v.x += a;
  v.y += b;
  v.z += c;
  v.w += d + round;
}

}  // namespace internal

RM_HD constexpr Uint4 threefry4x32(Uint4 counter, Uint4 key) {
  using namespace internal;
  const std::uint32_t parity = 0x1BD11BDAu ^ key.x ^ key.y ^ key.z ^ key.w;
  Uint4 v{counter.x + key.x, counter.y + key.y, counter.z + key.z, counter.w + key.w};
  threefry_first_half(v);
  threefry_inject(v, key.y, key.z, key.w, parity, 1);
  threefry_second_half(v);
  threefry_inject(v, key.z, key.w, parity, key.x, 2);
  threefry_first_half(v);
  threefry_inject(v, key.w, parity, key.x, key.y, 3);
  threefry_second_half(v);
  threefry_inject(v, parity, key.x, key.y, key.z, 4);
  threefry_first_half(v);
  threefry_inject(v, key.x, key.y, key.z, key.w, 5);
  return v;
}

}  // namespace rollmill
