#include "envs/show.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/base/error.h"
#include "envs/canvas.h"
#include "envs/text_view.h"

namespace rollmill {
namespace {

constexpr int kShownElements = 16;

// A number of an observation as it is stored.
std::string value_of(const EnvSpec& spec, float stored) {
  char text[32];
  if (spec.observed.kind == ObservationKind::kReal) {
    std::snprintf(text, sizeof text, "%.4g", static_cast<double>(stored));
  } else {
    std::snprintf(text, sizeof text, "%d", __builtin_bit_cast(std::int32_t, stored));
  }
  return text;
}

std::string describe_observation(EnvBatch& batch, int env) {
  const EnvSpec& spec = batch.spec();
  const auto stride = static_cast<std::size_t>(batch.stride());
  std::vector<float> observations(stride * static_cast<std::size_t>(spec.observation_columns()));
  std::vector<std::uint32_t> masks(stride * static_cast<std::size_t>(spec.mask_columns));
  batch.observe(observations.data(), masks.data());
  const bool named = spec.observed.kind == ObservationKind::kReal ||
                     spec.observed.kind == ObservationKind::kChoices;
  std::string text;
  if (!named) return spec.id + " has no view in characters\n";
  const int count = std::min<int>(spec.observation_columns(), kShownElements);
  for (int k = 0; k < count; ++k) {
    const std::size_t at = static_cast<std::size_t>(k) * stride + static_cast<std::size_t>(env);
    std::string name = spec.observation[static_cast<std::size_t>(k)].name;
    name.resize(std::max<std::size_t>(name.size(), 24), ' ');
    text += name + ' ' + value_of(spec, observations[at]) + '\n';
  }
  return text;
}

}  // namespace

void draw_text(const TextView& view, Canvas& canvas, int scale) {
  std::string text = view.str();
  if (!text.empty()) text.pop_back();  // the last line break
  constexpr int kMargin = 6;
  canvas.resize(Canvas::text_width(text, scale) + 2 * kMargin,
                Canvas::text_height(text, scale) + 2 * kMargin);
  canvas.text(kMargin, kMargin, text, palette::kInk, scale);
}

void draw_environment(const EnvEntry& entry, const EnvBatch& batch, int env, Canvas& canvas) {
  const std::vector<std::uint32_t> words = batch.state_words(env);
  if (entry.render != nullptr) {
    entry.render(batch.params_of(env), words.data(), canvas);
  } else if (entry.text != nullptr) {
    TextView view;
    entry.text(batch.params_of(env), words.data(), view);
    draw_text(view, canvas);
  } else {
    fail_usage("environment " + std::string(entry.id) +
               " draws nothing: its header has neither render() nor text() (envs/env.h)");
  }
}

std::string text_of_environment(const EnvEntry& entry, EnvBatch& batch, int env) {
  if (entry.text == nullptr) return describe_observation(batch, env);
  TextView view;
  entry.text(batch.params_of(env), batch.state_words(env).data(), view);
  return view.str();
}

}  // namespace rollmill
