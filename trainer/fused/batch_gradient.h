// The gradient of a minibatch, and Adam's step on it.
//
// Rows are cut into tiles whose number depends on the minibatch's size only. Threads take tiles; each tile has a gradient of
// its own, and those are added in order: the sum is the same bits on any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/aligned.h"
#include "core/base/thread_pool.h"
#include "rollout/mlp/tile_input.h"
#include "trainer/optimizer_state.h"

namespace rollmill {

class BatchGradient {
 public:
  // parameters: a multiple of 16. rows: of every minibatch.
  BatchGradient(std::int64_t parameters, int rows);

  int tiles() const { return tiles_; }
  // Calls body(tile, first row, rows, gradient) for every tile; the gradient comes zeroed and is to be added to.
  template <class Body>
  void run(ThreadPool& pool, Body&& body) {
    const auto tile = [&](int t) {
      const auto begin = static_cast<int>(std::int64_t{rows_} * t / tiles_);
      const auto end = static_cast<int>(std::int64_t{rows_} * (t + 1) / tiles_);
      float* gradient = parts_.data() + t * size_;
      std::fill(gradient, gradient + size_, 0.0f);
      body(t, begin, end - begin, gradient);
    };
    if (worth_threads()) {
      pool.run(tiles_, tile);
    } else {
      for (int t = 0; t < tiles_; ++t) tile(t);
    }
    add_tiles();
  }
  const float* sum() const { return parts_.data(); }
  std::int64_t size() const { return size_; }
  // Euclidean, in float64, added in a fixed order.
  double norm() const;

 private:
  // A smaller minibatch is done before other threads are awake (and a pool's threads wait by spinning, which takes the
  // processor from others where there are more threads than cores).
  bool worth_threads() const { return size_ * rows_ >= (std::int64_t{1} << 22); }
  void add_tiles();

  std::int64_t size_;
  int rows_, tiles_;
  AlignedVector<float> parts_;  // [tiles][parameters]; tile 0 becomes the sum
};

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float max_norm = 0.0f;  // longer gradients are shortened to it; 0: off
  int max_skipped = 10;   // TrainOptions::max_skipped
};

// One step, or none where the gradient is not finite (trainer/guards.h, `what` names it); returns the gradient's norm before it
// was shortened.
double adam_update(const AdamOptions& options, double learning_rate, const BatchGradient& gradient,
                   AlignedVector<float>& params, OptimizerState& state, const char* what);

// target += tau * (params - target); tau 1 copies.
void track(const AlignedVector<float>& params, float tau, AlignedVector<float>& target);

}  // namespace rollmill
