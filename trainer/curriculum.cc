#include "trainer/curriculum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/math/math.h"

namespace rollmill {
namespace {

// What a level's record keeps of itself at each new play: the last ten or so count.
constexpr double kDecay = 0.9;

}  // namespace

Curriculum::Curriculum(const CurriculumOptions& options, const EnvSpec& spec, World base)
    : options_(options),
      spec_(spec),
      base_(std::move(base)),
      success_rate_(std::numeric_limits<double>::quiet_NaN()) {
  if (options_.kind == CurriculumKind::kReplay) levels_.resize(base_.levels.count);
}

bool Curriculum::succeeded(const EpisodeRecord& e) const {
  return spec_.success != 0 ? e.outcome == spec_.success
                            : static_cast<double>(e.episode_return) >= spec_.solved_at;
}

void Curriculum::observe(const std::vector<EpisodeRecord>& episodes, std::int64_t env_steps) {
  for (const EpisodeRecord& e : episodes) {
    episodes_ += 1;
    observe_success(succeeded(e));
    if (options_.kind == CurriculumKind::kReplay) observe_level(e);
  }
  if (options_.kind == CurriculumKind::kSchedule) {
    difficulty_ =
        std::min(1.0, static_cast<double>(env_steps) / static_cast<double>(options_.over_steps));
  }
}

void Curriculum::observe_success(bool success) {
  window_episodes_ += 1;
  window_successes_ += success ? 1 : 0;
  if (window_episodes_ < options_.window) {
    if (std::isnan(success_rate_) || episodes_ < options_.window)
      success_rate_ = window_successes_ / window_episodes_;
    return;
  }
  success_rate_ = window_successes_ / window_episodes_;
  window_episodes_ = window_successes_ = 0;
  if (options_.kind != CurriculumKind::kSuccess) return;
  if (success_rate_ > options_.band_high) difficulty_ += options_.step;
  if (success_rate_ < options_.band_low) difficulty_ -= options_.step;
  difficulty_ = std::clamp(difficulty_, 0.0, 1.0);
}

void Curriculum::observe_level(const EpisodeRecord& e) {
  const std::uint32_t index = e.level - base_.levels.first;
  if (index >= levels_.size()) return;  // an episode from before the curriculum
  Level& level = levels_[index];
  level.plays = kDecay * level.plays + 1;
  level.successes = kDecay * level.successes + (succeeded(e) ? 1 : 0);
  level.value_error =
      kDecay * level.value_error + (1 - kDecay) * static_cast<double>(e.value_error);
  level.last_play = episodes_;
}

double Curriculum::score(const Level& level) const {
  if (level.plays == 0) return std::numeric_limits<double>::infinity();  // unseen ones first
  const double p = level.successes / level.plays;
  return options_.score == LevelScore::kLearnability ? p * (1 - p) : level.value_error;
}

// (1 - rho) rank^(-1 / beta) + rho staleness, each normalised; equal scores share the mean of their ranks' weights, so that
// no level is preferred for its number.
std::vector<float> Curriculum::level_weights() const {
  const std::size_t n = levels_.size();
  std::vector<double> scores(n);
  for (std::size_t k = 0; k < n; ++k) scores[k] = score(levels_[k]);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<double> ranked(n);
  double ranked_sum = 0, stale_sum = 0;
  for (std::size_t first = 0; first < n;) {
    std::size_t last = first;
    double sum = 0;
    for (; last < n && scores[order[last]] == scores[order[first]]; ++last) {
      // core/math's power: the same bits on every machine, unlike the C library's.
      sum += static_cast<double>(
          math::pow(static_cast<float>(last + 1), static_cast<float>(-1 / options_.temperature)));
    }
    for (std::size_t k = first; k < last; ++k)
      ranked[order[k]] = sum / static_cast<double>(last - first);
    ranked_sum += sum;
    first = last;
  }
  for (const Level& level : levels_) stale_sum += episodes_ - level.last_play;
  std::vector<float> weights(n);
  for (std::size_t k = 0; k < n; ++k) {
    const double stale = stale_sum > 0 ? (episodes_ - levels_[k].last_play) / stale_sum
                                       : 1.0 / static_cast<double>(n);
    weights[k] = static_cast<float>((1 - options_.staleness) * ranked[k] / ranked_sum +
                                    options_.staleness * stale);
  }
  return weights;
}

World Curriculum::world() const {
  World world = base_;
  if (options_.kind == CurriculumKind::kReplay) {
    world.levels.weights = level_weights();
    return world;
  }
  for (const CurriculumParam& p : options_.params) {
    const ParamSpec& spec = spec_.params[static_cast<std::size_t>(p.param)];
    ParamDraw d;
    d.param = p.param;
    d.low = static_cast<float>(spec.field.low);
    d.high = static_cast<float>(spec.field.high);
    d.integer = spec.integer ? 1 : 0;
    double now = p.easy + (p.hard - p.easy) * difficulty_;
    if (spec.integer) now = std::floor(now + 0.5);
    d.kind = options_.spread ? DrawKind::kUniform : DrawKind::kConstant;
    d.a = static_cast<float>(options_.spread ? std::min(p.easy, now) : now);
    d.b = static_cast<float>(std::max(p.easy, now));
    world.draws.push_back(d);
  }
  return world;
}

std::vector<double> Curriculum::save() const {
  std::vector<double> state = {difficulty_, success_rate_, window_episodes_, window_successes_,
                               episodes_};
  for (const Level& l : levels_)
    state.insert(state.end(), {l.plays, l.successes, l.value_error, l.last_play});
  return state;
}

bool Curriculum::load(const std::vector<double>& s) {
  if (s.size() != 5 + 4 * levels_.size()) return false;
  for (std::size_t k = 0; k < s.size(); ++k) {
    if (!(std::isfinite(s[k]) || k == 1)) return false;
  }
  if (!(s[0] >= 0 && s[0] <= 1)) return false;
  difficulty_ = s[0];
  success_rate_ = s[1];
  window_episodes_ = s[2];
  window_successes_ = s[3];
  episodes_ = s[4];
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const double* at = s.data() + 5 + 4 * k;
    levels_[k] = {at[0], at[1], at[2], at[3]};
  }
  return true;
}

}  // namespace rollmill
