#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "core/base/error.h"
#include "core/image/write.h"
#include "evaluation/film.h"
#include "evaluation/film_target.h"

namespace rollmill {
namespace {

constexpr std::int64_t kStripFrames = 12;  // of a filmstrip, unless --every says otherwise
constexpr int kHoldMs = 1000;              // how long an animation shows the last frame

// An animation starts again at once: the end must be there to be seen.
void hold_last(std::vector<Picture>& frames, int ms) {
  if (frames.size() < 2) return;
  const Picture last = frames.back();
  for (int shown = ms; shown < kHoldMs; shown += ms) frames.push_back(last);
}

// Frames 0, every, 2 every, ... and the last.
std::vector<Picture> thin_out(const std::vector<Picture>& frames, std::int64_t every) {
  std::vector<Picture> kept;
  for (std::size_t k = 0; k < frames.size(); ++k) {
    if (k % static_cast<std::size_t>(every) == 0 || k + 1 == frames.size())
      kept.push_back(frames[k]);
  }
  return kept;
}

std::string report_text(const std::string& out, const Picture& picture, std::size_t frames,
                        const FilmTarget& target, const Film& film) {
  return fmt::format(
      "{}: {} x {}, {} frame{}; episode {} of {} ({}): {} steps, return {:.6g}, {}\n", out,
      picture.width, picture.height, frames, frames == 1 ? "" : "s", target.config.first_episode,
      target.entry->id, target.actor, film.steps, film.episode_return,
      film.outcome.empty() ? "goes on" : "ended by " + film.outcome);
}

std::string report_json(const std::string& out, const Picture& picture, std::size_t frames,
                        const FilmTarget& target, const Film& film) {
  nlohmann::ordered_json j;
  j["out"] = out;
  j["width"] = picture.width;
  j["height"] = picture.height;
  j["frames"] = frames;
  j["env"] = target.entry->id;
  j["actor"] = target.actor;
  j["seed"] = target.config.seed;
  j["episode"] = target.config.first_episode;
  j["steps"] = film.steps;
  j["return"] = film.episode_return;
  j["outcome"] =
      film.outcome.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(film.outcome);
  return j.dump(2) + "\n";
}

}  // namespace

int run_render(const Arguments& arguments) {
  FilmRequest request;
  FilmOptions options;
  std::string out;
  std::optional<std::int64_t> seed;
  std::int64_t every = 0, ms = 0, scale = 1, columns = 0;
  bool strip = false, sampled = false, plain = false, json = false, quiet = false;
  Args parser("render", "Shows one episode as a picture, an animation or a filmstrip.");
  parser.positional("TARGET", request.target,
                    "environment, run, checkpoint, policy.safetensors or dataset");
  parser.option("--out", out, "x.gif, x.webp or x.png");
  parser.option("--policy", request.policy,
                "of an environment: \"random\", \"expert\" (default where there is one) or a path");
  parser.option("--episode", request.episode, "number of the episode", 0, 4294967295);
  parser.option("--seed", seed, "instead of the fixed evaluation seed");
  parser.list("--set", request.set,
              "override an environment key, as in --set env.params.gravity=20");
  parser.option("--steps", options.max_steps, "longest film; 0: the first state only", 0, 1 << 20);
  parser.option("--every", every, "steps from frame to frame (0: each; filmstrip: about 12 frames)",
                0, 1 << 20);
  parser.option("--scale", scale, "pixels become N x N", 1, 16);
  parser.option("--ms", ms, "milliseconds a frame (0: chosen by the film's length)", 0, 10000);
  parser.flag("--filmstrip", strip, "all frames side by side in one picture");
  parser.option("--columns", columns, "frames a row of the filmstrip (0: chosen)", 0, 1000);
  parser.flag("--sampled", sampled, "sample a trained policy's actions");
  parser.flag("--no-caption", plain, "no line with step, reward and return");
  parser.flag("--json", json, "print what was written as JSON");
  parser.flag("--quiet", quiet, "print nothing");
  if (!parser.parse(arguments)) return 0;
  if (out.empty()) fail_usage("render needs --out x.gif, x.webp or x.png");
  if (seed && *seed < 0) fail_usage("--seed must not be negative");
  if (picture_format(out) == PictureFormat::kPng && !strip && options.max_steps > 0) {
    fail_usage(
        "a PNG holds one picture: add --filmstrip, or --steps 0 for the first state, or write "
        ".gif or .webp");
  }
  if (seed) request.seed = static_cast<std::uint64_t>(*seed);
  request.greedy = !sampled;
  options.every = std::max<std::int64_t>(every, 1);
  options.scale = static_cast<int>(scale);
  options.captions = !plain;
  const auto target = find_film_target(request);
  Film film = film_episode(*target->entry, target->config, *target->policy.policy, options);
  std::size_t shown = film.frames.size();
  if (strip) {
    const auto count = static_cast<std::int64_t>(film.frames.size());
    if (every == 0) film.frames = thin_out(film.frames, (count + kStripFrames - 1) / kStripFrames);
    shown = film.frames.size();
    film.frames = {filmstrip(film.frames, static_cast<int>(columns), 1)};
  }
  const int frame_ms = ms > 0 ? static_cast<int>(ms) : pleasant_ms(shown);
  hold_last(film.frames, frame_ms);
  write_picture(out, film.frames, frame_ms);
  const auto report = json ? report_json : report_text;
  if (json || !quiet) print_out(report(out, film.frames[0], shown, *target, film));
  return 0;
}

}  // namespace rollmill
