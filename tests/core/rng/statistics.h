// Goodness of fit for the tests of random draws. Seeds are fixed, so a test that passes once passes
// always; the critical values (probability 1e-6 by chance) say that passing means something.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace rollmill::test {

// Largest distance between the samples' distribution and `cdf` (Kolmogorov, Smirnov).
template <class Cdf>
double ks_distance(std::vector<float> samples, Cdf cdf) {
  std::sort(samples.begin(), samples.end());
  const double n = static_cast<double>(samples.size());
  double distance = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double at = cdf(static_cast<double>(samples[i]));
    distance =
        std::max({distance, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return distance;
}

// Exceeded with a probability of at most 1e-6 (Massart 1990).
inline double ks_critical(std::size_t n) {
  return std::sqrt(std::log(2 / 1e-6) / (2.0 * static_cast<double>(n)));
}

// Pearson's statistic of counts that should be equal.
inline double chi_square(const std::vector<int>& counts) {
  double total = 0;
  for (const int c : counts) total += c;
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const int c : counts) sum += (c - expected) * (c - expected) / expected;
  return sum;
}

// Its value exceeded with probability 1e-6 (Wilson and Hilferty 1931); 4.7534 is the normal
// quantile.
inline double chi_square_critical(std::size_t cells) {
  const double k = static_cast<double>(cells) - 1;
  const double root = 1 - 2 / (9 * k) + 4.7534 * std::sqrt(2 / (9 * k));
  return k * root * root * root;
}

}  // namespace rollmill::test
