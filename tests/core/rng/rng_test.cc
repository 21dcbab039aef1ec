// Draws from keys: their distributions, their independence of one another, and their exact values
// everywhere.
#include "core/rng/rng.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>
#include <tuple>
#include <vector>

#include "tests/core/rng/statistics.h"

namespace rollmill {
namespace {

constexpr int kDraws = 1000000;

Rng stream(std::uint32_t step) { return Rng(42, Purpose::kTest, 1, 2, step); }

template <class Draw>
std::vector<float> samples(Draw draw) {
  std::vector<float> values;
  values.reserve(kDraws);
  for (int i = 0; i < kDraws; i += 10) {  // ten of each stream: both ways to vary a key are used
    Rng rng = stream(static_cast<std::uint32_t>(i));
    for (int k = 0; k < 10; ++k) values.push_back(draw(rng));
  }
  return values;
}

double mean_power(const std::vector<float>& values, int power) {
  double sum = 0;
  for (const float v : values) sum += std::pow(static_cast<double>(v), power);
  return sum / static_cast<double>(values.size());
}

TEST(RngTest, BitsAreThreefryOfTheKey) {
  Rng rng(0x0123456789abcdefu, Purpose::kAction, 7, 11, 13);
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Uint4 expected = threefry4x32({11, 13, block, 0}, {0x89abcdefu, 0x01234567u, 3, 7});
    EXPECT_EQ(rng.bits(), expected.x);
    EXPECT_EQ(rng.bits(), expected.y);
    EXPECT_EQ(rng.bits(), expected.z);
    EXPECT_EQ(rng.bits(), expected.w);
  }
}

// Every part of the key matters: no two streams of a small grid share their first word.
TEST(RngTest, EveryPartOfTheKeyMatters) {
  std::set<std::uint32_t> words;
  int streams = 0;
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
    for (const Purpose purpose : {Purpose::kReset, Purpose::kStep, Purpose::kAction}) {
      for (std::uint32_t e = 0; e < 3; ++e) {
        for (std::uint32_t episode = 0; episode < 3; ++episode) {
          for (std::uint32_t step = 0; step < 3; ++step, ++streams) {
            words.insert(Rng(seed, purpose, e, episode, step).bits());
          }
        }
      }
    }
  }
  EXPECT_EQ(static_cast<int>(words.size()), streams);
}

// A mean of n draws is off by six of its standard deviations with probability 2e-9.
TEST(RngTest, UniformIsUniform) {
  const auto values = samples([](Rng& rng) { return rng.uniform(); });
  for (const float v : values) ASSERT_TRUE(v >= 0.0f && v < 1.0f);
  EXPECT_NEAR(mean_power(values, 1), 0.5, 6 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(mean_power(values, 2), 1.0 / 3, 6 * std::sqrt(4.0 / 45 / kDraws));
  EXPECT_LE(test::ks_distance(values, [](double x) { return x; }), test::ks_critical(kDraws));
}

TEST(RngTest, UnitFromBitsIsExact) {
  EXPECT_EQ(unit_from_bits(0), 0.0f);
  EXPECT_EQ(unit_from_bits(0xffu), 0.0f);
  EXPECT_EQ(unit_from_bits(0x100u), 0x1p-24f);
  EXPECT_EQ(unit_from_bits(0x80000000u), 0.5f);
  EXPECT_EQ(unit_from_bits(0xffffffffu), 1.0f - 0x1p-24f);
}

TEST(RngTest, UniformRangeStaysInside) {
  for (const auto& [low, high] :
       {std::pair{-0.05f, 0.05f}, {2.0f, 3.0f}, {-3.1415927f, 3.1415927f}}) {
    const auto values =
        samples([&, low = low, high = high](Rng& rng) { return rng.uniform(low, high); });
    const double width = static_cast<double>(high) - low;
    for (const float v : values) ASSERT_TRUE(v >= low && v <= high) << v;
    EXPECT_LE(test::ks_distance(values, [&, low = low](double x) { return (x - low) / width; }),
              test::ks_critical(kDraws));
  }
}

TEST(RngTest, NormalIsNormal) {
  const auto values = samples([](Rng& rng) { return rng.normal(); });
  for (const float v : values) ASSERT_LE(std::abs(v), 6.77f);
  EXPECT_NEAR(mean_power(values, 1), 0, 6 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(mean_power(values, 2), 1, 6 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(mean_power(values, 3), 0, 6 * std::sqrt(15.0 / kDraws));
  EXPECT_NEAR(mean_power(values, 4), 3, 6 * std::sqrt(96.0 / kDraws));
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_LE(test::ks_distance(values, cdf), test::ks_critical(kDraws));
}

// Both halves of the pair, against Box and Muller's formula in double; and that the two are
// independent.
TEST(RngTest, NormalPairIsBoxAndMullers) {
  double product = 0;
  std::vector<float> second;
  for (std::uint32_t i = 0; i < 100000; ++i) {
    Rng rng = stream(i);
    const std::uint32_t a = rng.bits(), b = rng.bits();
    const NormalPair pair = normal_from_bits(a, b);
    const double radius =
        std::sqrt(-2 * std::log((static_cast<double>(a >> 1) + 0.5) / 2147483648.0));
    const double angle = 6.283185307179586 * static_cast<double>(b >> 8) / 16777216.0;
    // Rounding u (2^-24 relative, which moves the radius by 2^-24 / radius), the angle (2 pi 2^-23)
    // and the products.
    const double allowed = 0x1p-20 * (radius + 1) + 0x1p-24 / (radius + 0x1p-13);
    ASSERT_NEAR(pair.first, radius * std::cos(angle), allowed) << a << " " << b;
    ASSERT_NEAR(pair.second, radius * std::sin(angle), allowed) << a << " " << b;
    product += static_cast<double>(pair.first) * pair.second;
    second.push_back(pair.second);
  }
  EXPECT_LE(std::abs(product) / 100000, 6 / std::sqrt(100000.0));
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  EXPECT_LE(test::ks_distance(second, cdf), test::ks_critical(second.size()));
}

TEST(RngTest, NormalIsFiniteAtTheEnds) {
  for (const std::uint32_t a : {0u, 1u, 0xffffffffu}) {
    for (const std::uint32_t b : {0u, 0x80000000u, 0xffffffffu}) {
      EXPECT_TRUE(math::is_finite(normal_from_bits(a, b).first));
      EXPECT_TRUE(math::is_finite(normal_from_bits(a, b).second));
    }
  }
}

TEST(RngTest, IntegerIsUniform) {
  for (const std::uint32_t n : {1u, 2u, 3u, 7u, 10u, 1000u}) {
    std::vector<int> counts(n, 0);
    for (int i = 0; i < 200000; ++i) {
      const std::uint32_t v = stream(static_cast<std::uint32_t>(i)).integer(n);
      ASSERT_LT(v, n);
      ++counts[v];
    }
    if (n > 1) {
      EXPECT_LE(test::chi_square(counts), test::chi_square_critical(n)) << n;
    }
  }
}

// For n = 3 * 2^30 plain multiplication would give every third value twice as often, so the
// rejection must act: a quarter of all words. Counted in thirds of each value modulo 3, and in
// quarters of the range.
TEST(RngTest, IntegerIsUniformWhereRejectionIsFrequent) {
  constexpr std::uint32_t kN = 3u << 30;
  std::vector<int> residues(3, 0), quarters(4, 0);
  int rejected = 0;
  for (int i = 0; i < 200000; ++i) {
    Rng rng = stream(static_cast<std::uint32_t>(i));
    Rng peek = rng;
    const std::uint32_t v = rng.integer(kN);
    ASSERT_LT(v, kN);
    ++residues[v % 3];
    ++quarters[v / (kN / 4)];
    rejected += multiply_high(peek.bits(), kN) != v;
  }
  EXPECT_LE(test::chi_square(residues), test::chi_square_critical(3));
  EXPECT_LE(test::chi_square(quarters), test::chi_square_critical(4));
  EXPECT_NEAR(rejected / 200000.0, 0.25, 6 * std::sqrt(0.25 * 0.75 / 200000));
}

// The same rule with 8-bit words, by brute force over every word and every n: accepted words fall
// on each value equally often. Then Rng::integer itself must accept and reject as the rule for 32
// bits says.
TEST(RngTest, LemiresRuleIsExact) {
  for (std::uint32_t n = 1; n < 256; ++n) {
    const std::uint32_t threshold = (256 - n) % n;
    std::vector<int> counts(n, 0);
    for (std::uint32_t word = 0; word < 256; ++word) {
      const std::uint32_t product = word * n;
      if ((product & 0xffu) >= threshold) ++counts[product >> 8];
    }
    for (const int c : counts) ASSERT_EQ(c, static_cast<int>(256 / n)) << n;
  }
  for (const std::uint32_t n : {5u, 100000u, 0x80000001u, 0xc0000000u, 0xffffffffu}) {
    const auto threshold = static_cast<std::uint32_t>(((std::uint64_t{1} << 32) - n) % n);
    for (std::uint32_t i = 0; i < 20000; ++i) {
      Rng rng = stream(i), words = stream(i);
      std::uint64_t product = 0;
      do {
        product = static_cast<std::uint64_t>(words.bits()) * n;
      } while (static_cast<std::uint32_t>(product) < threshold);
      ASSERT_EQ(rng.integer(n), static_cast<std::uint32_t>(product >> 32));
      ASSERT_EQ(rng.bits(), words.bits());  // and has used as many words
    }
  }
}

TEST(RngTest, BernoulliHasItsProbability) {
  for (const float p : {0.0f, 0.1f, 0.5f, 1.0f}) {
    int hits = 0;
    for (std::uint32_t i = 0; i < 100000; ++i) hits += stream(i).bernoulli(p);
    EXPECT_NEAR(hits / 100000.0, p, 6 * std::sqrt(p * (1 - p) / 100000.0));
  }
}

TEST(RngTest, PermutationsArePermutations) {
  for (const std::uint32_t n : {0u, 1u, 2u, 17u, 4096u, 65536u}) {
    std::vector<std::uint32_t> p(n + 1, 0xabcdu);
    permute(stream(n), n, p.data());
    EXPECT_EQ(p[n], 0xabcdu);
    std::vector<bool> seen(n, false);
    for (std::uint32_t i = 0; i < n; ++i) {
      ASSERT_LT(p[i], n);
      ASSERT_FALSE(seen[p[i]]);
      seen[p[i]] = true;
    }
  }
}

TEST(RngTest, PermutationsAreUniform) {
  std::vector<int> counts(24, 0);
  for (std::uint32_t i = 0; i < 240000; ++i) {
    std::array<std::uint32_t, 4> p{};
    permute(stream(i), 4, p.data());
    std::size_t rank = 0;  // Lehmer code
    for (std::size_t a = 0; a < 4; ++a) {
      std::size_t smaller = 0;
      for (std::size_t b = a + 1; b < 4; ++b) smaller += p[b] < p[a];
      rank = rank * (4 - a) + smaller;
    }
    ++counts[rank];
  }
  EXPECT_LE(test::chi_square(counts), test::chi_square_critical(24));
}

// The same values on every machine, compiler and flag set. Stored datasets replay only while these
// hold. FNV-1a over 32-bit words. bits, integers and order were computed a second time by a Python
// program written from the papers; reals by this text alone.
TEST(RngTest, GoldenValues) {
  std::uint64_t bits = 0xcbf29ce484222325u, reals = bits, integers = bits, order = bits;
  const auto add = [](std::uint64_t& hash, std::uint32_t word) {
    hash = (hash ^ word) * 0x100000001b3u;
  };
  for (std::uint32_t i = 0; i < 10000; ++i) {
    Rng rng(0xfeedfacecafebeefu, Purpose::kReset, i, i * 3, i * 7);
    for (int k = 0; k < 5; ++k) add(bits, rng.bits());
    add(reals, math::to_bits(rng.uniform()));
    add(reals, math::to_bits(rng.uniform(-0.6f, -0.4f)));
    add(reals, math::to_bits(rng.normal()));
    add(integers, rng.integer(i + 1));
    add(integers, rng.integer(0xc0000000u));
  }
  std::vector<std::uint32_t> p(1000);
  permute(stream(9), 1000, p.data());
  for (const std::uint32_t v : p) add(order, v);
  EXPECT_EQ(bits, 0x470f284017503c84u);
  EXPECT_EQ(reals, 0xce807a29dfca3249u);
  EXPECT_EQ(integers, 0xe22163c294d674acu);
  EXPECT_EQ(order, 0x7b7a1dd1e8b7d72du);
}

}  // namespace
}  // namespace rollmill
