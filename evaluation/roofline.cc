#include "evaluation/roofline.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/aligned.h"
#include "core/base/assert.h"
#include "core/base/simd.h"
#include "core/base/thread_pool.h"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/forward.h"
#include "rollout/mlp/mlp_policy.h"
#include "trainer/fused/mlp_backward.h"

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

// One thread's tile of rows, going through actor and critic as a learner takes it through them.
class Passes {
 public:
  explicit Passes(const PolicyWeights& weights)
      : layout_(weights.layout),
        params_(weights.params.data()),
        forward_(layout_),
        transposed_{TransposedWeights(layout_.actor), TransposedWeights(layout_.critic)},
        dhead_(static_cast<std::size_t>(kTileRows * layout_.max_width)),
        scratch_(static_cast<std::size_t>(backward_scratch(layout_.max_width))),
        gradient_(static_cast<std::size_t>(layout_.size)) {
    const PolicyShape& shape = layout_.shape;
    std::vector<std::uint32_t> words(static_cast<std::size_t>(shape.observed.columns) * kTileRows,
                                     0x33CC55AAu);
    if (shape.observed.kind == ObservationKind::kReal)
      std::fill(words.begin(), words.end(), __builtin_bit_cast(std::uint32_t, 0.25f));
    if (shape.observed.kind == ObservationKind::kChoices) std::fill(words.begin(), words.end(), 0u);
    forward_.input.gather({reinterpret_cast<const float*>(words.data()), kTileRows, 0, nullptr}, 0,
                          kTileRows, weights.normalizer);
    for (const int n : {0, 1}) transposed_[n].pack(network(n), params_);
  }
  void forward() {
    for (const int n : {0, 1})
      network_forward(network(n), params_, forward_.input, kTileRows, activations(n));
  }
  // After forward(). Adds to a gradient that nobody reads.
  void backward() {
    for (const int n : {0, 1}) {
      const Network& net = network(n);
      std::fill(dhead_.begin(), dhead_.end(), 0.0f);
      for (int row = 0; row < kTileRows; ++row)
        std::fill_n(dhead_.begin() + row * net.head().width, net.head().outputs, 1e-6f);
      network_backward(net, transposed_[n], forward_.input, kTileRows, activations(n),
                       dhead_.data(), scratch_.data(), layout_.max_width, gradient_.data());
    }
  }

 private:
  const Network& network(int n) const { return n == 0 ? layout_.actor : layout_.critic; }
  NetActivations& activations(int n) { return n == 0 ? forward_.actor : forward_.critic; }

  const MlpLayout& layout_;
  const float* params_;
  ForwardScratch forward_;
  TransposedWeights transposed_[2];
  AlignedVector<float> dhead_, scratch_, gradient_;
};

}  // namespace

Roofline measure_roofline(const PolicyShape& shape, int threads, double seconds) {
  RM_ASSERT(shape.trunk == Trunk::kSeparate);
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
      const double products = 2.0 * layer.inputs * layer.outputs;
      r.flops += products;
      r.backward_flops += (&layer == &net->dense.front() ? 1 : 2) * products;
      if (&layer != &net->dense.back()) r.activations += layer.width;
    }
  }
  std::vector<std::unique_ptr<Passes>> passes;
  for (int t = 0; t < threads; ++t) passes.push_back(std::make_unique<Passes>(weights));
  const auto rate = [&](auto&& pass) {
    const double spent = fastest(seconds, [&] {
      pool.run(threads, [&](int t) {
        for (int turn = 0; turn < kTurns; ++turn) pass(*passes[static_cast<std::size_t>(t)]);
      });
    });
    return static_cast<double>(kTurns) * kTileRows * threads / spent;
  };
  r.forward = rate([](Passes& p) { p.forward(); });
  r.both = rate([](Passes& p) {
    p.forward();
    p.backward();
  });
  return r;
}

}  // namespace rollmill
