// Identical bits everywhere: a hash of every function's results over a fixed sweep, which any
// compiler, -O level and -march must reproduce. A mismatch means a compiler contracted or reordered
// arithmetic (is -ffp-contract=off missing?) or that a function changed, which breaks replay of
// recorded data.
#include <gtest/gtest.h>

#include "core/math/math.h"
#include "tests/core/math/ulp.h"

namespace rollmill {
namespace {

using test::Draws;

// FNV-1a over 32-bit words. All NaNs count as one: their bits are not promised.
class Hash {
 public:
  void add(float x) {
    value_ = (value_ ^ (math::is_nan(x) ? 0x7fc00000u : math::to_bits(x))) * 0x100000001b3u;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

// Every 10007th bit pattern of all 2^32, and 100,000 draws from [-20, 20]. The results go through
// an array, so that the loop over the function is vectorised as in an environment.
template <class F>
std::uint64_t hash1(F f) {
  constexpr int kBlock = 512;
  float in[kBlock], out[kBlock];
  Hash hash;
  Draws draws(3);
  std::uint64_t u = 0;
  for (int draw = 0; u <= 0xffffffffu || draw < 100000;) {
    for (float& x : in) {
      if (u <= 0xffffffffu) {
        x = math::from_bits(static_cast<std::uint32_t>(u));
        u += 10007;
      } else {
        x = draws.uniform(-20.0f, 20.0f);
        ++draw;
      }
    }
    for (int i = 0; i < kBlock; ++i) out[i] = f(in[i]);
    for (const float y : out) hash.add(y);
  }
  return hash.value();
}

template <class F>
std::uint64_t hash2(F f) {
  constexpr int kBlock = 512;
  float a[kBlock], b[kBlock], out[kBlock];
  Hash hash;
  Draws draws(4);
  for (int block = 0; block < 800; ++block) {
    for (int i = 0; i < kBlock; ++i) {
      a[i] = i % 2 != 0 ? draws.any() : draws.uniform(-4.0f, 8.0f);
      b[i] = i % 3 != 0 ? draws.any() : draws.uniform(-4.0f, 8.0f);
    }
    for (int i = 0; i < kBlock; ++i) out[i] = f(a[i], b[i]);
    for (const float y : out) hash.add(y);
  }
  return hash.value();
}

TEST(MathGolden, BitsNeverChange) {
#define RM_GOLDEN(expected, kind, ...) EXPECT_EQ(kind(__VA_ARGS__), expected##u) << #__VA_ARGS__
  RM_GOLDEN(0x6e42e9b3683079c3, hash1, [](float x) { return math::sin(x); });
  RM_GOLDEN(0xa86726c5d99a58f0, hash1, [](float x) { return math::cos(x); });
  RM_GOLDEN(0x7f322feeae778c01, hash1, [](float x) { return math::tan(x); });
  RM_GOLDEN(0x40e8a13cedf119c2, hash1, [](float x) { return math::exp(x); });
  RM_GOLDEN(0x233441ae913a6341, hash1, [](float x) { return math::log(x); });
  RM_GOLDEN(0x3a3e7aadf308f0c0, hash1, [](float x) { return math::tanh(x); });
  RM_GOLDEN(0xd605015af640bf69, hash1, [](float x) { return math::atan(x); });
  RM_GOLDEN(0xd1fd59003bb17a84, hash1, [](float x) { return math::sqrt(x); });
  RM_GOLDEN(0x0506464740a72135, hash1, [](float x) { return math::floor(x); });
  RM_GOLDEN(0x7c6b7ea2a336f859, hash1, [](float x) { return math::round_to_even(x); });
  RM_GOLDEN(0x16c26dcd98ab6ebf, hash1,
            [](float x) { return static_cast<float>(math::floor_to_int(x)); });
  RM_GOLDEN(0x6c74b95867aee505, hash2, [](float x, float y) { return math::atan2(x, y); });
  RM_GOLDEN(0x1ad3b2cdaf2aebd9, hash2, [](float x, float y) { return math::pow(x, y); });
#undef RM_GOLDEN
}

}  // namespace
}  // namespace rollmill
