#include "evaluation/film.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/image/write.h"
#include "envs/canvas.h"
#include "envs/show.h"
#include "generators/solo_episode.h"

namespace rollmill {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

// Wide enough for every caption of this environment, so that all frames are.
int caption_width(const EnvSpec& spec) {
  std::size_t longest = 0;
  for (const std::string& outcome : spec.outcomes) longest = std::max(longest, outcome.size());
  return Canvas::text_width("return -12345.678  " + std::string(longest, 'x'));
}

Picture with_caption(const Picture& picture, const SoloEpisode& episode) {
  constexpr int kMargin = 6;
  const std::string caption = fmt::format("step {}  reward {:.4g}\nreturn {:.5g}  {}",
                                          episode.steps(), static_cast<double>(episode.reward()),
                                          episode.episode_return(), episode.outcome());
  const int width = std::max(picture.width, caption_width(episode.spec()) + 2 * kMargin);
  Canvas canvas;
  canvas.resize(width, picture.height + Canvas::text_height("\n") + 2 * kMargin);
  canvas.draw(picture, (width - picture.width) / 2, 0);
  canvas.text(kMargin, picture.height + kMargin, caption);
  return canvas.picture();
}

}  // namespace

Film film_episode(const EnvEntry& entry, const BatchConfig& config, const Policy& policy,
                  const FilmOptions& options) {
  SoloEpisode episode(entry, config, &policy);
  Film film;
  Canvas canvas;
  std::size_t bytes = 0;
  const auto shoot = [&] {
    draw_environment(entry, episode.batch(), 0, canvas);
    Picture frame = options.captions ? with_caption(canvas.picture(), episode) : canvas.picture();
    const auto scale = static_cast<std::size_t>(options.scale);
    bytes += frame.rgb.size() * scale * scale;
    if (bytes > kMaxBytes) {
      fail_usage(fmt::format(
          "{} frames of {} x {} pixels are more than a gigabyte; raise --every, "
          "or lower --steps or --scale",
          film.frames.size() + 1, frame.width * options.scale, frame.height * options.scale));
    }
    film.frames.push_back(options.scale > 1 ? enlarge(frame, options.scale) : std::move(frame));
  };
  shoot();
  while (!episode.ended() && episode.steps() < options.max_steps) {
    episode.step(policy);
    const bool last = episode.ended() || episode.steps() == options.max_steps;
    if (last || episode.steps() % options.every == 0) shoot();
  }
  make_same_size(film.frames);
  film.steps = episode.steps();
  film.episode_return = episode.episode_return();
  film.outcome = episode.outcome();
  return film;
}

int pleasant_ms(std::size_t frames) {
  return static_cast<int>(
      std::clamp<std::size_t>(5000 / std::max<std::size_t>(frames, 1), 30, 400));
}

}  // namespace rollmill
