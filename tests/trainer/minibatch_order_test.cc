// Epochs' orders: permutations, whichever way they are made; of large ones each place is as likely to hold each sample.
#include "trainer/minibatch_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "trainer/learner.h"

namespace rollmill {
namespace {

std::vector<std::uint32_t> order_of(std::uint32_t samples, std::int64_t update, int epoch) {
  std::vector<std::uint32_t> order(samples);
  minibatch_order(5, 0, update, epoch, samples, order.data());
  return order;
}

TEST(MinibatchOrder, HasEachSampleOnce) {
  for (const std::uint32_t n : {1u, 2u, 777u, kShuffledFrom - 1, kShuffledFrom, kShuffledFrom + 1,
                                100000u, (1u << 18) - 1, (1u << 18) + 1, 1u << 20}) {
    std::vector<bool> seen(n);
    for (const std::uint32_t sample : order_of(n, 3, 1)) {
      ASSERT_LT(sample, n);
      ASSERT_FALSE(seen[sample]) << n;
      seen[sample] = true;
    }
  }
}

// The CPU makes large ones in vectors, a GPU's threads place by place.
TEST(MinibatchOrder, IsTheBijectionOfEachPlace) {
  for (const std::uint32_t n : {kShuffledFrom, kShuffledFrom + 1, 100000u, (1u << 18) + 1}) {
    const auto order = order_of(n, 3, 1);
    const ShuffleKey key = shuffle_key(minibatch_rng(5, 0, 3, 1), n);
    for (std::uint32_t place = 0; place < n; ++place)
      ASSERT_EQ(order[place], shuffled(key, place)) << n;
  }
}

TEST(MinibatchOrder, DiffersFromEpochToEpochAndUpdateToUpdate) {
  for (const std::uint32_t n : {1000u, 100000u}) {
    const auto first = order_of(n, 0, 0), epoch = order_of(n, 0, 1), update = order_of(n, 1, 0);
    int same = 0;
    for (std::uint32_t i = 0; i < n; ++i) same += (first[i] == epoch[i]) + (first[i] == update[i]);
    EXPECT_LT(same, 20);  // two are expected
    EXPECT_EQ(first, order_of(n, 0, 0));
  }
}

// Over 2,000 keys: which sixteenth of the samples comes at a place, and which at its neighbour.
TEST(MinibatchOrder, PlacesAndPairsAreUniform) {
  constexpr std::uint32_t kSamples = 100000;
  constexpr int kKeys = 2000, kParts = 16;
  for (const std::uint32_t place : {0u, 1u, 49999u, 99998u}) {
    std::vector<double> single(kParts), pair(kParts * kParts);
    for (int update = 0; update < kKeys; ++update) {
      const ShuffleKey key = shuffle_key(minibatch_rng(9, 0, update, 0), kSamples);
      const std::uint32_t a = shuffled(key, place) * std::uint64_t{kParts} / kSamples;
      const std::uint32_t b = shuffled(key, place + 1) * std::uint64_t{kParts} / kSamples;
      ++single[a];
      ++pair[a * kParts + b];
    }
    const auto chi_square = [](const std::vector<double>& counts) {
      const double expected = kKeys / static_cast<double>(counts.size());
      double sum = 0;
      for (const double c : counts) sum += (c - expected) * (c - expected) / expected;
      return sum;
    };
    // Quantiles of 0.9999 with 15 and 255 degrees of freedom; the seed is fixed.
    EXPECT_LT(chi_square(single), 44.3) << place;
    EXPECT_LT(chi_square(pair), 346) << place;
  }
}

// A minibatch of neighbouring places spreads over all samples as a draw without replacement does: the mean of 4,096 of 100,000
// is within four standard deviations.
TEST(MinibatchOrder, AMinibatchIsASample) {
  constexpr std::uint32_t kSamples = 100000, kSize = 4096;
  const auto order = order_of(kSamples, 0, 0);
  const double deviation = kSamples / std::sqrt(12.0 * kSize);
  for (std::uint32_t m = 0; (m + 1) * kSize <= kSamples; ++m) {
    const double mean =
        std::accumulate(order.begin() + m * kSize, order.begin() + (m + 1) * kSize, 0.0) / kSize;
    EXPECT_NEAR(mean, kSamples / 2.0, 4 * deviation) << m;
  }
}

}  // namespace
}  // namespace rollmill
