#include "evaluation/statistics.h"

#include <algorithm>
#include <cmath>

#include "core/base/assert.h"
#include "core/rng/rng.h"

namespace rollmill {

double mean(const std::vector<double>& values) {
  RM_ASSERT(!values.empty());
  double sum = 0;
  for (double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
  RM_ASSERT(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

double interquartile_mean(std::vector<double> values) {
  RM_ASSERT(!values.empty());
  std::sort(values.begin(), values.end());
  const auto cut = static_cast<std::ptrdiff_t>(values.size() / 4);
  return mean(std::vector<double>(values.begin() + cut, values.end() - cut));
}

double standard_deviation(const std::vector<double>& values) {
  const double m = mean(values);
  double sum = 0;
  for (double v : values) sum += (v - m) * (v - m);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

Interval bootstrap_mean_interval(const std::vector<double>& values, std::uint64_t seed,
                                 int resamples) {
  RM_ASSERT(!values.empty() && resamples >= 40);
  if (values.size() > 200'000) {  // the bootstrap's limit, at a thousandth of its cost
    const double m = mean(values);
    const double half =
        1.959964 * standard_deviation(values) / std::sqrt(static_cast<double>(values.size()));
    return {m - half, m + half};
  }
  std::vector<double> means;
  const auto n = static_cast<std::uint32_t>(values.size());
  for (int r = 0; r < resamples; ++r) {
    Rng rng(seed, Purpose::kBootstrap, 0, 0, static_cast<std::uint32_t>(r));
    double sum = 0;
    for (std::uint32_t i = 0; i < n; ++i) sum += values[rng.integer(n)];
    means.push_back(sum / n);
  }
  std::sort(means.begin(), means.end());
  const auto at = [&](double q) {  // linear between order statistics, as numpy.quantile
    const double x = q * (static_cast<double>(means.size()) - 1);
    const auto i = static_cast<std::size_t>(x);
    const std::size_t j = std::min(i + 1, means.size() - 1);
    return means[i] + (x - static_cast<double>(i)) * (means[j] - means[i]);
  };
  return {at(0.025), at(0.975)};
}

// P(|T| <= t) for a whole number of degrees is a finite sum in the angle atan(t / sqrt(degrees)): Abramowitz and Stegun,
// Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
static double student_t_within(double t, int degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double sine = std::sin(angle), cosine2 = std::cos(angle) * std::cos(angle);
  const bool odd = degrees % 2 == 1;
  if (degrees == 1) return 2 * angle / M_PI;
  double term = odd ? std::cos(angle) : 1.0, sum = term;
  for (int k = odd ? 3 : 2; k < degrees; k += 2) {
    term *= cosine2 * (k - 1) / k;
    sum += term;
  }
  return odd ? 2 / M_PI * (angle + sine * sum) : sine * sum;
}

double student_t_quantile(int degrees) {
  RM_ASSERT(degrees >= 1);
  double low = 0, high = 16;  // 12.71 with one degree, less with more
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (student_t_within(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

Interval t_mean_interval(const std::vector<double>& values) {
  RM_ASSERT(values.size() >= 2);
  const auto n = static_cast<double>(values.size());
  const double m = mean(values), s = standard_deviation(values) * std::sqrt(n / (n - 1));
  const double half = student_t_quantile(static_cast<int>(values.size()) - 1) * s / std::sqrt(n);
  return {m - half, m + half};
}

}  // namespace rollmill
