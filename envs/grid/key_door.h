// KeyDoor: read an instruction, find keys, open doors, bring or fetch the right thing.
//
// Up to eight rooms of 3 x 3 cells, four in a row, two rows. The rooms in use form a tree: each but the first has one door of a
// colour of its own to a room before it. Some doors are locked; a locked door's key, of its colour, lies in a room that is
// reached before the door, so that every level can be solved. Things (balls and boxes) lie in rooms other than the first.
//
//   fetch   pick up a thing                            wrong: another thing
//   bring   drop a thing in the room behind a door     wrong: another thing dropped there
//   go      enter the room behind a door
//
// Objects lie flat: one walks over them, picks up what lies under one's feet, and carries one at a time. Who looks sees a square
// of cells around him, but not beyond his room; in a doorway he sees both rooms. With `sign` the instruction is written in the
// first room and can be read only there; without memory, who has left through the door no longer knows what to look for.
//
// Cell (x, y) is 16 y + x. Walls are where x or y is 3 modulo 4, and room (x / 4, y / 4) has number 4 (y / 4) + x / 4.
#pragma once

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/grid/grid.h"
#include "envs/grid/key_door_expert.h"
#include "envs/grid/key_door_level.h"
#include "envs/grid/key_door_view.h"

namespace rollmill {

struct KeyDoor {
  static constexpr int kRows = 8, kColumns = 16, kDoors = 7, kThings = 3;
  static constexpr int kObjects = kDoors + kThings;  // object k < kDoors is the key of door k
  enum Reason : std::uint32_t { kSolved = 1, kWrong };
  enum Move { kTurnLeft, kTurnRight, kForward, kPickUp, kDrop, kToggle };
  enum Kind : std::uint32_t { kKey = 1, kBall, kBox };
  enum Mission : std::uint32_t { kFetch = 1, kBring, kGo };

  static constexpr EnvInfo info{
      "Rollmill/KeyDoor-v0",
      "Follow an instruction through rooms with locked doors.",
      500,
      -1.05,
      1.0,
      0.7,
      {"solved", "wrong"},
      "After the tasks of MiniGrid and BabyAI (Chevalier-Boisvert et al. 2018, 2023); own rules",
      kSolved,
      "Memory and planning under partial observation: an instruction that was read, places that "
      "were seen, "
      "and what has to be done first."};

  struct Params {
    std::int32_t rooms = 4;
    std::int32_t locked = 2;
    std::int32_t distractors = 1;
    std::int32_t view = 2;
    std::int32_t sign = 1;
    std::int32_t mission = 0;
    float step_cost = 0.001f;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"rooms", "", 2, kDoors + 1}, rooms);
      param(FieldInfo{"locked", "", 0, kDoors, "doors that are locked, if there are so many"},
            locked);
      param(FieldInfo{"distractors", "", 0, kThings - 1, "things that are not asked for"},
            distractors);
      param(FieldInfo{"view", "cells", 0, 4, "how far one sees; 0: everything"}, view);
      param(FieldInfo{"sign", "", 0, 1, "1: the instruction is seen in the first room only"}, sign);
      param(FieldInfo{"mission", "", 0, 3, "0 any, 1 fetch, 2 bring, 3 go"}, mission);
      param(FieldInfo{"step_cost", "", 0, 0.05, "reward lost by a step"}, step_cost);
    }
  };
  static constexpr const char* difficulty[] = {"rooms", "locked", "distractors", "sign"};

  struct State {
    std::uint32_t agent;             // cell | heading << 7: 0 up, 1 right, 2 down, 3 left
    std::uint32_t carried;           // object + 1; 0: none
    std::uint32_t object[kObjects];  // cell | kind << 7 | colour << 9 | lies there << 12; 0: none
    std::uint32_t
        door[kDoors];  // cell | colour << 7 | locked << 10 | is there << 11 | room behind << 12
    std::uint32_t mission;  // kind | thing << 2 | door << 6 | first room << 9
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("agent", agent);
      field("carried", carried);
      field("object", object);
      field("door", door);
      field("mission", mission);
    }
  };

  static constexpr bool reset_searches = true;
  using Observation = Planes<12, kRows, kColumns>;
  using Action = Discrete<6>;
  static constexpr const char* keys = "adwptg";
  static constexpr FieldInfo observation_fields[] = {
      {"seen", "", 0, 1, "cells in view; all that follows is 0 elsewhere"},
      {"wall", "", 0, 1},
      {"locked door", "", 0, 1},
      {"open door", "", 0, 1},
      {"key", "", 0, 1},
      {"ball", "", 0, 1},
      {"box", "", 0, 1},
      {"colour bit 0", "", 0, 1, "of doors and objects"},
      {"colour bit 1", "", 0, 1},
      {"colour bit 2", "", 0, 1},
      {"agent", "", 0, 1},
      {"notes", "", 0, 1,
       "bits: 0-3 heading; 4-6 carries key, ball, box; 8-15 its colour; the instruction: 16-18 "
       "fetch, bring, go; "
       "20-21 ball, box; 24-31 its colour; 32-39 the door's colour"}};
  static constexpr FieldInfo action_fields[] = {
      {"move", "", 0, 5,
       "0 turn left, 1 turn right, 2 forward, 3 pick up, 4 drop, 5 open with a key"}};

  RM_HD static std::uint32_t cell_of(std::uint32_t word) { return word & 127u; }
  RM_HD static std::uint32_t kind_of(std::uint32_t object) { return (object >> 7) & 3u; }
  RM_HD static std::uint32_t color_of_object(std::uint32_t object) { return (object >> 9) & 7u; }
  RM_HD static std::uint32_t color_of_door(std::uint32_t door) { return (door >> 7) & 7u; }
  RM_HD static std::uint32_t is_locked(std::uint32_t door) { return (door >> 10) & 1u; }
  RM_HD static std::uint32_t room_of(std::uint32_t cell) {
    return (cell >> 4 & 4u) | (cell >> 2 & 3u);
  }
  // 1 on floor, 0 on walls and doors.
  RM_HD static std::uint32_t is_floor(std::uint32_t cell) {
    return (1u - grid::equal(cell & 3u, 3u)) & (1u - grid::equal(cell >> 4 & 3u, 3u));
  }
  static constexpr std::uint32_t kLies = 1u << 12, kLocked = 1u << 10;

  // What the agent has before it, under its feet and in its hands; flags are 0 or 1.
  struct Around {
    std::uint32_t passable;  // ahead: floor or an open door
    std::uint32_t ahead;     // the cell
    std::uint32_t fits;      // a locked door is ahead and its key in the hands
    std::uint32_t under;     // object + 1 that lies here; 0: none
    std::uint32_t can_drop;
  };
  RM_HD static Around look(const State& s) {
    const std::uint32_t here = cell_of(s.agent), heading = (s.agent >> 7) & 3u;
    const std::uint32_t across = heading & 1u,
                        back = (heading >> 1) ^ across ^ 1u;  // towards smaller x or y
    const std::uint32_t stride = across != 0 ? 1u : 16u;
    const std::uint32_t at = across != 0 ? here & 15u : here >> 4;
    const std::uint32_t inside = 1u - (back & grid::equal(at, 0u));
    Around a{};
    a.ahead = (back != 0 ? here - stride : here + stride) & 127u;
    std::uint32_t open = 0;
    grid::unrolled<kDoors>([&](auto k) RM_INLINED {
      const std::uint32_t is_ahead =
          (s.door[k] >> 11) & grid::equal(cell_of(s.door[k]), a.ahead) & inside;
      open |= is_ahead & (is_locked(s.door[k]) ^ 1u);
      a.fits |= is_ahead & is_locked(s.door[k]) & grid::equal(s.carried, k + 1u);
    });
    a.passable = inside & (is_floor(a.ahead) | open);
    grid::unrolled<kObjects>([&](auto k) RM_INLINED {
      const std::uint32_t lies_here = (s.object[k] >> 12) & grid::equal(cell_of(s.object[k]), here);
      a.under |= (0u - lies_here) & (k + 1u);
    });
    a.can_drop = grid::nonzero(s.carried) & (1u - grid::nonzero(a.under)) & is_floor(here);
    return a;
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng&) {
    const auto move = static_cast<std::uint32_t>(action);
    const Around a = look(s);
    const std::uint32_t goes = grid::equal(move, kForward) & a.passable;
    const std::uint32_t takes =
        grid::equal(move, kPickUp) & (1u - grid::nonzero(s.carried)) & grid::nonzero(a.under);
    const std::uint32_t drops = grid::equal(move, kDrop) & a.can_drop;
    const std::uint32_t opens = grid::equal(move, kToggle) & a.fits;
    const std::uint32_t turn = grid::equal(move, kTurnRight) + 3u * grid::equal(move, kTurnLeft);
    const std::uint32_t heading = ((s.agent >> 7) + turn) & 3u;
    const std::uint32_t here = cell_of(s.agent) ^ ((cell_of(s.agent) ^ a.ahead) & (0u - goes));
    s.agent = here | heading << 7;

    const std::uint32_t handled = (a.under & (0u - takes)) | (s.carried & (0u - drops));
    std::uint32_t kind = 0;
    grid::unrolled<kObjects>([&](auto k) RM_INLINED {
      const std::uint32_t is_it = 0u - grid::equal(handled, k + 1u);
      const std::uint32_t moved = (s.object[k] & ~(127u | kLies)) | here | (kLies & (0u - drops));
      kind |= kind_of(s.object[k]) & is_it;
      s.object[k] ^= (s.object[k] ^ moved) & is_it;
    });
    std::uint32_t goal_room = 0;
    const std::uint32_t goal_door = (s.mission >> 6) & 7u;
    grid::unrolled<kDoors>([&](auto k) RM_INLINED {
      const std::uint32_t opened = opens & grid::equal(s.carried, k + 1u);
      goal_room |= ((s.door[k] >> 12) & 7u) & (0u - grid::equal(goal_door, k));
      s.door[k] &= ~(kLocked & (0u - opened));
    });
    s.carried = (s.carried & (drops - 1u)) | (a.under & (0u - takes));

    const std::uint32_t mission = s.mission & 3u, thing = (s.mission >> 2 & 15u) + 1u;
    const std::uint32_t there = is_floor(here) & grid::equal(room_of(here), goal_room);
    const std::uint32_t done =
        (grid::equal(mission, kFetch) & takes) | (grid::equal(mission, kBring) & drops & there);
    const std::uint32_t right = grid::equal(handled, thing), is_key = grid::equal(kind, kKey);
    const std::uint32_t solved = (done & right) | (grid::equal(mission, kGo) & there);
    const std::uint32_t wrong = done & (1u - right) & (1u - is_key);
    const auto end = static_cast<float>(static_cast<std::int32_t>(solved - wrong));
    return {end - p.step_cost, solved * kSolved + wrong * kWrong};
  }

  // Cells in view, two rows a word.
  struct Seen {
    std::uint32_t word[4];
  };
  RM_HD static Seen seen(const State& s, const Params& p) {
    const auto x = static_cast<std::int32_t>(s.agent & 15u),
               y = static_cast<std::int32_t>(s.agent >> 4 & 7u);
    const std::int32_t radius = p.view == 0 ? 16 : p.view, far = p.view == 0 ? 16 : 0;
    const auto in_wall = [](std::int32_t at) RM_INLINED {
      return static_cast<std::int32_t>(4u * grid::equal(static_cast<std::uint32_t>(at) & 3u, 3u));
    };
    const std::int32_t left = math::max(math::max(x - radius, (x & ~3) - 1 - far), 0);
    const std::int32_t right = math::min(math::min(x + radius, (x | 3) + in_wall(x) + far), 15);
    const std::int32_t top = math::max(y - radius, (y & ~3) - 1 - far);
    const std::int32_t bottom = math::min(y + radius, (y | 3) + in_wall(y) + far);
    const std::uint32_t row = ((2u << right) - 1u) & ~((1u << left) - 1u);
    Seen seen{};
    grid::unrolled<kRows>([&](auto r) RM_INLINED {
      // top <= r <= bottom
      const std::uint32_t out =
          (static_cast<std::uint32_t>(r - top) | static_cast<std::uint32_t>(bottom - r)) >> 31;
      seen.word[r / 2] |= (row & (out - 1u)) << (16 * (r % 2));
    });
    return seen;
  }

  RM_HD static std::uint32_t can_read(const State& s, const Params& p) {
    const std::uint32_t here = cell_of(s.agent);
    const std::uint32_t at_sign = is_floor(here) & grid::equal(room_of(here), s.mission >> 9);
    return at_sign | (1u - grid::nonzero(static_cast<std::uint32_t>(p.sign)));
  }

  RM_HD static void observe(const State& s, const Params& p, Words out) {
    const Seen view = seen(s, p);
    constexpr std::uint32_t kWalls[] = {0x88888888u, 0xFFFF8888u, 0x88888888u, 0xFFFF8888u};
    std::uint32_t held_kind = 0, held_color = 0, thing_kind = 0, thing_color = 0, door_color = 0;
    const std::uint32_t thing = s.mission >> 2 & 15u, door = s.mission >> 6 & 7u;
    grid::unrolled<4>([&](auto w) RM_INLINED {
      std::uint32_t locked = 0, open = 0, kind[3] = {}, color[3] = {};
      grid::unrolled<kDoors>([&](auto k) RM_INLINED {
        const std::uint32_t d = s.door[k];
        const std::uint32_t bit =
            ((d >> 11 & 1u) & grid::equal(d >> 5 & 3u, w)) << (d & 31u) & view.word[w];
        locked |= bit & (0u - is_locked(d));
        open |= bit & (is_locked(d) - 1u);
        for (int c = 0; c < 3; ++c) color[c] |= bit & (0u - (d >> (7 + c) & 1u));
      });
      grid::unrolled<kObjects>([&](auto k) RM_INLINED {
        const std::uint32_t o = s.object[k];
        const std::uint32_t bit =
            ((o >> 12) & grid::equal(o >> 5 & 3u, w)) << (o & 31u) & view.word[w];
        for (int c = 0; c < 3; ++c) {
          kind[c] |= bit & (0u - grid::equal(kind_of(o), c + 1u));
          color[c] |= bit & (0u - (o >> (9 + c) & 1u));
        }
      });
      out[w] = view.word[w];
      out[4 + w] = kWalls[w] & view.word[w] & ~(locked | open);
      out[8 + w] = locked;
      out[12 + w] = open;
      for (int c = 0; c < 3; ++c) {
        out[16 + 4 * c + w] = kind[c];
        out[28 + 4 * c + w] = color[c];
      }
      out[40 + w] = grid::equal(s.agent >> 5 & 3u, w) << (s.agent & 31u);
    });
    grid::unrolled<kObjects>([&](auto k) RM_INLINED {
      const std::uint32_t held = 0u - grid::equal(s.carried, k + 1u),
                          asked = 0u - grid::equal(thing, k);
      held_kind |= kind_of(s.object[k]) & held;
      held_color |= color_of_object(s.object[k]) & held;
      thing_kind |= kind_of(s.object[k]) & asked;
      thing_color |= color_of_object(s.object[k]) & asked;
    });
    grid::unrolled<kDoors>([&](auto k) RM_INLINED {
      door_color |= color_of_door(s.door[k]) & (0u - grid::equal(door, k));
    });
    const std::uint32_t reads = can_read(s, p), mission = s.mission & 3u,
                        holds = grid::nonzero(s.carried);
    const std::uint32_t about_thing = reads & (1u - grid::equal(mission, kGo));
    const std::uint32_t about_door = reads & (1u - grid::equal(mission, kFetch));
    out[44] = 1u << (s.agent >> 7 & 3u) | (holds << 3 << held_kind) | holds << 8 << held_color |
              reads << 15 << mission | about_thing << 18 << thing_kind |
              about_thing << 24 << thing_color;
    out[45] = about_door << door_color;
    out[46] = 0;
    out[47] = 0;
  }

  // What would do nothing is not allowed; turning always is.
  RM_HD static void mask(const State& s, const Params&, Words out) {
    const Around a = look(s);
    const std::uint32_t takes = (1u - grid::nonzero(s.carried)) & grid::nonzero(a.under);
    out[0] =
        3u | a.passable << kForward | takes << kPickUp | a.can_drop << kDrop | a.fits << kToggle;
  }

  RM_HD static void reset(State& s, const Params& p, Rng& rng) {
    key_door::make_level<KeyDoor>(s, p, rng);
  }

  static Action::Value expert(const State& s, const Params& p) {
    return key_door::Expert<KeyDoor>(s, p).act();
  }
  static void text(const State& s, const Params& p, TextView& view) {
    key_door::text<KeyDoor>(s, p, view);
  }
  static void render(const State& s, const Params& p, Canvas& canvas) {
    key_door::render<KeyDoor>(s, p, canvas);
  }
};

}  // namespace rollmill
