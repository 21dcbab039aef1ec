// What networks read of every kind of observation, against the formulas that the observations were made from.
#include "rollout/mlp/tile_input.h"

#include <gtest/gtest.h>

#include "rollout/buffer.h"
#include "rollout/mlp/dense.h"
#include "rollout/unpack.h"
#include "tests/support/counter_env.h"

namespace rollmill {
namespace {

constexpr int kSlots = 4;  // a slot for each of so many counters
constexpr int kRows = 29, kFirst = 3;

// Row r of slot t shows the counter 5 r + t.
int counter_of(int r, int t) { return 5 * r + t; }

float element(const ObservationSpec& o, int k, int c) {
  using namespace testing;
  if (o.kind == ObservationKind::kReal) return counter_real(k, c);
  if (o.kind == ObservationKind::kBits) return counter_bit(k, c) ? 1.0f : 0.0f;
  if (o.kind == ObservationKind::kPixels) return static_cast<float>(counter_byte(k, c)) / 255.0f;
  int column = 0;
  while (k >= o.choices[static_cast<std::size_t>(column)])
    k -= o.choices[static_cast<std::size_t>(column++)];
  return counter_choice(column, o.choices[static_cast<std::size_t>(column)], c) == k ? 1.0f : 0.0f;
}

// Numbers [kRows][size], whatever the input's form.
std::vector<float> numbers(const TileInput& input) {
  const auto size = static_cast<std::size_t>(input.size());
  if (!input.sparse()) return {input.dense(), input.dense() + kRows * size};
  std::vector<float> all(kRows * size);
  for (std::size_t r = 0; r < kRows; ++r) {
    for (int n = input.begin()[r]; n < input.begin()[r + 1]; ++n)
      all.at(r * size + static_cast<std::size_t>(input.ones()[n])) += 1.0f;
  }
  return all;
}

// Observations of kSlots slots and kFirst + kRows environments.
template <class Env>
struct Observed {
  explicit Observed(const EnvSpec& spec)
      : rollout(spec, kSlots - 1, kFirst + kRows), b(rollout.buffer()) {
    for (int t = 0; t < kSlots; ++t) {
      for (int r = 0; r < kRows; ++r) {
        const typename Env::State state{counter_of(r, t)};
        using Writer = typename Env::Observation::Writer;
        float* at = b.observation_slot(t) + kFirst + r;
        Env::observe(state, {}, Writer{reinterpret_cast<decltype(Writer::data)>(at), b.stride});
      }
    }
  }
  HostRollout rollout;
  const RolloutBuffer& b;
};

template <class Env>
void check_frames(int frame_stack, bool normalize) {
  const EnvSpec spec = describe<Env>();
  const ObservationSpec& o = spec.observed;
  const Observed<Env> observed(spec);
  const RolloutBuffer& b = observed.b;
  ObservationNormalizer normalizer(o.elements, normalize, 1.5f);
  std::vector<Moments> moments;
  for (int k = 0; k < o.elements; ++k) moments.push_back({10.0, 0.3 * k, 2.0 + k});
  normalizer.set_moments(moments);
  std::uint8_t frames[kFirst + kRows];
  for (int i = 0; i < kFirst + kRows; ++i) frames[i] = static_cast<std::uint8_t>(i % frame_stack);
  std::vector<float> expected;
  for (int r = 0; r < kRows; ++r) {
    for (int back = frame_stack - 1; back >= 0; --back) {
      for (int k = 0; k < o.elements; ++k) {
        float x = element(o, k, counter_of(r, kSlots - 1 - back));
        if (normalize)
          x = math::clamp((x - normalizer.shift()[k]) * normalizer.scale()[k], -1.5f, 1.5f);
        expected.push_back(frames[kFirst + r] >= back ? x : 0.0f);
      }
    }
  }
  TileInput input(shape_for(spec, {8}, frame_stack));
  const ObservationColumns from{b.observation_slot(kSlots - 1), b.stride, b.slot_words(), frames};
  input.gather(from, kFirst, kRows, normalizer);
  EXPECT_EQ(numbers(input), expected);
  // The same rows by their places, in another order.
  std::int64_t at[kRows];
  std::uint8_t of_row[kRows];
  for (int r = 0; r < kRows; ++r) {
    const int from_row = (r * 10) % kRows;
    at[r] = (kSlots - 1) * b.slot_words() + kFirst + from_row;
    of_row[r] = frames[kFirst + from_row];
  }
  TileInput scattered(shape_for(spec, {8}, frame_stack));
  scattered.gather({b.observations, b.stride, b.slot_words(), nullptr}, at, of_row, kRows,
                   normalizer);
  const std::vector<float> rows = numbers(scattered);
  const auto size = static_cast<std::size_t>(input.size());
  for (std::size_t r = 0; r < kRows; ++r) {
    const std::size_t from_row = (r * 10) % kRows;
    for (std::size_t k = 0; k < size; ++k)
      ASSERT_EQ(rows[r * size + k], expected[from_row * size + k]) << "row " << r << ", " << k;
  }
}

TEST(TileInput, EveryKindIsUnpackedAndStacked) {
  testing::for_each_space([](const char* name, auto env) {
    SCOPED_TRACE(name);
    for (int stack = 1; stack <= kSlots; ++stack) check_frames<decltype(env)>(stack, false);
  });
}

TEST(TileInput, RealFramesAreNormalisedAndMissingOnesAreZero) {
  for (int stack : {1, 3}) check_frames<testing::MixedEnv>(stack, true);
}

// The text that the CUDA kernels use, element by element.
TEST(Unpack, EqualsTheFormulas) {
  testing::for_each_space([](const char* name, auto env) {
    SCOPED_TRACE(name);
    const EnvSpec spec = describe<decltype(env)>();
    const ObservationSpec& o = spec.observed;
    const Observed<decltype(env)> observed(spec);
    const ChoiceElements table(o);
    const UnpackRule rule{o.kind, o.elements, table.column_of.data(), table.choice_of.data()};
    for (int r = 0; r < kRows; ++r) {
      const auto* words =
          reinterpret_cast<const Word*>(observed.b.observation_slot(1) + kFirst + r);
      for (int k = 0; k < o.elements; ++k) {
        ASSERT_EQ(unpack_element(rule, words, observed.b.stride, k),
                  element(o, k, counter_of(r, 1)));
      }
    }
  });
}

// What lies beyond the last bit, or a choice that is none, is not read.
TEST(TileInput, StrayBitsAndChoicesAreIgnored) {
  const ObservationColumns from{nullptr, 1, 0, nullptr};
  const ObservationNormalizer off;
  std::vector<std::uint32_t> words = {0xFFFFFFFFu, 0xFFFFFFFFu};
  TileInput bits({{ObservationKind::kBits, {1, 5, 7}, {}, 2, 35}, 1, {2}, 0, {4}});
  ObservationColumns at = from;
  at.words = reinterpret_cast<const float*>(words.data());
  bits.gather(at, 0, 1, off);
  EXPECT_EQ(bits.begin()[1], 35);
  words = {7, 3};
  TileInput choices({{ObservationKind::kChoices, {2}, {7, 4}, 2, 11}, 1, {2}, 0, {4}});
  choices.gather(at, 0, 1, off);
  ASSERT_EQ(choices.begin()[1], 1);
  EXPECT_EQ(choices.ones()[0], 7 + 3);
}

// Sparse kernels give the bits of the dense ones.
TEST(SparseKernels, EqualTheDenseOnes) {
  constexpr int kInputs = 57, kMost = 48;
  Rng rng(3, Purpose::kTest, 0, 0, 0);
  for (int width : {16, 64, 80, 144}) {
    const auto w = static_cast<std::size_t>(width);
    std::vector<float> weights(kInputs * w), bias(w), dy(kMost * w), x(kMost * kInputs);
    for (auto* v : {&weights, &bias, &dy}) {
      for (float& value : *v) value = rng.normal();
    }
    std::vector<std::int32_t> ones, begin = {0};
    for (int r = 0; r < kMost; ++r) {
      for (int k = 0; k < kInputs; ++k) {
        if (!rng.bernoulli(r == 5 ? 0.0f : 0.3f)) continue;
        x[static_cast<std::size_t>(r * kInputs + k)] = 1.0f;
        ones.push_back(k);
      }
      begin.push_back(static_cast<std::int32_t>(ones.size()));
    }
    for (int rows : {1, 7, kMost}) {
      std::vector<float> y(kMost * w), sparse_y(kMost * w);
      dense_forward(x.data(), kInputs, kInputs, weights.data(), bias.data(), width, y.data(), width,
                    rows);
      sparse_forward(ones.data(), begin.data(), weights.data(), bias.data(), width, sparse_y.data(),
                     width, rows);
      EXPECT_EQ(y, sparse_y) << width << " x " << rows;
      std::vector<float> dw(weights), sparse_dw(weights), db(bias), sparse_db(bias);
      dense_weight_grad(x.data(), kInputs, kInputs, dy.data(), width, width, rows, dw.data(),
                        db.data());
      sparse_weight_grad(ones.data(), begin.data(), dy.data(), width, width, rows, sparse_dw.data(),
                         sparse_db.data());
      EXPECT_EQ(dw, sparse_dw) << width << " x " << rows;
      EXPECT_EQ(db, sparse_db);
    }
  }
}

}  // namespace
}  // namespace rollmill
