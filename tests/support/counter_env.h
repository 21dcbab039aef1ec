// Environments for tests of spaces, not of the product: a counter that is shown in any observation space and asks for an
// action of any action space. Everything it shows is a closed formula of the counter, so that a test, in Python too, can say
// what must be there. The counter goes up by 1 + the sum of the choices; each choice is right when it equals
// counter % n, each real number when it is 0.5; an action mask forbids some wrong choices.
#pragma once

#include "envs/batch_cpu.h"
#include "envs/env.h"
#include "envs/registry.h"

namespace rollmill::testing {

// The formulas. Element or choice k of an observation or mask, at counter c.
RM_HD bool counter_bit(int k, int c) { return (k * 7 + c * 13) % (7 + k % 5) < 3; }
RM_HD int counter_byte(int k, int c) { return (k * 37 + c * 101) % 256; }
RM_HD int counter_choice(int column, int n, int c) { return (c * (column + 2) + column) % n; }
RM_HD float counter_real(int k, int c) {
  return 0.25f * static_cast<float>((c * (k + 1)) % 17) - 2.0f;
}
// Choice a of n, bit `bit` of the mask: the right one is always allowed.
RM_HD bool counter_allowed(int bit, int a, int n, int c) {
  return a == c % n || (bit * 5 + c * 3) % 4 != 0;
}

template <class Space, class Actions, bool kMasked>
struct CounterEnv {
  static constexpr EnvInfo info{"Counter-v0", "Shows a counter.", 9, -10, 10, 1,
                                {"wrapped"},  "rollmill's tests"};
  struct Params {
    float unused = 0.0f;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field(FieldInfo{"unused", "", 0, 1}, unused);
    }
  };
  struct State {
    std::int32_t counter;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("counter", counter);
    }
  };
  using Observation = Space;
  using Action = Actions;

  template <int n, bool kAction>
  struct Fields {
    FieldInfo fields[n];
    constexpr Fields() : fields() {
      for (int k = 0; k < n; ++k) {
        fields[k] = {kAction ? "action" : "element", "", -1, 1};
        if (kAction && k < Action::kDiscreteColumns) fields[k] = {"choice", "", 0, 100};
      }
    }
  };
  static constexpr Fields<Observation::kFields, false> kObservation{};
  static constexpr Fields<Action::kSize, true> kActions{};
  static constexpr auto& observation_fields = kObservation.fields;
  static constexpr auto& action_fields = kActions.fields;

  RM_HD static void reset(State& s, const Params&, Rng& rng) {
    s.counter = static_cast<std::int32_t>(rng.integer(5));
  }

  RM_HD static Transition step(State& s, const Params&, const typename Action::Value& action,
                               Rng&) {
    std::int32_t columns[Action::kSize] = {};
    Action::store(action, columns, 1, 0);
    float reward = 0.0f;
    std::int32_t sum = 1;
    for (int k = 0; k < Action::kSize; ++k) {
      if (k < Action::kDiscreteColumns) {
        if constexpr (Action::kDiscreteColumns > 0)
          reward += columns[k] == s.counter % Action::kChoices[k] ? 1.0f : 0.0f;
        sum += columns[k];
      } else {
        reward -= math::abs(math::from_bits(static_cast<std::uint32_t>(columns[k])) - 0.5f);
      }
    }
    s.counter += sum;
    return {reward, s.counter % 23 == 22 ? 1u : 0u};
  }

  RM_HD static void observe(const State& s, const Params&, typename Observation::Writer out) {
    constexpr int kElements = Observation::kElements;
    if constexpr (Observation::kKind == ObservationKind::kBits) {
      for (int w = 0; w < Observation::kSize; ++w) {
        std::uint32_t word = 0;
        for (int b = 0; b < 32 && 32 * w + b < kElements; ++b)
          word |= (counter_bit(32 * w + b, s.counter) ? 1u : 0u) << b;
        out[w] = word;
      }
    } else if constexpr (Observation::kKind == ObservationKind::kPixels) {
      for (int w = 0; w < Observation::kSize; ++w) {
        std::uint32_t word = 0;
        for (int b = 0; b < 4 && 4 * w + b < kElements; ++b)
          word |= static_cast<std::uint32_t>(counter_byte(4 * w + b, s.counter)) << (8 * b);
        out[w] = word;
      }
    } else if constexpr (Observation::kKind == ObservationKind::kChoices) {
      for (int k = 0; k < Observation::kSize; ++k)
        out[k] = counter_choice(k, Observation::kChoices[k], s.counter);
    } else {
      for (int k = 0; k < kElements; ++k) out[k] = counter_real(k, s.counter);
    }
  }

  RM_HD static void mask(const State& s, const Params&, Words out) requires kMasked {
    BitRow<(Action::kTotalChoices + 31) / 32> row;
    int bit = 0;
    for (int k = 0; k < Action::kDiscreteColumns; ++k) {
      for (int a = 0; a < Action::kChoices[k]; ++a, ++bit)
        row.set(bit, counter_allowed(bit, a, Action::kChoices[k], s.counter));
    }
    row.store(out);
  }
};

// One of each kind of space. Masks of more than one word; bits and bytes that do not fill their last word.
using ChoicesEnv = CounterEnv<MultiDiscrete<3, 5, 40>, MultiDiscrete<30, 7>, true>;
using MixedEnv = CounterEnv<Box<3>, Mixed<MultiDiscrete<3, 2>, Box<2>>, true>;
using PlanesEnv = CounterEnv<Planes<3, 5, 7>, Discrete<4>, false>;
using PixelsEnv = CounterEnv<Pixels<2, 3, 3>, Box<1>, false>;
using DiscreteEnv = CounterEnv<Discrete<19>, Discrete<3>, true>;

template <class Env>
const EnvEntry& test_entry() {
  static const EnvEntry entry{
      Env::info.id, describe<Env>,
      [](const BatchConfig& config, ThreadPool* pool) -> std::unique_ptr<EnvBatch> {
        return std::make_unique<CpuBatch<Env>>(config, pool);
      }};
  return entry;
}

// Calls visit(name, Env{}) for each of them.
template <class Visit>
void for_each_space(Visit&& visit) {
  visit("choices", ChoicesEnv{});
  visit("mixed", MixedEnv{});
  visit("planes", PlanesEnv{});
  visit("pixels", PixelsEnv{});
  visit("discrete", DiscreteEnv{});
}

}  // namespace rollmill::testing
