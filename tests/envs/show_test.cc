// Every registered environment as people see it, and batches that keep ended states for them.
#include "envs/show.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <vector>

#include "envs/canvas.h"
#include "envs/describe.h"
#include "envs/show_planes.h"
#include "envs/text_view.h"
#include "rollout/buffer.h"
#include "rollout/policy.h"
#include "tests/core/io/temp_dir.h"
#include "tests/envs/golden_picture.h"

namespace rollmill {
namespace {

BatchConfig config_of(bool autoreset) {
  BatchConfig config;
  config.num_envs = 3;
  config.seed = 7;
  config.autoreset = autoreset;
  return config;
}

void take_step(EnvBatch& batch, const Policy& policy, const RolloutBuffer& b, int t) {
  ActRequest q;
  q.observations = b.observation_slot(t);
  q.masks = b.mask_slot(t);
  q.batch = &batch;
  q.stride = b.stride;
  q.keys = batch.episodes();
  q.end = batch.num_envs();
  q.actions = b.action_slot(t);
  policy.act(q);
  batch.step(b.step_buffers(t));
}

bool is_drawn(const EnvEntry& entry) {
  return entry.render != nullptr || entry.text != nullptr || has_planes(entry.spec());
}

class ShowTest : public ::testing::TestWithParam<int> {
 protected:
  const EnvEntry& entry() const { return env_registry()[static_cast<std::size_t>(GetParam())]; }
};

// A view is a function of the state: it changes nothing, and says the same twice. Frames along an episode differ.
TEST_P(ShowTest, ViewsFollowTheState) {
  const auto batch = entry().make_cpu(config_of(true), nullptr);
  const HostRollout rollout(batch->spec(), 30, 3);
  const RolloutBuffer& b = rollout.buffer();
  batch->reset(b.observation_slot(0), b.mask_slot(0));
  const RandomPolicy policy(batch->spec(), 3);
  std::vector<Picture> seen;
  int changes = 0;
  for (int t = 0; t < 30; ++t) {
    const auto before = batch->save_environment(1);
    if (is_drawn(entry())) {
      Canvas canvas, again;
      draw_environment(entry(), *batch, 1, canvas);
      draw_environment(entry(), *batch, 1, again);
      EXPECT_EQ(canvas.picture(), again.picture());
      changes += !seen.empty() && seen.back() != canvas.picture() ? 1 : 0;
      seen.push_back(canvas.picture());
    }
    const std::string text = text_of_environment(entry(), *batch, 1);
    EXPECT_EQ(text, text_of_environment(entry(), *batch, 1));
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.back(), '\n');
    EXPECT_EQ(batch->save_environment(1), before);
    take_step(*batch, policy, b, t);
  }
  EXPECT_TRUE(entry().render == nullptr || changes > 0);
}

// Without autoreset an environment goes the same way until its episode ends, and then stands still there.
TEST_P(ShowTest, KeepsAnEndedStateWithoutAutoreset) {
  constexpr int kSteps =
      100000;  // a random walk beside a cliff takes its time, and nothing else ends it
  const auto resets = entry().make_cpu(config_of(true), nullptr);
  const auto keeps = entry().make_cpu(config_of(false), nullptr);
  const HostRollout rollout(resets->spec(), 1, 3), kept(resets->spec(), 1, 3);
  const RolloutBuffer &a = rollout.buffer(), &b = kept.buffer();
  resets->reset(a.observation_slot(0), a.mask_slot(0));
  keeps->reset(b.observation_slot(0), b.mask_slot(0));
  const RandomPolicy policy(resets->spec(), 3);
  const auto copy = [](void* to, const void* from, std::int64_t words) {
    if (words > 0) std::memcpy(to, from, static_cast<std::size_t>(words) * 4);
  };
  for (int t = 0; t < kSteps; ++t) {
    ActRequest q;
    q.observations = a.observation_slot(0);
    q.masks = a.mask_slot(0);
    q.batch = resets.get();
    q.stride = a.stride;
    q.keys = resets->episodes();
    q.end = 3;
    q.actions = a.action_slot(0);
    policy.act(q);
    copy(b.action_slot(0), a.action_slot(0), a.action_columns());
    resets->step_range(a.step_buffers(0), 0, 1);
    keeps->step_range(b.step_buffers(0), 0, 1);
    EXPECT_EQ(a.ends[0], b.ends[0]);
    if (a.ends[0] != kRunning) {
      EXPECT_EQ(a.outcomes[0], b.outcomes[0]);
      EXPECT_EQ(keeps->episodes().episode[0], resets->episodes().episode[0] - 1);
      EXPECT_EQ(keeps->episodes().step[0], static_cast<std::uint32_t>(t + 1));
      std::vector<float> observed(
          static_cast<std::size_t>(a.observation_columns * std::max<std::int64_t>(a.stride, 1)));
      std::vector<std::uint32_t> masks(static_cast<std::size_t>((a.mask_columns + 1) * a.stride));
      keeps->observe(observed.data(), masks.data());
      for (int k = 0; k < a.observation_columns; ++k) {
        EXPECT_EQ(std::memcmp(&observed[static_cast<std::size_t>(k * a.stride)],
                              &a.final_observations[k * a.stride], 4),
                  0);
      }
      return;
    }
    EXPECT_EQ(resets->state_words(0), keeps->state_words(0));
    copy(a.observation_slot(0), a.observation_slot(1), a.observation_columns * a.stride);
    copy(a.mask_slot(0), a.mask_slot(1), a.mask_columns * a.stride);
  }
  FAIL() << "no episode ended within " << kSteps << " steps";
}

// The picture after some random steps.
TEST_P(ShowTest, GoldenPicture) {
  if (!is_drawn(entry())) GTEST_SKIP() << entry().id << " draws nothing";
  const auto batch = entry().make_cpu(config_of(true), nullptr);
  const HostRollout rollout(batch->spec(), 12, 3);
  const RolloutBuffer& b = rollout.buffer();
  batch->reset(b.observation_slot(0), b.mask_slot(0));
  const RandomPolicy policy(batch->spec(), 3);
  for (int t = 0; t < 12; ++t) take_step(*batch, policy, b, t);
  Canvas canvas;
  draw_environment(entry(), *batch, 1, canvas);
  expect_golden_picture(std::string(entry().id) + "@12", canvas.picture());
}

INSTANTIATE_TEST_SUITE_P(All, ShowTest,
                         ::testing::Range(0, static_cast<int>(env_registry().size())),
                         [](const auto& which) {
                           std::string name =
                               env_registry()[static_cast<std::size_t>(which.param)].id;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

TEST(DrawEnvironment, FallsBackOnTextThenSaysWhatIsMissing) {
  EnvEntry entry = find_env("CartPole-v1");
  entry.render = nullptr;
  entry.text = [](const std::vector<double>&, const std::uint32_t*, TextView& view) {
    view.line("a pole");
  };
  const auto batch = entry.make_cpu(config_of(true), nullptr);
  const HostRollout rollout(batch->spec(), 1, 3);
  batch->reset(rollout.buffer().observation_slot(0), rollout.buffer().mask_slot(0));
  Canvas canvas, expected;
  draw_environment(entry, *batch, 0, canvas);
  TextView view;
  view.line("a pole");
  draw_text(view, expected);
  EXPECT_EQ(canvas.picture(), expected.picture());
  EXPECT_EQ(text_of_environment(entry, *batch, 0), "a pole\n");
  entry.text = nullptr;
  std::string message;
  EXPECT_EQ(testing::exit_code_of([&] { draw_environment(entry, *batch, 0, canvas); }, &message),
            2);
  EXPECT_NE(message.find("neither render() nor text()"), std::string::npos);
  EXPECT_NE(text_of_environment(entry, *batch, 0).find("pole angle"), std::string::npos);
}

EnvSpec planes_of(ObservationKind kind, std::vector<int> shape) {
  EnvSpec spec;
  spec.observed.kind = kind;
  spec.observed.shape = std::move(shape);
  for (int k = 0; k < spec.observed.shape[0]; ++k) {
    spec.observation.push_back({"plane " + std::to_string(k), "", "", 0, 1});
  }
  return spec;
}

// Bit (plane * rows + row) * columns + column; a word of environment 1 of 2 follows one of environment 0.
TEST(ShowPlanes, ShowsWhereBitsAreSet) {
  const EnvSpec spec = planes_of(ObservationKind::kBits, {3, 3, 7});
  std::vector<std::uint32_t> words(4);
  const auto set = [&](int plane, int row, int col) {
    const int bit = (plane * 3 + row) * 7 + col;
    words[static_cast<std::size_t>(1 + bit / 32 * 2)] |= 1u << (bit % 32);
  };
  set(0, 0, 1);
  set(1, 2, 6);
  set(2, 2, 0);
  set(2, 0, 1);  // hidden by plane 0 in letters
  TextView view;
  write_planes(spec, {words.data() + 1, 2}, view);
  EXPECT_EQ(view.str(), ".a.....\n.......\nc.....b\na plane 0\nb plane 1\nc plane 2\n");
  Canvas canvas;
  draw_planes(spec, {words.data() + 1, 2}, canvas);
  const auto corner = [&](int row, int col) {
    return canvas.at(4 + 24 * col + 2, 4 + 24 * row + 2);
  };
  EXPECT_EQ(corner(0, 1), palette::kKinds[0]);
  EXPECT_EQ(corner(2, 6), palette::kKinds[1]);
  EXPECT_EQ(corner(2, 0), palette::kKinds[2]);
  EXPECT_EQ(corner(1, 1), palette::kPaper);
  EXPECT_EQ(canvas.at(4 + 24 + 12, 4 + 12), palette::kKinds[2]);  // inside plane 0's
}

TEST(ShowPlanes, ShowsPixelsInColorOrGrey) {
  std::vector<std::uint32_t> words = {0x40302010, 0x80706050, 0xC0B0A090};  // bytes 0x10, 0x20, ...
  Canvas canvas;
  draw_planes(planes_of(ObservationKind::kPixels, {3, 1, 4}), {words.data(), 1}, canvas);
  EXPECT_EQ(canvas.at(4, 4), (Color{0x10, 0x50, 0x90}));
  EXPECT_EQ(canvas.at(4 + 3 * 16, 4), (Color{0x40, 0x80, 0xC0}));
  draw_planes(planes_of(ObservationKind::kPixels, {2, 2, 3}), {words.data(), 1}, canvas);
  EXPECT_EQ(canvas.at(4, 4), (Color{0x10, 0x10, 0x10}));
  EXPECT_EQ(canvas.at(4 + 3 * 16 + 4 + 2 * 16, 4 + 16), (Color{0xC0, 0xC0, 0xC0}));
  TextView view;
  write_planes(planes_of(ObservationKind::kPixels, {1, 2, 6}), {words.data(), 1}, view);
  EXPECT_EQ(view.str(), " ..:--\n=++**#\n");
}

TEST(DrawText, FitsTheText) {
  TextView view;
  view.resize(2, 3, '#');
  view.line("ab");
  Canvas canvas;
  draw_text(view, canvas, 1);
  EXPECT_EQ(canvas.width(), Canvas::text_width("###") + 12);
  EXPECT_EQ(canvas.height(), Canvas::text_height("#\n#\n#") + 12);
  EXPECT_EQ(canvas.at(5, 6), palette::kPaper);
  EXPECT_EQ(canvas.at(7, 6), palette::kInk);  // the upper left dot of '#'
}

TEST(GoodKeys, TakesOneForEachChoice) {
  EXPECT_TRUE(good_keys("ad", 2));
  EXPECT_TRUE(good_keys("", 0));
  EXPECT_FALSE(good_keys("ad", 3));
  EXPECT_FALSE(good_keys("aa", 2));
  EXPECT_FALSE(good_keys("aq", 2));
  EXPECT_FALSE(good_keys("a\n", 2));
}

}  // namespace
}  // namespace rollmill
