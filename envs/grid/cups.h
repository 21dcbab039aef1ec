// Cups: a ball goes under one of k equal cups; cups change places before one's eyes; then point at the ball's cup.
//
//   show    `show` steps: the ball's cup is lifted, the ball lies under it
//   swaps   `swaps` times `swap_steps` steps: two cups leave their places, move, and stand on the table again in the last
//           of these steps. In a swap the left one passes in front and the right one behind; in a false swap both are
//           lifted straight up and put back
//   delay   `delay` steps: nothing moves
//   go      `patience` steps: point now. Whatever was seen before, this picture is the same
//
// The picture has three rows of 16 columns: behind the table line (lifted), on the table, in front. Place i is column 2 i,
// so that a moving cup is seen between the places. The cups look alike: only who remembers the ball and follows every swap
// knows the answer.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/grid.h"
#include "envs/text_view.h"

namespace rollmill {

struct Cups {
  static constexpr EnvInfo info{
      "Rollmill/Cups-v0",
      "Watch equal cups change places, then point at the one that hides the ball.",
      136,
      0.0,
      1.0,
      0.95,
      {"solved", "wrong", "timeout", "illegal"},
      "The shell game; object permanence after Piaget 1954, multiple object tracking after "
      "Pylyshyn and Storm 1988",
      1,
      "Object permanence with identical objects: memory of where a hidden thing is, brought up to "
      "date by each motion seen."};

  static constexpr int kPlaces = 8, kMaxSwaps = 16;

  struct Params {
    std::int32_t cups = 3;
    std::int32_t swaps = 4;
    std::int32_t swap_steps = 3;
    float false_swaps = 0.0f;
    std::int32_t show = 2;
    std::int32_t delay = 0;
    std::int32_t patience = 4;
    std::int32_t strict = 1;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"cups", "", 2, kPlaces}, cups);
      param(FieldInfo{"swaps", "", 1, kMaxSwaps, "false ones included"}, swaps);
      param(FieldInfo{"swap_steps", "steps", 2, 6, "length of a swap: the fewer, the faster"},
            swap_steps);
      param(FieldInfo{"false_swaps", "", 0, 1, "probability that two cups are put back"},
            false_swaps);
      param(FieldInfo{"show", "steps", 1, 8, "the ball is seen"}, show);
      param(FieldInfo{"delay", "steps", 0, 16, "between the last swap and the go signal"}, delay);
      param(FieldInfo{"patience", "steps", 1, 16, "time to point once the go signal is seen"},
            patience);
      param(FieldInfo{"strict", "", 0, 1,
                      "1: pointing too early or nowhere ends the episode; 0: it is a wait"},
            strict);
    }
  };
  static constexpr const char* difficulty[] = {"cups", "swaps", "false_swaps", "delay"};

  struct State {
    std::int32_t event;  // -1: show; 0 to swaps - 1: that swap; swaps: delay; swaps + 1: go
    std::int32_t frame;  // of the event
    std::int32_t ball;   // its place now
    std::uint32_t
        script[kMaxSwaps / 4];  // a byte a swap: places in bits 0-2 and 3-5, bit 6: a false one
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("event", event);
      field("frame", frame);
      field("ball", ball);
      field("script", script);
    }
  };

  using Observation = Planes<3, 3, 16>;
  using Action = Discrete<1 + kPlaces>;
  static constexpr const char* keys = "012345678";
  static constexpr FieldInfo observation_fields[] = {
      {"cup", "", 0, 1, "rows: lifted or behind, on the table, in front; place i is column 2 i"},
      {"ball", "", 0, 1},
      {"go", "", 0, 1, "everywhere 1: point now"}};
  static constexpr FieldInfo action_fields[] = {
      {"point", "", 0, kPlaces, "0 wait, 1 + i points at place i"}};

  // What a swap does: two places, left < right. (A bool here would keep the step loop from vectorising.)
  struct Swap {
    std::int32_t left, right;
    std::uint32_t byte;  // of the script; 64 and more: a false one
    RM_HD bool put_back() const { return byte >= 64u; }
  };
  RM_HD static Swap swap_at(const State& s, std::int32_t event) {
    std::uint32_t word = 0;
    for (int k = 0; k < kMaxSwaps / 4; ++k) word |= grid::all_if((event >> 2) == k) & s.script[k];
    const std::uint32_t byte = (word >> ((static_cast<std::uint32_t>(event) & 3u) * 8u)) & 0xFFu;
    const auto a = static_cast<std::int32_t>(byte & 7u);
    const auto b = static_cast<std::int32_t>((byte >> 3) & 7u);
    return {a < b ? a : b, a < b ? b : a, byte};
  }

  // One word of randomness a swap: what is left of it after each choice serves the next (bias below 56 / 2^32).
  RM_HD static std::uint32_t draw_swap(const Params& p, std::uint32_t bits) {
    const auto cups = static_cast<std::uint32_t>(p.cups);
    const std::uint32_t a = multiply_high(bits, cups);
    const std::uint32_t rest = bits * cups;
    const std::uint32_t other = multiply_high(rest, cups - 1u);
    const std::uint32_t b = other + (other >= a ? 1u : 0u);
    const bool put_back = unit_from_bits(rest * (cups - 1u)) < p.false_swaps;
    return a | (b << 3) | (put_back ? 64u : 0u);
  }
  RM_HD static std::uint32_t draw_four(const Params& p, Rng& rng) {
    const std::uint32_t first = draw_swap(p, rng.bits());
    const std::uint32_t second = draw_swap(p, rng.bits());
    const std::uint32_t third = draw_swap(p, rng.bits());
    return first | (second << 8) | (third << 16) | (draw_swap(p, rng.bits()) << 24);
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.event = -1;
    s.frame = 0;
    static_assert(kMaxSwaps ==
                  16);  // written out: a loop of this size keeps resets from vectorising
    s.script[0] = draw_four(p, rng);
    s.script[1] = draw_four(p, rng);
    s.script[2] = draw_four(p, rng);
    s.script[3] = draw_four(p, rng);
    s.ball =
        static_cast<std::int32_t>(multiply_high(rng.bits(), static_cast<std::uint32_t>(p.cups)));
  }

  RM_HD static bool is_go(const State& s, const Params& p) { return s.event > p.swaps; }
  RM_HD static bool is_swap(const State& s, const Params& p) {
    return (s.event >= 0) & (s.event < p.swaps);
  }

  // (& and | for && and ||: a branch would keep the step loop from vectorising.)
  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const bool go = is_go(s, p);
    const bool points = action > 0;
    const bool answered = points & go & (action <= p.cups);
    const bool illegal = points & !answered;
    const bool right = answered & (action == s.ball + 1);
    const std::int32_t last = grid::pick(s.event == p.swaps, p.delay, p.patience);
    const std::int32_t middle = grid::pick(s.event < p.swaps, p.swap_steps, last);
    const std::int32_t length = grid::pick(s.event < 0, p.show, middle);
    const bool over = s.frame + 1 >= length;
    const bool turns = over & !go;
    const bool skips = (s.event + 1 == p.swaps) & (p.delay == 0);
    s.event += grid::pick(turns, 1 + static_cast<std::int32_t>(skips), 0);
    s.frame = grid::pick(turns, 0, s.frame + 1);
    // The ball is carried along when its cup stands on the table again.
    const Swap swap = swap_at(s, s.event);
    const bool carried = is_swap(s, p) & (s.frame == p.swap_steps - 1) & !swap.put_back();
    const std::int32_t back = grid::pick(s.ball == swap.right, swap.left, s.ball);
    const std::int32_t there = grid::pick(s.ball == swap.left, swap.right, back);
    s.ball = grid::pick(carried, there, s.ball);
    const std::uint32_t answer = grid::pick(right, 1u, 2u);
    const std::uint32_t late = grid::pick(go & over, 3u, 0u);
    const std::uint32_t none = grid::pick(illegal & (p.strict != 0), 4u, late);
    return {static_cast<float>(static_cast<std::int32_t>(right)),
            grid::pick(answered, answer, none)};
  }

  // The three rows of a picture, bit = column.
  struct Rows {
    std::uint32_t lifted, table, front;
  };
  RM_HD static Rows cup_rows(const State& s, const Params& p) {
    const std::uint32_t all = 0x5555u & ((1u << (2 * p.cups)) - 1u);
    const std::uint32_t shown = ball_seen(s);
    const Swap swap = swap_at(s, s.event);
    const bool moving = is_swap(s, p) & (s.frame < p.swap_steps - 1);
    const std::uint32_t pair = (1u << (2 * swap.left)) | (1u << (2 * swap.right));
    const float part = static_cast<float>(s.frame + 1) / static_cast<float>(p.swap_steps);
    const auto way =
        static_cast<std::int32_t>(part * static_cast<float>(2 * (swap.right - swap.left)) + 0.5f);
    const std::int32_t from_left =
        (2 * swap.left + way) & 15;  // & 15: a defined shift, moving or not
    const std::int32_t from_right = (2 * swap.right - way) & 15;
    const std::uint32_t behind = grid::pick(swap.put_back(), pair, 1u << from_right);
    const std::uint32_t front = grid::all_if(!swap.put_back()) & (1u << from_left);
    const std::uint32_t motion = grid::all_if(moving);
    return {shown | (motion & behind), all & ~(shown | (motion & pair)), motion & front};
  }
  RM_HD static std::uint32_t ball_seen(const State& s) {
    return grid::all_if(s.event < 0) & (1u << (2 * s.ball));
  }

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    const Rows cups = cup_rows(s, p);
    const std::uint32_t go = grid::all_if(is_go(s, p));
    out[0] = cups.lifted | (cups.table << 16);
    out[1] = cups.front;    // and the ball's plane, row 0
    out[2] = ball_seen(s);  // rows 1 and 2
    out[3] = go;
    out[4] = go & 0xFFFFu;
  }

  RM_HD static void mask(const State& s, const Params& p, Words out) {
    const std::uint32_t cups = ((1u << p.cups) - 1u) << 1;
    out[0] = 1u | (grid::all_if(is_go(s, p)) & cups);
  }

  static Action::Value expert(const State& s, const Params& p) {
    return is_go(s, p) ? s.ball + 1 : 0;
  }

  // Both views show what is observed and no more: the ball is not drawn once it is covered.
  static void text(const State& s, const Params& p, TextView& view) {
    view.resize(3, 2 * p.cups - 1, ' ');
    const Rows cups = cup_rows(s, p);
    for (int x = 0; x < 16; ++x) {
      if (x % 2 == 0 && x / 2 < p.cups) view.put(x, 1, '.');
      if ((cups.lifted >> x & 1u) != 0) view.put(x, 0, 'U');
      if ((cups.table >> x & 1u) != 0) view.put(x, 1, 'U');
      if ((cups.front >> x & 1u) != 0) view.put(x, 2, 'U');
    }
    if (s.event < 0) view.put(2 * s.ball, 1, 'o');
    view.line(is_go(s, p) ? "point" : "watch");
  }

  static void draw_cup(Canvas& canvas, Rect cell, Color color) {
    const double x = cell.center_x(), top = cell.y + 3, bottom = cell.y + cell.h - 3;
    canvas.polygon({{x - 7, top}, {x + 7, top}, {x + 11, bottom}, {x - 11, bottom}}, color);
    canvas.rod({x - 10, bottom - 1}, {x + 10, bottom - 1}, palette::kInk, 3);
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    constexpr int kCell = 32;
    const int width = (2 * p.cups - 1) * kCell / 2 + kCell / 2;
    canvas.resize(width + 16, 3 * kCell + 36);
    const auto cell = [&](int column, int row) {
      return Rect{8 + column * kCell / 2, 8 + row * kCell, kCell, kCell};
    };
    canvas.fill({4, 8 + 2 * kCell - 2, width + 8, 3}, palette::kPaleGrey);
    for (int i = 0; i < p.cups; ++i) {
      canvas.label({8 + i * kCell, 3 * kCell + 10, kCell, 10},
                   std::string(1, static_cast<char>('1' + i)), palette::kGrey);
    }
    const Rows cups = cup_rows(s, p);
    const std::uint32_t rows[] = {cups.lifted, cups.table, cups.front};
    for (int row = 0; row < 3; ++row) {
      for (int x = 0; x < 16; ++x) {
        const Color color =
            row == 2 ? palette::kOrange : mix(palette::kOrange, palette::kBlack, 30);
        if ((rows[row] >> x & 1u) != 0) draw_cup(canvas, cell(x, row), color);
      }
    }
    if (s.event < 0) {
      const Rect place = cell(2 * s.ball, 1);
      canvas.circle({place.center_x(), place.y + kCell - 10.0}, 7, palette::kBlue);
    }
    canvas.text(8, 3 * kCell + 24, is_go(s, p) ? "point" : "watch",
                is_go(s, p) ? palette::kGreen : palette::kGrey);
  }
};

}  // namespace rollmill
