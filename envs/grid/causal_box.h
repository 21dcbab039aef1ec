// CausalBox: find out by tests which switches light which lamps, then answer what an intervention would do.
//
// A box has n switches and some lamps. A lamp hangs on one or two of the switches and (chain) earlier lamps, through a
// wire, an AND, OR or XOR gate with any of its ends negated. The lamps are dark until the first test and covered again
// once the question is put, so that who answers must have tested and must remember.
//   phase 1   toggle a switch and see the lamps (a test, which costs), or say "ready"
//   phase 2   a do-question: "the switches set to x: is lamp j on?"
// With a confounder one more lamp, the last one, and one switch move by themselves at every test, always alike, until a
// hand is laid on that switch. Either the switch lights the lamp, or a hidden common cause moves both. The question may
// then be "does setting this switch change the last lamp?". The switch, once touched, stays as it is left; the next test
// of another switch shows whether the lamp stays too.
//
// A lamp is its truth table, a word with a bit for each setting of the switches: the gates are gone before the first
// step. Question and answer are drawn at the reset: the answer is a fair coin, then a lamp, then a setting uniformly
// among those with that answer. As lamps are as often negated as not, question and answer are independent.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/causal_box_expert.h"
#include "envs/grid/causal_box_view.h"
#include "envs/grid/grid.h"

namespace rollmill {

struct CausalBox {
  static constexpr int kSwitches = 5, kLamps = 4;
  static constexpr int kReady = kSwitches, kNo = kReady + 1, kYes = kNo + 1;
  enum Reason : std::uint32_t { kSolved = 1, kWrong, kIllegal };

  static constexpr EnvInfo info{
      "Rollmill/CausalBox-v0",
      "Test which switches light which lamps, then answer what setting the switches would do.",
      40,
      -1.0,
      1.0,
      0.7,
      {"solved", "wrong", "illegal"},
      "Pearl, Causality, 2009 (interventions, confounding); this project's own task",
      kSolved,
      "Causal inference by intervention: choosing tests that tell something new, remembering their "
      "results, telling a "
      "cause from a common cause."};

  struct Params {
    std::int32_t switches = 5;
    std::int32_t lamps = 3;
    std::int32_t gates = 2;
    std::int32_t chain = 1;
    std::int32_t confounder = 1;
    float test_cost = 0.01f;
    float wasted_cost = 0.05f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"switches", "", 2, kSwitches}, switches);
      param(FieldInfo{"lamps", "", 1, kLamps, "without the confounded one"}, lamps);
      param(FieldInfo{"gates", "", 0, 2, "0 wires, 1 and AND and OR, 2 and XOR"}, gates);
      param(FieldInfo{"chain", "", 0, 1, "1: lamps may hang on earlier lamps"}, chain);
      param(FieldInfo{"confounder", "", 0, 1, "1: a lamp and a switch that move alike"},
            confounder);
      param(FieldInfo{"test_cost", "", 0, 0.1, "reward lost by a test"}, test_cost);
      param(FieldInfo{"wasted_cost", "", 0, 0.9, "more of it by a test that can tell nothing new"},
            wasted_cost);
    }
  };
  static constexpr const char* difficulty[] = {"switches", "lamps", "gates", "chain", "confounder"};

  struct State {
    std::uint32_t setting;        // of the switches, bit i: switch i is on
    std::uint32_t table[kLamps];  // bit x: the lamp is on at setting x
    std::uint32_t seen;           // bit x: setting x has been seen with the lamps lit
    std::uint32_t tests, asking;  // tests made; 1: phase 2
    std::uint32_t question;       // setting | lamp << 5 | kind << 8 | answer << 10
    std::uint32_t cause;  // switch of the confounder | it lights the lamp << 3 | there is one << 4
    std::uint32_t link;   // hidden cause is on | switch touched << 1 | told apart << 2
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("setting", setting);
      field("table", table);
      field("seen", seen);
      field("tests", tests);
      field("asking", asking);
      field("question", question);
      field("cause", cause);
      field("link", link);
    }
    RM_HD std::uint32_t kind() const { return (question >> 8) & 3u; }
    RM_HD std::uint32_t answer() const { return (question >> 10) & 1u; }
    RM_HD bool confounded() const { return (cause & 16u) != 0; }
    RM_HD bool touched() const { return (link & 2u) != 0; }
    RM_HD bool told() const { return (link & 4u) != 0; }
  };
  enum Kind : std::uint32_t { kNothing, kDo, kLink };

  // 0 off, 1 on, 2 covered or not there; of the question: 2 not asked.
  static constexpr bool reset_searches = true;
  using Observation = MultiDiscrete<2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, kLamps + 2>;
  using Action = Discrete<kYes + 1>;
  static constexpr const char* keys = "12345gfj";
  static constexpr FieldInfo observation_fields[] = {
      {"phase", "", 0, 1},           {"switch 1", "", 0, 2},
      {"switch 2", "", 0, 2},        {"switch 3", "", 0, 2},
      {"switch 4", "", 0, 2},        {"switch 5", "", 0, 2},
      {"lamp 1", "", 0, 2},          {"lamp 2", "", 0, 2},
      {"lamp 3", "", 0, 2},          {"lamp 4", "", 0, 2},
      {"confounded lamp", "", 0, 2}, {"question", "", 0, 2, "1 do, 2 link"},
      {"asked switch 1", "", 0, 2},  {"asked switch 2", "", 0, 2},
      {"asked switch 3", "", 0, 2},  {"asked switch 4", "", 0, 2},
      {"asked switch 5", "", 0, 2},  {"asked lamp", "", 0, kLamps + 1, "5: none"}};
  static constexpr FieldInfo action_fields[] = {
      {"choice", "", 0, kYes, "0-4 toggle a switch, 5 ready, 6 answer no (off), 7 yes (on)"}};

  // Tests that are allowed: enough to walk through all settings and back to the first.
  RM_HD static std::uint32_t budget(const Params& p) { return 1u << p.switches; }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    const auto n = static_cast<std::uint32_t>(p.switches);
    for (int j = 0; j < kLamps; ++j) s.table[j] = draw_lamp(s, p, j, rng);
    s.setting = multiply_high(rng.bits(), 1u << n);
    const std::uint32_t cause = multiply_high(rng.bits(), n);
    const std::uint32_t lights = rng.bits() >> 31;
    const std::uint32_t confounded = p.confounder != 0 ? 1u : 0u;
    s.cause = cause | lights << 3 | confounded << 4;
    s.link = (s.setting >> cause) & 1u;

    const std::uint32_t lamp = multiply_high(rng.bits(), static_cast<std::uint32_t>(p.lamps));
    const std::uint32_t answer = rng.bits() >> 31;
    const std::uint32_t rank = rng.bits();
    const bool about_link = confounded != 0 && rng.bits() >> 31 != 0;
    const std::uint32_t settings = n == 5 ? ~0u : (1u << (1u << n)) - 1u;
    std::uint32_t table = 0;
    for (int j = 0; j < kLamps; ++j) table = static_cast<int>(lamp) == j ? s.table[j] : table;
    const std::uint32_t asked = nth_bit((answer != 0 ? table : ~table) & settings, rank);
    s.question = about_link ? 1u << cause | std::uint32_t{kLamps} << 5 | kLink << 8 | lights << 10
                            : asked | lamp << 5 | kDo << 8 | answer << 10;
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const auto a = static_cast<std::uint32_t>(action);
    const std::uint32_t waits = 1u - s.asking;
    const std::uint32_t test =
        waits & grid::flag(action < p.switches) & grid::flag(s.tests < budget(p));
    const std::uint32_t ready = waits & grid::flag(action == kReady);
    const std::uint32_t answers = s.asking & grid::flag(action >= kNo);
    const std::uint32_t confounded = (s.cause >> 4) & 1u;
    const std::uint32_t bit = test << (a & 31u), follower = confounded << (s.cause & 7u);
    const std::uint32_t by_hand = grid::flag((bit & follower) != 0),
                        other = grid::flag((bit & ~follower) != 0);
    const std::uint32_t was_touched = (s.link >> 1) & 1u, was_told = (s.link >> 2) & 1u;
    const std::uint32_t touched = was_touched | by_hand, told = was_told | (was_touched & other);
    const std::uint32_t by_itself = test & (1u - touched) ? follower : 0u;
    s.setting ^= bit ^ by_itself;
    const std::uint32_t now = test << (s.setting & 31u);
    const std::uint32_t learned =
        (touched ^ was_touched) | (told ^ was_told) | grid::flag((now & ~s.seen) != 0);
    s.link = ((s.link & 1u) ^ test) | touched << 1 | told << 2;
    s.seen |= now;
    s.tests += test;
    s.asking |= ready;
    const std::uint32_t solved = answers & grid::flag(s.answer() == grid::flag(action == kYes));
    const std::uint32_t wrong = answers & (1u - solved);
    const std::uint32_t illegal = 1u - (test | ready | answers);
    const float cost = p.test_cost + (learned != 0 ? 0.0f : p.wasted_cost);
    const auto end = static_cast<float>(static_cast<std::int32_t>(solved - wrong - illegal));
    return {end - (test != 0 ? cost : 0.0f),
            solved * kSolved + wrong * kWrong + illegal * kIllegal};
  }

  // Whether the confounded lamp shines: 0, 1.
  RM_HD static std::uint32_t follows(const State& s) {
    const std::uint32_t by_switch = s.setting >> (s.cause & 7u);
    return ((s.cause & 8u) != 0 ? by_switch : s.link) & 1u;
  }

  RM_HD static void observe(const State& s, const Params& p, Ints out) {
    const std::uint32_t waits = 1u - s.asking, lit = waits & grid::flag(s.tests != 0);
    const std::uint32_t kind = s.asking * s.kind();
    out[0] = static_cast<std::int32_t>(s.asking);
    grid::unrolled<kSwitches>([&](auto i) RM_INLINED {
      const std::uint32_t there = grid::flag(i < p.switches), asked = (s.question >> i) & 1u;
      const std::uint32_t shown =
          there & (grid::flag(kind == kDo) | (grid::flag(kind == kLink) & asked));
      out[1 + i] = (there & waits) != 0 ? static_cast<std::int32_t>((s.setting >> i) & 1u) : 2;
      out[12 + i] = shown != 0 ? static_cast<std::int32_t>(asked) : 2;
    });
    grid::unrolled<kLamps>([&](auto j) RM_INLINED {
      const auto on = static_cast<std::int32_t>((s.table[j] >> (s.setting & 31u)) & 1u);
      out[6 + j] = (lit & grid::flag(j < p.lamps)) != 0 ? on : 2;
    });
    const auto follows_on = static_cast<std::int32_t>(follows(s));
    out[6 + kLamps] = (lit & (s.cause >> 4)) != 0 ? follows_on : 2;
    out[11] = static_cast<std::int32_t>(kind);
    const auto lamp = static_cast<std::int32_t>((s.question >> 5) & 7u);
    out[17] = s.asking != 0 ? lamp : kLamps + 1;
  }

  RM_HD static void mask(const State& s, const Params& p, Words out) {
    const std::uint32_t toggles = s.tests < budget(p) ? (1u << p.switches) - 1u : 0u;
    out[0] = s.asking != 0 ? 1u << kNo | 1u << kYes : toggles | 1u << kReady;
  }

  // Tests until what it has seen leaves one table for each lamp, then answers; it never looks at the wiring before.
  static Action::Value expert(const State& s, const Params& p) {
    return causal_box::expert<CausalBox>(s, p);
  }
  static void text(const State& s, const Params& p, TextView& view) {
    causal_box::text<CausalBox>(s, p, view);
  }
  static void render(const State& s, const Params& p, Canvas& canvas) {
    causal_box::render<CausalBox>(s, p, canvas);
  }

 private:
  // Lamp j's table, from the switches and the lamps before it. Never constant.
  RM_HD static std::uint32_t draw_lamp(const State& s, const Params& p, int j, Rng& rng) {
    const auto sources = static_cast<std::uint32_t>(p.switches + (p.chain != 0 ? j : 0));
    const std::uint32_t first = multiply_high(rng.bits(), sources);
    std::uint32_t second = multiply_high(rng.bits(), sources - 1);
    second += second >= first ? 1u : 0u;
    const auto kinds = static_cast<std::uint32_t>(p.gates == 0 ? 1 : p.gates == 1 ? 3 : 4);
    const std::uint32_t gate = multiply_high(rng.bits(), kinds), negate = rng.bits();
    std::uint32_t a = 0, b = 0;
    for (int k = 0; k < kSwitches + kLamps; ++k) {
      const bool is_switch = k < p.switches;
      const int lamp = k - p.switches;
      const std::uint32_t table = is_switch       ? causal_box::variable(k)
                                  : lamp < kLamps ? s.table[lamp & 3]
                                                  : 0u;
      a = static_cast<int>(first) == k ? table : a;
      b = static_cast<int>(second) == k ? table : b;
    }
    const std::uint32_t wire = negate & 1u ? ~a : a;
    const std::uint32_t out = causal_box::gate(gate, wire, negate & 2u ? ~b : b);
    const bool constant = out == 0 || out == ~0u;  // of a source and its own negation
    return (constant ? wire : out) ^ (negate & 4u ? ~0u : 0u);
  }

  // Position of the bit that `random` picks, each alike; some bit must be set.
  RM_HD static std::uint32_t nth_bit(std::uint32_t word, std::uint32_t random) {
    std::uint32_t count = 0, found = 0;
    for (int k = 0; k < 32; ++k) count += (word >> k) & 1u;
    std::uint32_t left = multiply_high(random, count);
    for (std::uint32_t k = 0; k < 32; ++k) {
      const bool on = ((word >> k) & 1u) != 0;
      found = on && left == 0 ? k : found;
      left -= on ? 1u : 0u;  // wraps below 0 once found
    }
    return found;
  }
};

}  // namespace rollmill
