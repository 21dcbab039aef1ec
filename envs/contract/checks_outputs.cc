// Checks of what an environment says of itself and what a step writes.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/number_text.h"
#include "core/math/math.h"
#include "envs/contract/check_support.h"
#include "envs/env.h"

namespace rollmill::contract {
namespace {

bool throws(const EnvEntry& entry, const BatchConfig& config) {
  try {
    entry.make_cpu(config, nullptr);
  } catch (const Error&) {
    return true;
  }
  return false;
}

void check_fields(const std::vector<FieldSpec>& fields, const char* what, Broken& broken) {
  for (const FieldSpec& f : fields) {
    if (f.name.empty()) broken.push_back(std::string(what) + " field without a name");
    if (!(f.low < f.high))
      broken.push_back(std::string(what) + " field '" + f.name + "' has an empty range");
  }
}

}  // namespace

void check_description(const EnvEntry& entry, Broken& broken) {
  const EnvSpec spec = entry.spec();
  if (spec.id != entry.id) broken.emplace_back("its id differs from the registry's");
  if (spec.summary.empty()) broken.emplace_back("it has no summary");
  if (spec.references.empty()) broken.emplace_back("it has no references");
  if (!(spec.reward_low <= spec.reward_high)) broken.emplace_back("its reward range is empty");
  if (spec.action.empty()) broken.emplace_back("it has no action");
  if (spec.success < 0 || spec.success >= static_cast<int>(spec.outcomes.size()))
    broken.emplace_back("its success reason is not one of its outcomes");
  if (spec.time_limit == 0 && spec.outcomes.size() == 1)
    broken.emplace_back("it has neither a time limit nor an outcome: its episodes never end");
  check_fields(spec.observation, "observation", broken);
  check_fields(spec.action, "action", broken);
  for (std::size_t k = 0; k < spec.choices.size(); ++k) {
    if (spec.action[k].low != 0 || spec.action[k].high != spec.choices[k] - 1)
      broken.push_back("action field '" + spec.action[k].name + "' must range from 0 to " +
                       text(spec.choices[k] - 1));
  }
  for (const ParamSpec& p : spec.params) {
    if (!(p.field.low <= p.default_value && p.default_value <= p.field.high))
      broken.push_back("parameter '" + p.field.name + "' has a default outside its range");
  }
}

void check_parameters(const EnvEntry& entry, Broken& broken) {
  const EnvSpec spec = entry.spec();
  BatchConfig c = check_config(64);
  const auto defaults = Runner(entry, c).play(100);
  for (const ParamSpec& p : spec.params) c.params.push_back(p.default_value);
  if (Runner(entry, c).play(100) != defaults)
    broken.emplace_back("its defaults, given as numbers, give other bits than its defaults");
  const std::vector<double> given = c.params;
  int matter = 0;
  for (std::size_t k = 0; k < given.size(); ++k) {
    const ParamSpec& p = spec.params[k];
    for (const double outside : {p.field.low - 1, p.field.high * 2 + 1, std::nan("")}) {
      c.params = given;
      c.params[k] = outside;
      if (!throws(entry, c))
        broken.push_back("parameter '" + p.field.name + "' takes a value out of its range");
    }
    // Somewhere on the way to the far end of its range it must matter.
    const bool to_high = p.field.high - given[k] > given[k] - p.field.low;
    const double end = to_high ? p.field.high : p.field.low;
    bool matters = false;
    for (const double part : {0.1, 0.5, 1.0}) {
      c.params = given;
      c.params[k] += (end - given[k]) * part;
      if (p.integer) c.params[k] = std::round(c.params[k]);
      matters = matters || (c.params[k] != given[k] && Runner(entry, c).play(100) != defaults);
      if (matters) break;
    }
    matter += matters ? 1 : 0;
  }
  if (2 * matter < static_cast<int>(given.size()))  // goals and walls need not be reached
    broken.push_back("only " + text(matter) + " of " + text(static_cast<int>(given.size())) +
                     " parameters change anything in 100 steps");
  c.params = given;
  c.params.push_back(1.0);
  if (!throws(entry, c)) broken.emplace_back("it takes more parameters than it has");
}

// Poisoned outputs, twice with different poison behind and between: what a step leaves unwritten or takes from what was
// there shows.
void check_outputs(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(1001, 9));
  std::vector<std::string> wrong;
  const auto complain = [&](bool bad, const char* what, int t, std::int64_t i) {
    if (bad && wrong.size() < 3)
      wrong.push_back(std::string(what) + " (step " + text(t) + ", environment " + text(i) + ")");
  };
  for (int t = 1; t <= 40 && wrong.empty(); ++t) {
    runner.draw_actions();
    runner.poison();
    runner.step_again();
    for (int i = 0; i < runner.stride(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool inside = i < runner.n();
      const bool ended = inside && runner.ends[at] != kRunning;
      complain(inside ? runner.ends[at] > kTruncated : runner.ends[at] != kPoisonByte,
               "an end code is not 0, 1 or 2, or beyond the batch", t, i);
      complain(math::is_finite(runner.rewards[at]) != inside, "a reward is not a finite number", t,
               i);
      complain((runner.outcomes[at] != kPoisonByte) != ended, "an outcome without an end", t, i);
      complain(ended && runner.outcomes[at] >= runner.spec().outcomes.size(),
               "an outcome that has no name in EnvInfo::outcomes, or numbers that are not finite",
               t, i);
      complain((math::to_bits(runner.returns[at]) != kPoison) != ended, "a return without an end",
               t, i);
      complain((runner.lengths[at] != -7) != ended, "a length without an end", t, i);
      for (int k = 0; k < runner.columns(); ++k) {
        complain((runner.observation(k, i) != kPoison) != inside,
                 "an observation word is not written, or beyond the batch", t, i);
        complain((runner.final_observation(k, i) != kPoison) != ended,
                 "a final observation without an end", t, i);
      }
      for (int k = 0; k < runner.mask_columns(); ++k) {
        complain((runner.mask(k, i) != kPoison) != inside, "a mask word is not written", t, i);
        complain((runner.final_mask(k, i) != kPoison) != ended, "a final mask without an end", t,
                 i);
      }
      for (int k = 0; k < kGuardColumns; ++k) {
        complain(runner.observation(runner.columns() + k, i) != kPoison,
                 "observe() writes beyond the observation's size", t, i);
        complain(runner.mask(runner.mask_columns() + k, i) != kPoison,
                 "mask() writes beyond the mask's size", t, i);
      }
    }
  }
  broken.insert(broken.end(), wrong.begin(), wrong.end());
}

void check_optional_outputs(const EnvEntry& entry, Broken& broken) {
  Runner full(entry, check_config(100, 5)), bare(entry, check_config(100, 5));
  for (int t = 0; t < 12; ++t) {
    full.draw_actions();
    bare.draw_actions();
    StepBuffers b = bare.buffers();
    b.final_observations = nullptr;
    b.final_masks = nullptr;
    b.outcomes = nullptr;
    b.episode_returns = nullptr;
    b.episode_lengths = nullptr;
    b.episode_levels = nullptr;
    bare.batch().step(b);
    full.step_again();
    if (bare.snapshot() == full.snapshot()) continue;
    broken.emplace_back("a step without optional outputs leaves another state");
    return;
  }
}

namespace {

// Whether a stored word of an observation is as declared; `column` of a plane observation counts words.
bool in_range(const EnvSpec& spec, int column, Word word) {
  const ObservationSpec& o = spec.observed;
  const auto k = static_cast<std::size_t>(column);
  switch (o.kind) {
    case ObservationKind::kReal: {
      const float x = math::from_bits(word);
      return x >= static_cast<float>(spec.observation[k].low) &&
             x <= static_cast<float>(spec.observation[k].high);
    }
    case ObservationKind::kChoices: return word < static_cast<std::uint32_t>(o.choices[k]);
    case ObservationKind::kBits: {
      const int used = o.elements - column * 32;
      return used >= 32 || (word >> used) == 0;
    }
    case ObservationKind::kPixels: {
      const int used = o.elements - column * 4;
      return used >= 4 || (word >> (8 * used)) == 0;
    }
  }
  return false;
}

}  // namespace

// Four roundings of the reward's bound are its sums'.
void check_values(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(2000));
  const EnvSpec& spec = runner.spec();
  const auto slack = [](double bound) { return std::abs(bound) * 4 * 0x1p-24; };
  for (int t = 0; t < 400; ++t) {
    runner.step();
    for (int i = 0; i < runner.n(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool ended = runner.ends[at] != kRunning;
      const std::string where = " (step " + text(t) + ", environment " + text(i) + ")";
      if (ended && runner.outcomes[at] == kOutcomeNotFinite) {
        broken.push_back("a number of the state or the reward is NaN or infinite" + where);
        return;
      }
      for (int k = 0; k < runner.columns(); ++k) {
        if (in_range(spec, k, runner.observation(k, i)) &&
            (!ended || in_range(spec, k, runner.final_observation(k, i)))) {
          continue;
        }
        const bool not_a_number =
            spec.observed.kind == ObservationKind::kReal &&
            !(std::isfinite(math::from_bits(runner.observation(k, i))) &&
              (!ended || std::isfinite(math::from_bits(runner.final_observation(k, i)))));
        broken.push_back("observation word " + text(k) +
                         (not_a_number ? " is NaN or infinite" : " is outside its declared range") +
                         where);
        return;
      }
      const double reward = runner.rewards[at];
      if (reward >= spec.reward_low - slack(spec.reward_low) &&
          reward <= spec.reward_high + slack(spec.reward_high)) {
        continue;
      }
      broken.push_back("reward " + number_text(reward) + " is outside the declared range" + where);
      return;
    }
  }
}

void check_masks(const EnvEntry& entry, Broken& broken) {
  Runner runner(entry, check_config(500));
  if (runner.mask_columns() == 0) return;
  for (int t = 0; t < 300; ++t) {
    for (int i = 0; i < runner.n(); ++i) {
      int first = 0;
      for (const int choices : runner.spec().choices) {
        bool any = false;
        for (int b = first; b < first + choices; ++b) any = any || runner.allows(b, i);
        if (!any) {
          broken.push_back("the mask of environment " + text(i) + " allows no action at step " +
                           text(t));
          return;
        }
        first += choices;
      }
      for (int b = first; b < 32 * runner.mask_columns(); ++b) {
        if (!runner.allows(b, i)) continue;
        broken.push_back("the mask has bit " + text(b) + " set, beyond the choices");
        return;
      }
    }
    runner.step();
  }
}

void check_expert(const EnvEntry& entry, Broken& broken) {
  const EnvSpec spec = entry.spec();
  if (spec.expert == ExpertKind::kNone) return;
  Runner runner(entry, check_config(64));
  const auto stride = static_cast<std::size_t>(runner.stride());
  const auto words = stride * static_cast<std::size_t>(spec.action_size());
  AlignedVector<std::uint32_t> first(words, kPoison), second(words, 0x12345678u);
  for (int t = 0; t < 100; ++t) {
    runner.batch().act_expert(runner.observation_data(), 0, runner.n(), first.data());
    // Other numbers behind the observation: an expert that reads them decides otherwise sooner or later.
    std::fill(runner.observations.begin() + static_cast<std::ptrdiff_t>(runner.columns()) *
                                                static_cast<std::ptrdiff_t>(stride),
              runner.observations.end(), t % 2 == 0 ? 0u : 0xbf800000u);
    runner.batch().act_expert(runner.observation_data(), 0, runner.n(), second.data());
    for (int i = 0; i < runner.n(); ++i) {
      int bit = 0;
      for (int k = 0; k < spec.action_size(); ++k) {
        const auto at = static_cast<std::size_t>(k) * stride + static_cast<std::size_t>(i);
        if (first[at] != second[at]) {
          broken.emplace_back(
              "the expert reads beyond the observation, or is not a function of it");
          return;
        }
        if (k < static_cast<int>(spec.choices.size())) {
          const int n = spec.choices[static_cast<std::size_t>(k)];
          if (first[at] >= static_cast<std::uint32_t>(n) ||
              !runner.allows(bit + static_cast<int>(first[at]), i)) {
            broken.push_back("the expert takes action " +
                             text(static_cast<std::int32_t>(first[at])) +
                             ", which does not exist or is masked (step " + text(t) + ")");
            return;
          }
          bit += n;
        }
        runner.set_action_word(k, i, first[at]);
      }
    }
    runner.step_again();
  }
}

}  // namespace rollmill::contract
