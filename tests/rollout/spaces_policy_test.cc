// Policies in every space: what they do is what their log-probabilities say, masks hold, and nothing depends on the batch
// around a row.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/base/thread_pool.h"
#include "rollout/collector.h"
#include "tests/rollout/acting.h"
#include "tests/support/counter_env.h"

namespace rollmill {
namespace {

constexpr AdvantageOptions kOptions{0.98f, 0.9f, 1.0f};

template <class Env>
struct Collected {
  Collected(int envs, int horizon, int threads, bool greedy = false, int stack = 1)
      : pool(threads),
        batch(make(envs, pool)),
        weights(shape_for(batch->spec(), {24}, stack)),
        policy(batch->spec(), weights, 3, greedy),
        rollout(batch->spec(), horizon, envs, stack),
        collector(*batch, policy, rollout.buffer(), pool) {
    testing::rough_weights(weights, batch->spec().observed.kind == ObservationKind::kReal);
    collector.reset();
  }
  static std::unique_ptr<EnvBatch> make(int envs, ThreadPool& pool) {
    BatchConfig config;
    config.num_envs = envs;
    config.seed = 12;
    return testing::test_entry<Env>().make_cpu(config, &pool);
  }
  const RolloutBuffer& buffer() const { return rollout.buffer(); }
  ThreadPool pool;
  std::unique_ptr<EnvBatch> batch;
  PolicyWeights weights;
  MlpPolicy policy;
  HostRollout rollout;
  HostCollector collector;
};

// Logits and means of one row in float64, from the stored words by the test's own reading of them.
template <class Env>
std::vector<double> head_of(const PolicyWeights& w, const RolloutBuffer& b, int t, int i) {
  const ObservationSpec& o = w.layout.shape.observed;
  const auto* words = reinterpret_cast<const Word*>(b.observation_slot(t)) + i;
  std::vector<double> x;
  for (int c = 0; c < o.columns; ++c) {
    const Word word = words[c * b.stride];
    if (o.kind == ObservationKind::kReal) {
      const Moments& m = w.normalizer.moments()[static_cast<std::size_t>(c)];
      const double z = (__builtin_bit_cast(float, word) - m.mean) / std::sqrt(m.variance() + 1e-8);
      const double clip = w.normalizer.clip();
      x.push_back(std::clamp(z, -clip, clip));
    } else if (o.kind == ObservationKind::kChoices) {
      for (int n = 0; n < o.choices[static_cast<std::size_t>(c)]; ++n)
        x.push_back(static_cast<int>(word) == n ? 1 : 0);
    } else {
      const int bits = o.kind == ObservationKind::kBits ? 1 : 8;
      for (int part = 0; part < 32 / bits; ++part)
        x.push_back(((word >> (part * bits)) & ((1u << bits) - 1)) / (bits == 1 ? 1.0 : 255.0));
    }
  }
  x.resize(static_cast<std::size_t>(o.elements));
  for (std::size_t l = 0; l < w.layout.actor.dense.size(); ++l) {
    const DenseLayer& layer = w.layout.actor.dense[l];
    std::vector<double> y;
    for (int j = 0; j < layer.outputs; ++j) {
      double sum = w.params[static_cast<std::size_t>(layer.bias + j)];
      for (int k = 0; k < layer.inputs; ++k)
        sum += x[static_cast<std::size_t>(k)] *
               w.params[static_cast<std::size_t>(layer.weight + k * layer.width + j)];
      y.push_back(l + 1 < w.layout.actor.dense.size() ? std::tanh(sum) : sum);
    }
    x = y;
  }
  return x;
}

bool allowed(const RolloutBuffer& b, int t, int i, int bit) {
  return b.mask_columns == 0 || ((b.mask_slot(t)[bit / 32 * b.stride + i] >> (bit % 32)) & 1u) != 0;
}

// The log-probability of what row (t, i) did: the sum over its columns, over what was allowed.
double logprob_of(const PolicyWeights& w, const RolloutBuffer& b, const std::vector<double>& head,
                  int t, int i) {
  const PolicyShape& shape = w.layout.shape;
  double logp = 0;
  int first = 0;
  for (int c = 0; c < b.choice_columns; ++c) {
    const int n = shape.choices[static_cast<std::size_t>(c)];
    double sum = 0;
    for (int a = first; a < first + n; ++a)
      sum += allowed(b, t, i, a) ? std::exp(head[static_cast<std::size_t>(a)]) : 0;
    const std::int32_t taken = b.discrete_slot(t)[c * b.stride + i];
    EXPECT_TRUE(taken >= 0 && taken < n && allowed(b, t, i, first + taken));
    logp += head[static_cast<std::size_t>(first + taken)] - std::log(sum);
    first += n;
  }
  for (int a = 0; a < b.real_columns; ++a) {
    const double log_std = w.params[static_cast<std::size_t>(w.layout.log_std + a)];
    const double raw = b.raw_action_slot(t)[a * b.stride + i];
    const double z = (raw - head[static_cast<std::size_t>(first + a)]) / std::exp(log_std);
    logp += -0.5 * z * z - log_std - 0.5 * std::log(2 * M_PI);
    const float action = b.continuous_slot(t)[(b.choice_columns + a) * b.stride + i];
    EXPECT_EQ(action, std::clamp(static_cast<float>(raw), -1.0f, 1.0f));  // bounds of the test's
  }
  return logp;
}

// A forward pass in float32 of some 100 inputs with weights of size one is within 1e-5 of float64.
TEST(SpacesPolicy, LogprobsAreSumsOverTheColumnsAndMasksHold) {
  testing::for_each_space([](const char* name, auto env) {
    using Env = decltype(env);
    SCOPED_TRACE(name);
    for (bool greedy : {false, true}) {
      Collected<Env> c(40, 30, 2, greedy);
      c.collector.collect(kOptions);
      const RolloutBuffer& b = c.buffer();
      for (int t = 0; t < 30; ++t) {
        for (int i = 0; i < 40; ++i) {
          const std::vector<double> head = head_of<Env>(c.weights, b, t, i);
          const double expected = logprob_of(c.weights, b, head, t, i);
          ASSERT_NEAR(b.logprobs[t * b.stride + i], expected, 1e-4 * (1 + std::abs(expected)))
              << "step " << t << ", environment " << i;
          int first = 0;
          for (int k = 0; greedy && k < b.choice_columns; ++k) {
            const int n = c.weights.layout.shape.choices[static_cast<std::size_t>(k)];
            const auto at = static_cast<std::size_t>(first + b.discrete_slot(t)[k * b.stride + i]);
            for (int a = first; a < first + n; ++a) {
              if (allowed(b, t, i, a)) {
                ASSERT_LE(head[static_cast<std::size_t>(a)], head[at] + 1e-4);
              }
            }
            first += n;
          }
        }
      }
    }
  });
}

TEST(SpacesPolicy, TheSameRolloutOnAnyNumberOfThreads) {
  testing::for_each_space([](const char* name, auto env) {
    using Env = decltype(env);
    SCOPED_TRACE(name);
    Collected<Env> one(203, 11, 1, false, 3), many(203, 11, 3, false, 3);
    for (int rollout = 0; rollout < 3; ++rollout) {
      for (auto* c : {&one, &many}) {
        if (rollout > 0) c->collector.advance();
        c->collector.collect(kOptions);
      }
      const RolloutBuffer &a = one.buffer(), &b = many.buffer();
      const auto same = [&](const void* x, const void* y, std::int64_t words) {
        EXPECT_EQ(std::memcmp(x, y, static_cast<std::size_t>(words) * 4), 0);
      };
      same(a.actions, b.actions, 11 * a.action_columns());
      same(a.logprobs, b.logprobs, 11 * a.stride);
      same(a.values, b.values, 12 * a.stride);
      same(a.advantages, b.advantages, 11 * a.stride);
    }
  });
}

// One state, many environments: how often each pair of choices comes is the product of their probabilities.
TEST(SpacesPolicy, ColumnsAreDrawnIndependently) {
  using Env = testing::MixedEnv;
  const EnvSpec spec = describe<Env>();
  PolicyWeights weights(shape_for(spec, {16}));
  testing::rough_weights(weights, false);
  const int n = 60000;
  const MlpPolicy policy(spec, weights, 5, false);
  testing::Acted a(spec, n);
  for (int k = 0; k < 3; ++k)
    std::fill_n(&a.observations[static_cast<std::size_t>(k * a.stride)], n, 0.1f * k);
  std::vector<std::uint32_t> masks(static_cast<std::size_t>(a.stride),
                                   0b11101u);  // choice 1 of 3 is forbidden
  ActRequest q = a.request(0, n);
  q.masks = masks.data();
  policy.act(q);
  double seen[3][2] = {}, first[3] = {}, second[2] = {};
  double cross = 0, mean[2] = {};
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i), stride = static_cast<std::size_t>(a.stride);
    const auto x = a.actions[at], y = a.actions[at + stride];
    ASSERT_LT(x, 3u);
    ASSERT_LT(y, 2u);
    ASSERT_NE(x, 1u);
    ++seen[x][y];
    ++first[x];
    ++second[y];
    for (std::size_t k = 0; k < 2; ++k) mean[k] += a.raw[at + k * stride] / n;
  }
  const double std0 = std::exp(weights.params[static_cast<std::size_t>(weights.layout.log_std)]);
  const double std1 =
      std::exp(weights.params[static_cast<std::size_t>(weights.layout.log_std + 1)]);
  double with_choice = 0;
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i), stride = static_cast<std::size_t>(a.stride);
    const double z0 = (a.raw[at] - mean[0]) / std0, z1 = (a.raw[at + stride] - mean[1]) / std1;
    cross += z0 * z1 / n;
    with_choice += z0 * (a.actions[at] - 2.0 * first[2] / n) / n;
  }
  const double five_sigma = 5 / std::sqrt(n);
  EXPECT_NEAR(cross, 0, five_sigma);
  EXPECT_NEAR(with_choice, 0, five_sigma);
  double chi2 = 0;
  for (int x : {0, 2}) {
    for (int y : {0, 1}) {
      const double expected = first[x] * second[y] / n;
      ASSERT_GT(expected, 100);
      chi2 += (seen[x][y] - expected) * (seen[x][y] - expected) / expected;
    }
  }
  EXPECT_LT(chi2, 15.1);  // one degree of freedom: probability 1e-4; the seed is fixed
}

// A stack read from where its frames lie is the stack that a naive wrapper would copy together: the same policy on explicit
// observations of three times as many numbers gives the same bits, over rollouts shorter than the stack, too.
TEST(FrameStack, EqualsExplicitStacks) {
  using Env = testing::MixedEnv;
  constexpr int kStack = 5, kEnvs = 21;
  for (int horizon : {2, 7}) {
    Collected<Env> c(kEnvs, horizon, 2, false, kStack);
    const EnvSpec spec = c.batch->spec();
    c.weights.normalizer = ObservationNormalizer(3, false, 2.0f);
    EnvSpec wide = spec;
    wide.observed = {ObservationKind::kReal, {3 * kStack}, {}, 3 * kStack, 3 * kStack};
    PolicyWeights weights(shape_for(wide, {24}));
    ASSERT_EQ(weights.params.size(), c.weights.params.size());
    weights.params = c.weights.params;
    const MlpPolicy naive(wide, weights, 3, false);
    // Frames of each environment's present episode, the newest last.
    std::vector<std::vector<std::vector<float>>> episodes(kEnvs);
    const RolloutBuffer& b = c.buffer();
    int truncated = 0, deep = 0;
    for (int rollout = 0; rollout < 20; ++rollout) {
      if (rollout > 0) c.collector.advance();
      c.collector.collect(kOptions);
      const auto value_of = [&](const std::vector<std::vector<float>>& frames) {
        std::vector<float> x(3 * kStack * 16);
        for (int back = 0; back < kStack && back < static_cast<int>(frames.size()); ++back) {
          for (int k = 0; k < 3; ++k)
            x[static_cast<std::size_t>(((kStack - 1 - back) * 3 + k) * 16)] =
                frames[frames.size() - 1 - static_cast<std::size_t>(back)]
                      [static_cast<std::size_t>(k)];
        }
        float value[16];
        naive.value({x.data(), 16}, 0, 1, value);
        return value[0];
      };
      const auto frame = [&](const float* slot, int i) {
        return std::vector<float>{slot[i], slot[b.stride + i], slot[2 * b.stride + i]};
      };
      for (int i = 0; i < kEnvs; ++i) {
        auto& episode = episodes[static_cast<std::size_t>(i)];
        for (int t = 0; t < horizon; ++t) {
          const std::int64_t at = t * b.stride + i;
          episode.push_back(frame(b.observation_slot(t), i));
          deep += episode.size() > kStack ? 1 : 0;
          ASSERT_EQ(b.values[at], value_of(episode)) << "rollout " << rollout << ", step " << t;
          if (b.ends[at] == kTruncated) {
            episode.push_back(frame(b.final_observations + t * b.slot_words(), i));
            ASSERT_EQ(b.final_values[at], value_of(episode)) << "rollout " << rollout;
            ++truncated;
          }
          if (b.ends[at] != kRunning) episode.clear();
        }
        episode.push_back(frame(b.observation_slot(horizon), i));
        ASSERT_EQ(b.values[horizon * b.stride + i], value_of(episode));
        episode.pop_back();
      }
    }
    EXPECT_GT(truncated, 20);
    EXPECT_GT(deep, 20);
  }
}

}  // namespace
}  // namespace rollmill
