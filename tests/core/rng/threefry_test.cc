// Threefry-4x32-20 against its authors: the published known answers, and their own C headers
// (Debian's librandom123-dev) on random inputs.
#include "core/rng/threefry.h"

#include <gtest/gtest.h>

#if __has_include(<Random123/threefry.h>)
#include <Random123/threefry.h>
#undef threefry4x32  // a macro there, a function here
#define RM_HAVE_RANDOM123 1
#endif

#include <random>

namespace rollmill {
namespace {

struct KnownAnswer {
  Uint4 counter, key, result;
};

// The three lines "threefry4x32 20" of kat_vectors, Random123 1.14.
constexpr KnownAnswer kKnown[] = {
    {{0, 0, 0, 0}, {0, 0, 0, 0}, {0x9c6ca96a, 0xe17eae66, 0xfc10ecd4, 0x5256a7d8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0x2a881696, 0x57012287, 0xf6c7446e, 0xa16a6732}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89},
     {0x59cd1dbb, 0xb8879579, 0x86b5d00c, 0xac8b6d84}}};

TEST(ThreefryTest, KnownAnswers) {
  for (const KnownAnswer& known : kKnown) {
    const Uint4 r = threefry4x32(known.counter, known.key);
    EXPECT_EQ(r.x, known.result.x);
    EXPECT_EQ(r.y, known.result.y);
    EXPECT_EQ(r.z, known.result.z);
    EXPECT_EQ(r.w, known.result.w);
  }
}

TEST(ThreefryTest, IsAConstantExpression) {
  constexpr Uint4 r = threefry4x32({0, 0, 0, 0}, {0, 0, 0, 0});
  static_assert(r.x == 0x9c6ca96au);
  EXPECT_EQ(r.w, 0x5256a7d8u);
}

TEST(ThreefryTest, EqualsRandom123) {
#if defined(RM_HAVE_RANDOM123)
  std::mt19937 words(5);
  for (int i = 0; i < 100000; ++i) {
    threefry4x32_ctr_t counter;
    threefry4x32_key_t key;
    for (auto& v : counter.v) v = static_cast<std::uint32_t>(words());
    for (auto& v : key.v) v = static_cast<std::uint32_t>(words());
    const threefry4x32_ctr_t theirs = threefry4x32_R(20, counter, key);
    const Uint4 ours = threefry4x32({counter.v[0], counter.v[1], counter.v[2], counter.v[3]},
                                    {key.v[0], key.v[1], key.v[2], key.v[3]});
    ASSERT_TRUE(ours.x == theirs.v[0] && ours.y == theirs.v[1] && ours.z == theirs.v[2] &&
                ours.w == theirs.v[3])
        << "input " << i;
  }
#else
  GTEST_SKIP() << "librandom123-dev is not installed";
#endif
}

}  // namespace
}  // namespace rollmill
