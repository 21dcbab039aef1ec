// Numerical derivatives of a loss in float64, beside which the learners' gradients are put.
#pragma once

#include <cstddef>
#include <vector>

namespace rollmill::testing {

// At most `most` of `count` parameters, at equal distances. Fewer under a sanitizer, which sees every line of a loss in one
// evaluation and makes each ten times as long; the build without one tests the numbers.
inline std::vector<std::size_t> tested_parameters(std::size_t count, std::size_t most) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  most = most / 8 + 1;
#endif
  std::vector<std::size_t> tested;
  for (std::size_t i = 0; i < count; i += (count - 1) / most + 1) tested.push_back(i);
  return tested;
}

// d loss(p) / d p[i]: central, off by h^2 f''' ~ 1e-10 and by 1e-16 / h = 1e-11.
template <typename Loss>
double central_difference(const Loss& loss, std::vector<double>& p, std::size_t i) {
  const double at = p[i], h = 1e-5;
  p[i] = at + h;
  const double above = loss(p);
  p[i] = at - h;
  const double below = loss(p);
  p[i] = at;
  return (above - below) / (2 * h);
}

}  // namespace rollmill::testing
