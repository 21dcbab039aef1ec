// Statistics of evaluation returns, after Agarwal et al., "Deep RL at the edge of the statistical precipice" (2021).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rollmill {

struct Interval {
  double low = 0, high = 0;
};

double mean(const std::vector<double>& values);
double median(std::vector<double> values);
// Interquartile mean: the mean of the middle half, whole elements only (a quarter, rounded down, is cut at each end), as
// scipy.stats.trim_mean(values, 0.25).
double interquartile_mean(std::vector<double> values);
double standard_deviation(const std::vector<double>& values);  // population

// 95 % percentile bootstrap interval of the mean (beyond 200,000 values its normal limit); resampling keyed by the seed, so the same data gives the same interval.
Interval bootstrap_mean_interval(const std::vector<double>& values, std::uint64_t seed,
                                 int resamples = 2000);

// 97.5 % quantile of Student's t with so many degrees of freedom (>= 1).
double student_t_quantile(int degrees);

// From so many values on an interval of their mean says something: of two it is 12.7 standard errors to each side, mostly beyond
// any return that there is, and a bootstrap of two knows nothing but the two.
inline constexpr std::size_t kFewestForInterval = 3;

// 95 % interval of the mean of a few values that are about normal (seeds): mean -+ t s / sqrt(n), n >= 2. Of so few a
// bootstrap's interval is too narrow.
Interval t_mean_interval(const std::vector<double>& values);

}  // namespace rollmill
