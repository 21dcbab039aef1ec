// Derives the plain-data EnvSpec and the parameter struct of an environment from its static manifests.
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/error.h"
#include "core/base/number_text.h"
#include "envs/env.h"
#include "envs/env_spec.h"

namespace rollmill {

inline FieldSpec to_spec(const FieldInfo& f) { return {f.name, f.unit, f.note, f.low, f.high}; }

// The double that people would write for this float: 9.8, not 9.80000019073486328125. Rounds to the same float.
template <class T>
double shortest_double(T value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

template <class Env>
concept HasMask = requires(const typename Env::State& s, const typename Env::Params& p, Words out) {
  Env::mask(s, p, out);
};

// 32-bit words of the environment's action mask; 0: it has none.
template <class Env>
constexpr int mask_columns() {
  if constexpr (HasMask<Env>) {
    return (Env::Action::kTotalChoices + 31) / 32;
  } else {
    return 0;
  }
}

template <class Env>
concept ExpertSeesState = requires(const typename Env::State& s, const typename Env::Params& p) {
  Env::expert(s, p);
};
template <class Env>
concept ExpertSeesObservation = requires(typename Env::Observation::Reader o,
                                         const typename Env::Params& p) {
  Env::expert(o, p);
};

template <class Env>
ObservationSpec describe_observation() {
  using Space = typename Env::Observation;
  ObservationSpec o;
  o.kind = Space::kKind;
  o.shape.assign(std::begin(Space::kShape), std::end(Space::kShape));
  if constexpr (Space::kKind == ObservationKind::kChoices) {
    o.choices.assign(std::begin(Space::kChoices), std::end(Space::kChoices));
  }
  o.columns = Space::kSize;
  o.elements = Space::kElements;
  return o;
}

template <class Env>
void describe_state(EnvSpec& spec) {
  typename Env::State state{};
  state.visit([&](const char* name, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    constexpr int kCount = field_words<T>();
    for (int k = 0; k < kCount; ++k) {
      spec.state_fields.push_back(std::is_array_v<T>
                                      ? std::string(name) + "[" + std::to_string(k) + "]"
                                      : std::string(name));
      spec.state_is_real.push_back(std::is_same_v<std::remove_all_extents_t<T>, float>);
    }
  });
}

template <class Env>
void describe_difficulty(EnvSpec& spec) {
  if constexpr (requires { Env::difficulty; }) {
    for (const char* name : Env::difficulty) {
      for (std::size_t k = 0; k < spec.params.size(); ++k) {
        if (spec.params[k].field.name == name) spec.difficulty.push_back(static_cast<int>(k));
      }
    }
  }
}

// Keys that `rollmill play` takes for itself: quit, restart, undo, next episode.
inline constexpr std::string_view kReservedKeys = "qrun";

// One printable key for each choice, no key twice, none reserved.
constexpr bool good_keys(std::string_view keys, int choices) {
  bool good = static_cast<int>(keys.size()) == choices;
  for (std::size_t k = 0; k < keys.size(); ++k) {
    good = good && keys[k] >= ' ' && keys[k] <= '~' && keys.find(keys[k], k + 1) == keys.npos &&
           kReservedKeys.find(keys[k]) == kReservedKeys.npos;
  }
  return good;
}

template <class Env>
EnvSpec describe() {
  EnvSpec spec;
  const EnvInfo& info = Env::info;
  spec.id = info.id;
  spec.summary = info.summary;
  spec.references = info.references;
  spec.measures = info.measures;
  spec.time_limit = info.time_limit;
  spec.reward_low = info.reward_low;
  spec.reward_high = info.reward_high;
  spec.solved_at = info.solved_at;
  spec.success = info.success;
  static_assert(std::size(Env::observation_fields) == Env::Observation::kFields,
                "one FieldInfo for each observation element, choice or plane");
  static_assert(std::size(Env::action_fields) == Env::Action::kSize,
                "one FieldInfo for each action column");
  for (const FieldInfo& f : Env::observation_fields) spec.observation.push_back(to_spec(f));
  for (const FieldInfo& f : Env::action_fields) spec.action.push_back(to_spec(f));
  spec.observed = describe_observation<Env>();
  if constexpr (Env::Action::kDiscreteColumns > 0) {
    spec.choices.assign(std::begin(Env::Action::kChoices), std::end(Env::Action::kChoices));
  }
  if constexpr (requires { Env::keys; }) {
    static_assert(good_keys(Env::keys, Env::Action::kTotalChoices),
                  "keys: one for each choice, no key twice, none of q r u n");
    spec.keys = Env::keys;
  }
  spec.mask_columns = mask_columns<Env>();
  spec.expert = ExpertSeesState<Env>         ? ExpertKind::kState
                : ExpertSeesObservation<Env> ? ExpertKind::kObservation
                                             : ExpertKind::kNone;
  spec.outcomes.emplace_back("time_limit");
  for (const char* outcome : info.outcomes) {
    if (outcome != nullptr) spec.outcomes.emplace_back(outcome);
  }
  typename Env::Params params{};
  params.visit([&](const FieldInfo& f, auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    spec.params.push_back({to_spec(f), shortest_double(value), std::is_integral_v<T>});
  });
  describe_difficulty<Env>(spec);
  describe_state<Env>(spec);
  return spec;
}

// Parameters from values in manifest order; empty means the defaults. Values were range-checked by the config.
template <class Env>
typename Env::Params make_params(const std::vector<double>& values) {
  typename Env::Params params{};
  if (values.empty()) return params;
  std::size_t k = 0;
  params.visit([&](const FieldInfo& f, auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    if (k < values.size()) {
      const double v = values[k];
      if (!(v >= f.low && v <= f.high)) {
        fail_usage(std::string(Env::info.id) + ": parameter " + f.name + " = " + number_text(v) +
                   " is outside [" + number_text(f.low) + ", " + number_text(f.high) + "]");
      }
      value = static_cast<T>(v);
    }
    ++k;
  });
  if (k != values.size()) fail_usage(std::string(Env::info.id) + ": wrong number of parameters");
  return params;
}

}  // namespace rollmill
