#include "evaluation/film.h"

#include <gtest/gtest.h>

#include "core/image/write.h"
#include "envs/canvas.h"
#include "envs/show.h"
#include "evaluation/film_target.h"
#include "generators/solo_episode.h"
#include "tests/core/io/temp_dir.h"

namespace rollmill {
namespace {

using testing::exit_code_of;

const EnvEntry& cartpole() { return find_env("CartPole-v1"); }

Film film_of(const FilmOptions& options) {
  BatchConfig config;
  config.seed = 4;
  const RandomPolicy policy(cartpole().spec(), 4);
  return film_episode(cartpole(), config, policy, options);
}

TEST(Film, ShowsEveryStateAndTheLast) {
  const Film all = film_of({});
  ASSERT_GT(all.steps, 8);
  EXPECT_EQ(all.frames.size(), static_cast<std::size_t>(all.steps + 1));
  EXPECT_EQ(all.outcome, "pole_fell");
  EXPECT_EQ(all.episode_return, static_cast<double>(all.steps));
  const Film some = film_of({.every = 3});
  for (std::size_t k = 0; k + 1 < some.frames.size(); ++k) {
    EXPECT_EQ(some.frames[k], all.frames[3 * k]);
  }
  EXPECT_EQ(some.frames.back(), all.frames.back());
  EXPECT_EQ(some.frames.size(), static_cast<std::size_t>((all.steps + 2) / 3 + 1));
  const Film first = film_of({.max_steps = 5});
  EXPECT_EQ(first.steps, 5);
  EXPECT_EQ(first.outcome, "");
  EXPECT_EQ(first.frames.back(), all.frames[5]);
  EXPECT_EQ(film_of({.max_steps = 0}).frames.size(), 1u);
}

TEST(Film, DrawsTheEnvironmentItself) {
  const Film film = film_of({.max_steps = 4, .captions = false});
  BatchConfig config;
  config.seed = 4;
  SoloEpisode episode(cartpole(), config);
  const RandomPolicy policy(cartpole().spec(), 4);
  for (int t = 0; t < 4; ++t) episode.step(policy);
  Canvas canvas;
  draw_environment(cartpole(), episode.batch(), 0, canvas);
  EXPECT_EQ(film.frames.back(), canvas.picture());
  const Film large = film_of({.max_steps = 4, .scale = 2, .captions = false});
  EXPECT_EQ(large.frames.back(), enlarge(canvas.picture(), 2));
}

TEST(Film, RefusesMoreThanAGigabyte) {
  std::string message;
  EXPECT_EQ(exit_code_of([] { film_of({.scale = 60}); }, &message), 2);
  EXPECT_NE(message.find("--every"), std::string::npos);
}

TEST(FilmTarget, SaysWhatIsWrong) {
  const auto code = [](const FilmRequest& request) {
    return exit_code_of([&] { find_film_target(request); });
  };
  const testing::TempDir dir;
  EXPECT_EQ(code({.target = "CartPole-v1"}), 0);
  EXPECT_EQ(code({.target = "NoSuch-v1"}), 2);
  EXPECT_EQ(code({.target = dir.path()}), 3);  // a folder without a checkpoint
  EXPECT_EQ(code({.target = dir.path(), .policy = "random"}), 2);
  EXPECT_EQ(code({.target = "CartPole-v1", .policy = dir / "none"}), 3);
  EXPECT_EQ(code({.target = "CartPole-v1", .set = {"env.params.gravitas=3"}}), 2);
  EXPECT_EQ(code({.target = "CartPole-v1", .episode = -1}), 2);
}

}  // namespace
}  // namespace rollmill
