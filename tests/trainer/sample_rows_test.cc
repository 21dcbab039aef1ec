// A rollout's samples as rows: a shard's gradient and losses are the same bits from them as from the columns, for every kind of
// observation and action.
#include "trainer/fused/sample_rows.h"

#include <gtest/gtest.h>

#include "tests/support/counter_env.h"
#include "tests/trainer/scene.h"
#include "trainer/fused/shard.h"

namespace rollmill {
namespace {

using testing::Scene;

constexpr int kHorizon = 64, kEnvs = 128;  // some 8,000 samples of ten words: beyond a cache

void expect_same_gradient(const EnvEntry& entry, const PolicyChoices& network) {
  Scene s(entry, network, kHorizon, kEnvs);
  const RolloutBuffer& b = s.rollout.buffer();
  SampleRows rows;
  ASSERT_TRUE(rows.fill(b, s.pool));
  std::vector<std::uint32_t> units(500);
  Rng rng(3, Purpose::kTest, 0, 0, 0);
  for (std::uint32_t& u : units) u = rng.integer(kHorizon * kEnvs);
  const float inv_n = 1.0f / 500;
  const MinibatchTask by_column{s.options, s.weights, 1, false, b, 0.1f, 0.7f, inv_n};
  const MinibatchTask by_row{s.options, s.weights, 2, false, b, 0.1f, 0.7f, inv_n, &rows};
  Shard column(s.weights.layout), row(s.weights.layout);
  column.compute(by_column, units.data(), 430, 70);
  row.compute(by_row, units.data(), 430, 70);
  EXPECT_EQ(column.gradient, row.gradient);
  EXPECT_EQ(column.losses().policy, row.losses().policy);
  EXPECT_EQ(column.losses().value, row.losses().value);
  EXPECT_EQ(column.losses().clipped, row.losses().clipped);
  EXPECT_GT(row.losses().clipped, 0.0);
}

TEST(SampleRows, OfEveryKindHaveTheColumnsBits) {
  expect_same_gradient(testing::test_entry<testing::ChoicesEnv>(), {.hidden = {20}});
  expect_same_gradient(testing::test_entry<testing::MixedEnv>(), {.hidden = {20}});
  expect_same_gradient(testing::test_entry<testing::PixelsEnv>(), {.hidden = {20}});
  expect_same_gradient(testing::test_entry<testing::PlanesEnv>(), {.hidden = {20}});
  expect_same_gradient(testing::test_entry<testing::PlanesEnv>(),
                       {.hidden = {20}, .conv = {{16, 2, 1}}});
  expect_same_gradient(testing::test_entry<testing::PlanesEnv>(),
                       {.hidden = {20}, .trunk = Trunk::kShared, .conv = {{16, 2, 1}, {16, 2, 1}}});
}

TEST(SampleRows, AreNotMadeWhereColumnsDo) {
  const auto& entry = testing::test_entry<testing::MixedEnv>();
  SampleRows rows;
  Scene small(entry, {.hidden = {20}}, 8, 16);
  EXPECT_FALSE(rows.fill(small.rollout.buffer(), small.pool));
  Scene stacked(entry, {.hidden = {20}, .frame_stack = 2}, kHorizon, kEnvs);
  EXPECT_FALSE(rows.fill(stacked.rollout.buffer(), stacked.pool));
  PolicyChoices remembering{.hidden = {20}};
  remembering.memory = MemoryKind::kGru;
  remembering.memory_size = 16;
  Scene memory(entry, remembering, kHorizon, kEnvs, 1, 16);
  EXPECT_FALSE(rows.fill(memory.rollout.buffer(), memory.pool));
}

}  // namespace
}  // namespace rollmill
