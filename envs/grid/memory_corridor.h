// MemoryCorridor: a cue at the start says which door to take at the end; between them lies a corridor full of distractors.
//
//     #############D0#      cues = 3, length = 11: the agent starts at the left end, where the cue lies, and sees 5 x 5
//     #############.##      cells around it. The corridor is one cell wide, so that no step aside can serve as a note.
//     #C..b...a.....D1      The hall at its end has a door for each cue, which bears the cue's symbol. The cue is gone
//     #############.##      after `cue_steps` steps; distractors look like cues. None of them can be seen from the hall,
//     #############D2#      which is the same in every level.
//
// Coordinates: column x from the start, row y from the hall's top; the corridor is row cues - 1, the hall column
// `length` with rows 0 to 2 cues - 2, door i at (length + 1, 2 i). With two cues it is a T-maze.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/grid.h"
#include "envs/text_view.h"

namespace rollmill {

struct MemoryCorridor {
  static constexpr EnvInfo info{
      "Rollmill/MemoryCorridor-v0",
      "Remember a cue along a corridor of distractors and leave by the door that bears it.",
      776,
      0.0,
      1.0,
      0.95,
      {"solved", "wrong", "timeout"},
      "T-maze of Bakker 2001 (Reinforcement Learning with Long Short-Term Memory), delayed "
      "matching to sample",
      1,
      "Working memory: keeps one symbol over many steps while others like it pass by, and acts on "
      "it."};

  static constexpr int kCues = 8, kView = 5, kRadius = 2;
  static constexpr int kBits = kView * kView;  // of a plane

  struct Params {
    std::int32_t cues = 2;
    std::int32_t length = 10;
    float distractors = 0.3f;
    std::int32_t cue_steps = 1;
    std::int32_t slack = 20;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"cues", "", 2, kCues, "and doors"}, cues);
      param(FieldInfo{"length", "cells", 4, 512, "from the cue to the hall"}, length);
      param(FieldInfo{"distractors", "", 0, 1, "probability that a cell of the corridor has one"},
            distractors);
      param(FieldInfo{"cue_steps", "steps", 1, 16, "then the cue is gone"}, cue_steps);
      param(FieldInfo{"slack", "steps", 0, 256, "time beyond the length of the longest way"},
            slack);
    }
  };
  static constexpr const char* difficulty[] = {"cues", "length", "distractors"};

  struct State {
    std::int32_t x, y;
    std::int32_t cue;
    std::int32_t time;
    std::uint32_t noise;  // what the distractors are a function of
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("x", x);
      field("y", y);
      field("cue", cue);
      field("time", time);
      field("noise", noise);
    }
  };

  using Observation = Planes<2 + kCues, kView, kView>;
  using Action = Discrete<4>;
  static constexpr const char* keys = "wdsa";
  static constexpr FieldInfo observation_fields[] = {
      {"wall", "", 0, 1, "the agent stands in the middle"},
      {"door", "", 0, 1},
      {"symbol 0", "", 0, 1, "cue, distractor or the label of a door"},
      {"symbol 1", "", 0, 1},
      {"symbol 2", "", 0, 1},
      {"symbol 3", "", 0, 1},
      {"symbol 4", "", 0, 1},
      {"symbol 5", "", 0, 1},
      {"symbol 6", "", 0, 1},
      {"symbol 7", "", 0, 1}};
  static constexpr FieldInfo action_fields[] = {
      {"move", "", 0, 3, "0 up, 1 right, 2 down, 3 left; into a wall: stays"}};

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    s.x = 0;
    s.y = p.cues - 1;
    s.time = 0;
    s.cue =
        static_cast<std::int32_t>(multiply_high(rng.bits(), static_cast<std::uint32_t>(p.cues)));
    s.noise = rng.bits();
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const std::int32_t x =
        s.x + static_cast<std::int32_t>(action == 1) - static_cast<std::int32_t>(action == 3);
    const std::int32_t y =
        s.y + static_cast<std::int32_t>(action == 2) - static_cast<std::int32_t>(action == 0);
    const std::int32_t door = y >> 1;
    const bool in_corridor = (y == p.cues - 1) & (x >= 0) & (x <= p.length);
    const bool in_rows = (y >= 0) & (y <= 2 * p.cues - 2);
    const bool in_hall = in_rows & (x == p.length);
    const bool leaves = in_rows & (x == p.length + 1) & (y == 2 * door);
    const bool moves = in_corridor | in_hall | leaves;
    s.x = grid::pick(moves, x, s.x);
    s.y = grid::pick(moves, y, s.y);
    s.time += 1;
    const bool solved = leaves & (door == s.cue);
    const std::uint32_t late = grid::pick(s.time >= p.length + p.cues + p.slack, 3u, 0u);
    const std::uint32_t left = grid::pick(solved, 1u, 2u);
    return {static_cast<float>(static_cast<std::int32_t>(solved)), grid::pick(leaves, left, late)};
  }

  // The distractor of corridor cell x: its symbol, or -1. A hash of the level's noise (the finaliser of MurmurHash3), so
  // that a corridor of any length takes one word; its high half says whether, its low half which (bias below 2^-13).
  RM_HD static std::int32_t distractor(const State& s, const Params& p, std::int32_t x) {
    std::uint32_t h = s.noise + static_cast<std::uint32_t>(x) * 0x9E3779B9u;
    h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
    h = (h ^ (h >> 13)) * 0xC2B2AE35u;
    h ^= h >> 16;
    const auto limit = static_cast<std::int32_t>(p.distractors * 65536.0f);
    const bool there =
        (static_cast<std::int32_t>(h >> 16) < limit) & (x > 0) & (x < p.length - kRadius);
    const std::uint32_t symbol = ((h & 0xFFFFu) * static_cast<std::uint32_t>(p.cues)) >> 16;
    return grid::pick(there, static_cast<std::int32_t>(symbol), -1);
  }

  // What lies on corridor cell x: a symbol or -1.
  RM_HD static std::int32_t symbol_at(const State& s, const Params& p, std::int32_t x) {
    const bool is_cue = (x == 0) & (s.time < p.cue_steps);
    return grid::pick(is_cue, s.cue, distractor(s, p, x));
  }

  // The agent's window as planes; bit 5 row + column.
  struct Window {
    std::uint32_t wall, door, symbol[kCues];
  };
  RM_HD static Window window(const State& s, const Params& p) {
    const std::int32_t row = p.cues - 1 - s.y + kRadius;  // of the corridor
    const std::int32_t hall = p.length - s.x + kRadius;   // its column
    const std::uint32_t row_seen = grid::all_if((row >= 0) & (row < kView));
    const std::uint32_t row_shift = static_cast<std::uint32_t>(5 * row) & 31u & row_seen;
    const std::uint32_t hall_shift = static_cast<std::uint32_t>(hall) & 31u;
    const std::uint32_t hall_seen = grid::all_if((hall >= 0) & (hall < kView));
    const std::uint32_t doors_seen = grid::all_if((hall >= -1) & (hall < kView - 1));
    const std::uint32_t door_shift = static_cast<std::uint32_t>(hall + 1) & 31u;
    std::uint32_t rows = 0;  // of the hall, at column 0
    for (int r = 0; r < kView; ++r) {
      const std::int32_t y = s.y + r - kRadius;
      rows |= grid::all_if((y >= 0) & (y <= 2 * p.cues - 2)) & (1u << (kView * r));
    }
    const std::uint32_t odd = 0u - (static_cast<std::uint32_t>(s.y) & 1u);
    const std::uint32_t even_rows = rows & ((odd & 0x8020u) | (~odd & 0x100401u));
    std::uint32_t floor = 0;  // of the corridor, in one row
    std::int32_t lies[kView];
    for (int c = 0; c < kView; ++c) {
      const std::int32_t x = s.x + c - kRadius;
      floor |= grid::all_if((x >= 0) & (x <= p.length)) & (1u << c);
      lies[c] = symbol_at(s, p, x);
    }
    Window w;
    w.door = doors_seen & (even_rows << door_shift);
    w.wall = ~(w.door | (hall_seen & (rows << hall_shift)) | (row_seen & (floor << row_shift)));
    w.wall &= (1u << kBits) - 1u;
    for (int k = 0; k < kCues; ++k) {
      std::uint32_t on_floor = 0;
      for (int c = 0; c < kView; ++c) on_floor |= grid::all_if(lies[c] == k) & (1u << c);
      const std::int32_t label = 2 * k - s.y + kRadius;  // row of door k
      const std::uint32_t labelled =
          doors_seen & grid::all_if((label >= 0) & (label < kView) & (k < p.cues));
      const std::uint32_t label_shift = (static_cast<std::uint32_t>(5 * label) & 31u & labelled);
      w.symbol[k] =
          (row_seen & (on_floor << row_shift)) | (labelled & ((1u << label_shift) << door_shift));
    }
    return w;
  }

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    const Window w = window(s, p);
    grid::Packed<Observation::kSize> bits;
    bits.put<0>(w.wall);
    bits.put<1 * kBits>(w.door);
    bits.put<2 * kBits>(w.symbol[0]);
    bits.put<3 * kBits>(w.symbol[1]);
    bits.put<4 * kBits>(w.symbol[2]);
    bits.put<5 * kBits>(w.symbol[3]);
    bits.put<6 * kBits>(w.symbol[4]);
    bits.put<7 * kBits>(w.symbol[5]);
    bits.put<8 * kBits>(w.symbol[6]);
    bits.put<9 * kBits>(w.symbol[7]);
    for (int k = 0; k < Observation::kSize; ++k) out[k] = bits.word[k];
  }

  static Action::Value expert(const State& s, const Params& p) {
    if (s.x < p.length || s.y == 2 * s.cue) return 1;
    return s.y < 2 * s.cue ? 2 : 0;
  }

  // Both views show the agent's window and no more.
  static void text(const State& s, const Params& p, TextView& view) {
    view.resize(kView, kView, '.');
    const Window w = window(s, p);
    std::string here = "nothing";
    for (int i = 0; i < kBits; ++i) {
      if ((w.wall >> i & 1u) != 0) view.put(i % kView, i / kView, '#');
      for (int k = 0; k < kCues; ++k) {
        if ((w.symbol[k] >> i & 1u) == 0) continue;
        const bool door = (w.door >> i & 1u) != 0;
        view.put(i % kView, i / kView, static_cast<char>((door ? 'A' : 'a') + k));
        if (i == kBits / 2) here = static_cast<char>((door ? 'A' : 'a') + k);
      }
    }
    view.put(kRadius, kRadius, '@');
    view.line("under @: " + here);
  }

  static void render(const State& s, const Params& p, Canvas& canvas) {
    const Grid cells = canvas.resize_grid(kView, kView, 36);
    const Window w = window(s, p);
    for (int i = 0; i < kBits; ++i) {
      const Rect cell = cells.cell(i / kView, i % kView);
      const bool door = (w.door >> i & 1u) != 0;
      if ((w.wall >> i & 1u) != 0) canvas.fill(cell, palette::kDarkGrey);
      if (door) canvas.outline(cell.inset(2), palette::kInk, 3);
      for (int k = 0; k < kCues; ++k) {
        if ((w.symbol[k] >> i & 1u) == 0) continue;
        if (!door) canvas.disc(cell, palette::kKinds[k]);
        canvas.label(cell, std::string(1, static_cast<char>('A' + k)),
                     door ? palette::kKinds[k] : palette::kPaper, 2);
      }
    }
    const Rect middle = cells.cell(kRadius, kRadius);
    canvas.ring({middle.center_x(), middle.center_y()}, 17, palette::kInk, 3);
  }
};

}  // namespace rollmill
