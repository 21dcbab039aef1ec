// Running mean and variance in float64, by Chan, Golub and LeVeque's pairwise update (1983): parts computed in
// fixed blocks and merged in a fixed order give the same statistics on any number of threads and ranks.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace rollmill {

struct Moments {
  double count = 0, mean = 0, m2 = 0;

  void merge(const Moments& o) {
    if (o.count == 0) return;
    const double total = count + o.count;
    const double delta = o.mean - mean;
    mean += delta * (o.count / total);
    m2 += o.m2 + delta * delta * (count * o.count / total);
    count = total;
  }
  double variance() const { return count > 1 ? m2 / count : 1.0; }
};

// Observation normaliser of a policy: x -> clamp((x - mean) / sqrt(var + 1e-8), -clip, clip). Until the first update it
// is the identity. Part of every checkpoint and exported policy.
class ObservationNormalizer {
 public:
  ObservationNormalizer() = default;
  ObservationNormalizer(int size, bool enabled, float clip);

  bool enabled() const { return enabled_; }
  float clip() const { return clip_; }
  const std::vector<Moments>& moments() const { return moments_; }
  void set_moments(std::vector<Moments> moments);
  void merge(const std::vector<Moments>& batch);

  const float* shift() const { return shift_.data(); }  // float32 mean, per element
  const float* scale() const { return scale_.data(); }  // float32 1 / sqrt(var + eps)

 private:
  void refresh();

  bool enabled_ = false;
  float clip_ = 10.0f;
  std::vector<Moments> moments_;
  std::vector<float> shift_, scale_;
};

}  // namespace rollmill
