#include "evaluation/roofline.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/simd.h"
#include "core/base/thread_pool.h"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/forward.h"
#include "rollout/mlp/mlp_policy.h"

namespace rollmill {
namespace {

using Clock = std::chrono::steady_clock;

// As many independent sums as a kernel's register block: enough to hide the multiply-add's latency, few enough for registers.
constexpr int kSums = kBlockRows * kBlockVectors;
// Turns of some 20 ms each, as long as a call of R: neighbours on the machine then disturb all of them alike.
constexpr int kRounds = 4'000'000, kTurns = 2'000;

constexpr int kActivations = 2048;  // floats of a thread: well within a first-level cache

float multiply_add_on_registers(float start) {
  F16 sums[kSums];
  // Each its own start: sums that are known to be equal are computed once.
#pragma GCC unroll 32
  for (int k = 0; k < kSums; ++k) sums[k] = broadcast16(start + static_cast<float>(k));
  const F16 factor = broadcast16(0.999f), term = broadcast16(0.001f);
  for (int round = 0; round < kRounds; ++round) {
#pragma GCC unroll 32
    for (F16& sum : sums) sum = fma16(sum, factor, term);
  }
  float result = 0, lanes[16];
  for (const F16& sum : sums) {
    store16(lanes, sum);
    result += lanes[0];
  }
  return result;
}

// Best of several turns: other work on the machine only ever makes it slower.
template <class Body>
double fastest(double seconds, Body&& body) {
  body();
  double best = 1e30;
  const auto start = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    const auto before = Clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - before).count());
  }
  return best;
}

}  // namespace

Roofline measure_roofline(const PolicyShape& shape, int threads, double seconds) {
  Roofline r;
  ThreadPool pool(threads);
  std::vector<float> sink(static_cast<std::size_t>(threads) * 16);
  const double spent = fastest(seconds, [&] {
    pool.run(threads, [&](int t) {
      sink[static_cast<std::size_t>(t) * 16] =
          multiply_add_on_registers(sink[static_cast<std::size_t>(t) * 16]);
    });
  });
  r.peak = 2.0 * 16 * kSums * kRounds * threads / spent;

  // The activation function, on numbers in the cache. (The factor keeps them from dying out.)
  std::vector<AlignedVector<float>> columns(static_cast<std::size_t>(threads),
                                            AlignedVector<float>(kActivations, 0.5f));
  constexpr int kPasses = 4000;
  const double active = fastest(seconds, [&] {
    pool.run(threads, [&](int t) {
      float* RM_RESTRICT x = columns[static_cast<std::size_t>(t)].data();
      for (int pass = 0; pass < kPasses; ++pass) {
        for (int i = 0; i < kActivations; ++i) x[i] = 1.5f * activation_tanh(x[i]);
      }
    });
  });
  r.activation_rate = static_cast<double>(kPasses) * kActivations * threads / active;

  PolicyWeights weights(shape);
  initialize_weights(weights, 1, 0.0f);
  const MlpLayout& layout = weights.layout;
  for (const Network* net : {&layout.actor, &layout.critic}) {
    for (const DenseLayer& layer : net->dense) {
      r.flops += 2.0 * layer.inputs * layer.outputs;
      r.padded_flops += 2.0 * layer.inputs * layer.width;
      if (&layer != &net->dense.back()) r.activations += layer.width;
    }
  }
  std::vector<std::unique_ptr<ForwardScratch>> scratch;
  std::vector<std::uint32_t> words(static_cast<std::size_t>(shape.observed.columns) * kTileRows,
                                   0x33CC55AAu);
  if (shape.observed.kind == ObservationKind::kReal)
    std::fill(words.begin(), words.end(), __builtin_bit_cast(std::uint32_t, 0.25f));
  if (shape.observed.kind == ObservationKind::kChoices) std::fill(words.begin(), words.end(), 0u);
  for (int t = 0; t < threads; ++t) {
    scratch.push_back(std::make_unique<ForwardScratch>(layout));
    scratch.back()->input.gather(
        {reinterpret_cast<const float*>(words.data()), kTileRows, 0, nullptr}, 0, kTileRows,
        weights.normalizer);
  }
  const double forward = fastest(seconds, [&] {
    pool.run(threads, [&](int t) {
      ForwardScratch& s = *scratch[static_cast<std::size_t>(t)];
      for (int turn = 0; turn < kTurns; ++turn) {
        network_forward(layout.actor, weights.params.data(), s.input, kTileRows, s.actor);
        if (!layout.critic.dense.empty())
          network_forward(layout.critic, weights.params.data(), s.input, kTileRows, s.critic);
      }
    });
  });
  r.forward = static_cast<double>(kTurns) * kTileRows * threads / forward;
  return r;
}

}  // namespace rollmill
