#include "envs/show.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/base/error.h"
#include "envs/canvas.h"
#include "envs/show_planes.h"
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

// The present observations of a whole batch, as words [D][stride].
std::vector<float> observe(EnvBatch& batch) {
  const auto stride = static_cast<std::size_t>(batch.stride());
  std::vector<float> observations(stride *
                                  static_cast<std::size_t>(batch.spec().observation_columns()));
  std::vector<std::uint32_t> masks(stride * static_cast<std::size_t>(batch.spec().mask_columns));
  batch.observe(observations.data(), masks.data());
  return observations;
}

template <class View>
void show_planes(EnvBatch& batch, int env, View& view,
                 void (*show)(const EnvSpec&, const ObservationWords&, View&)) {
  const std::vector<float> observations = observe(batch);
  std::vector<std::uint32_t> words(static_cast<std::size_t>(batch.spec().observation_columns()));
  for (std::size_t k = 0; k < words.size(); ++k) {
    const std::size_t at = k * static_cast<std::size_t>(batch.stride());
    words[k] = __builtin_bit_cast(std::uint32_t, observations[at + static_cast<std::size_t>(env)]);
  }
  show(batch.spec(), {words.data(), 1}, view);
}

// Its first numbers, by name.
std::string list_observation(EnvBatch& batch, int env) {
  const EnvSpec& spec = batch.spec();
  const std::vector<float> observations = observe(batch);
  const int count = std::min<int>(spec.observation_columns(), kShownElements);
  std::string text;
  for (int k = 0; k < count; ++k) {
    const auto at = static_cast<std::size_t>(k * batch.stride() + env);
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

void draw_environment(const EnvEntry& entry, EnvBatch& batch, int env, Canvas& canvas) {
  const std::vector<std::uint32_t> words = batch.state_words(env);
  if (entry.render != nullptr) {
    entry.render(batch.params_of(env), words.data(), canvas);
  } else if (entry.text != nullptr) {
    TextView view;
    entry.text(batch.params_of(env), words.data(), view);
    draw_text(view, canvas);
  } else if (has_planes(batch.spec())) {
    show_planes(batch, env, canvas, draw_planes);
  } else {
    fail_usage("environment " + std::string(entry.id) +
               " draws nothing: its header has neither render() nor text() (envs/env.h)");
  }
}

std::string text_of_environment(const EnvEntry& entry, EnvBatch& batch, int env) {
  TextView view;
  if (entry.text == nullptr) {
    if (!has_planes(batch.spec())) return list_observation(batch, env);
    show_planes(batch, env, view, write_planes);
    return view.str();
  }
  entry.text(batch.params_of(env), batch.state_words(env).data(), view);
  return view.str();
}

}  // namespace rollmill
