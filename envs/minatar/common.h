// What the five MinAtar games share (Young and Tian 2019; the Python package `minatar` 1.0.15): a board of 10 x 10 cells, six
// game actions, sticky actions, and an observation of one boolean plane for each kind of thing.
//
// A game is a struct as in the environment contract, but for its actions and id:
//
//   struct BreakoutGame {
//     static constexpr EnvInfo about{...};
//     static constexpr const char* minimal_id = "MinAtar/Breakout-v1";
//     static constexpr const char* all_id = "MinAtar/Breakout-v0";
//     static constexpr std::int32_t minimal[] = {kNone, ...};    // game actions that do something
//     static constexpr const char* minimal_note = "0 none, ...";
//     struct Draws { bool sticky; ... };                         // the random outcomes of one step
//     RM_HD static Draws draw(const Params&, Rng&);              // or draw(const State&, const Params&, Rng&)
//     RM_HD static Transition apply(State&, const Params&, std::int32_t game_action, const Draws&);
//     struct ResetDraws {...};                                   // and of a reset
//     RM_HD static ResetDraws draw_reset(const Params&, Rng&);
//     RM_HD static void apply_reset(State&, const Params&, const ResetDraws&);
//     static std::int32_t best_action(const State&, const Params&);  // optional: a game action, for the expert
//     static constexpr minatar::Look looks[] = {...};                // optional: of each plane, for render and text
//     usual, apply_usual, observe_usual                              // optional: a shorter text (envs/env.h)
//     ... Params, State, Observation, observation_fields, observe as in envs/env.h
//   };
//   using Breakout = minatar::Minimal<BreakoutGame>;        // the minimal actions
//   using BreakoutSix = minatar::AllActions<BreakoutGame>;  // all six
//
// The ids and action sets are those that the package registers with Gymnasium; like there, none has a time limit. Drawing
// is apart from applying so that the oracle test can put the package's random outcomes in the place of ours.
//
// One difference: the package remembers the last action across episodes, so that the first action of an episode may be
// replaced by the last one of the episode before. Here an episode depends on nothing before it: its last action is "none".
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

#include "envs/env.h"
#include "envs/grid/grid.h"
#include "envs/minatar/looks.h"
#include "envs/usual.h"

namespace rollmill::minatar {

inline constexpr int kSide = 10;
inline constexpr int kCells = kSide * kSide;

// Game actions, numbered as in the package.
inline constexpr std::int32_t kNone = 0, kLeft = 1, kUp = 2, kRight = 3, kDown = 4, kFire = 5;
inline constexpr char kGameKeys[] = ".awds ";  // for `rollmill play`

// (Functions: device code cannot refer to a constant of the host.)
RM_HD constexpr FieldInfo sticky_field() {
  return {"sticky_probability", "", 0, 1,
          "the last action is done again instead of the chosen one"};
}
RM_HD constexpr FieldInfo ramping_field() {
  return {"ramping", "", 0, 1, "1: gets harder with time"};
}

// Whether the last action is repeated. The threshold is compared with 24 bits, the package's with 53.
RM_HD bool draw_sticky(float probability, Rng& rng) { return rng.uniform() < probability; }

// A coordinate after a game action: one less on `lower` unless it is at `first`, one more on `higher` unless at `last`.
RM_HD std::uint32_t move(std::uint32_t at, std::uint32_t action, std::int32_t lower,
                         std::int32_t higher, std::uint32_t first, std::uint32_t last) {
  const std::uint32_t down =
      grid::all_if(action == static_cast<std::uint32_t>(lower)) & grid::all_if(at != first);
  const std::uint32_t up =
      grid::all_if(action == static_cast<std::uint32_t>(higher)) & grid::all_if(at != last);
  return at + down - up;  // a mask is -1
}

// 100 booleans, three rows a word: cell (x, y) is bit 10 * (y % 3) + x of word y / 3.
struct Board {
  std::uint32_t rows[4];
};

// An observation in the making: kPlanes planes of 100 bits in a row, as Planes<kPlanes, 10, 10> stores them. Everything but
// the cell of `set` is known at compile time: no loop is left that could keep a step loop from vectorising.
template <int kPlanes>
struct PlaneBits {
  static constexpr int kWords = Planes<kPlanes, kSide, kSide>::kSize;
  std::uint32_t word[kWords] = {};

  // Ors `bits` in, kWidth of them, bit 0 at bit `kFirst` of the observation.
  template <int kFirst, int kWidth = 32>
  RM_HD void put(std::uint32_t bits) {
    constexpr int kWord = kFirst / 32, kShift = kFirst % 32;
    word[kWord] |= bits << kShift;
    if constexpr (kShift + kWidth > 32 && kWord + 1 < kWords) {
      word[kWord + 1] |= bits >> (32 - kShift);
    }
  }
  // A row of ten cells, or up to three rows; bit x is column x.
  template <int kPlane, int kRow>
  RM_HD void put_row(std::uint32_t bits) {
    put<kPlane * kCells + kRow * kSide, 3 * kSide>(bits);
  }
  template <int kPlane>
  RM_HD void put_board(const Board& board) {
    put_row<kPlane, 0>(board.rows[0]);
    put_row<kPlane, 3>(board.rows[1]);
    put_row<kPlane, 6>(board.rows[2]);
    put_row<kPlane, 9>(board.rows[3]);
  }
  // Sets cell 10 * y + x of a plane, if `on`.
  template <int kPlane>
  RM_HD void set(std::uint32_t cell, bool on = true) {
    const std::uint32_t index = kPlane * kCells + cell;
    const std::uint32_t bit = static_cast<std::uint32_t>(on) << (index & 31u);
    constexpr int kFirst = kPlane * kCells / 32, kLast = (kPlane * kCells + kCells - 1) / 32;
    set_words<kFirst>(index >> 5, bit, std::make_integer_sequence<int, kLast - kFirst + 1>{});
  }
  RM_HD void store(Words out) const { store(out, std::make_integer_sequence<int, kWords>{}); }

 private:
  template <int kFirst, int... k>
  RM_HD void set_words(std::uint32_t chosen, std::uint32_t bit, std::integer_sequence<int, k...>) {
    ((word[kFirst + k] |= grid::all_if(chosen == kFirst + k) & bit), ...);
  }
  template <int... k>
  RM_HD void store(Words out, std::integer_sequence<int, k...>) const {
    ((out[k] = word[k]), ...);
  }
};

template <class Game>
concept HasBestAction = requires(const typename Game::State& s, const typename Game::Params& p) {
  Game::best_action(s, p);
};

template <class Game>
concept HasShortText = requires { &Game::apply_usual; };

// The game with the actions of a policy: the minimal ones, or all six.
template <class Game, bool kMinimal>
struct WithActions : Game {
  static constexpr int kChoices = kMinimal ? static_cast<int>(std::size(Game::minimal)) : 6;
  static constexpr std::int32_t action_at(int choice) {
    return kMinimal ? Game::minimal[choice] : choice;
  }
  static constexpr EnvInfo info = [] {
    EnvInfo i = Game::about;
    i.id = kMinimal ? Game::minimal_id : Game::all_id;
    return i;
  }();
  using Action = Discrete<kChoices>;
  static constexpr FieldInfo action_fields[] = {
      {"action", "", 0, kChoices - 1,
       kMinimal ? Game::minimal_note : "0 none, 1 left, 2 up, 3 right, 4 down, 5 fire"}};
  struct KeyText {
    char text[kChoices + 1] = {};
  };
  static constexpr KeyText key_text = [] {
    KeyText made;
    for (int k = 0; k < kChoices; ++k) made.text[k] = kGameKeys[action_at(k)];
    return made;
  }();
  static constexpr const char* keys = key_text.text;

  // Four bits a choice: a table that a shift looks up in.
  static constexpr std::uint32_t kTable = [] {
    std::uint32_t table = 0;
    for (int k = 0; k < kChoices; ++k) {
      table |= static_cast<std::uint32_t>(action_at(k)) << (4 * k);
    }
    return table;
  }();
  RM_HD static std::int32_t game_action(std::int32_t choice) {
    return static_cast<std::int32_t>((kTable >> (4u * static_cast<std::uint32_t>(choice))) & 7u);
  }

  static constexpr bool reset_is_constant = std::is_empty_v<typename Game::ResetDraws>;
  RM_HD static void reset(typename Game::State& s, const typename Game::Params& p, Rng& rng) {
    Game::apply_reset(s, p, Game::draw_reset(p, rng));
  }
  RM_HD static Transition step(typename Game::State& s, const typename Game::Params& p,
                               std::int32_t choice, Rng& rng) {
    const auto draws = draw_for(s, p, rng);
    return Game::apply(s, p, game_action(choice), draws);
  }
  RM_HD static Transition step_usual(typename Game::State& s, const typename Game::Params& p,
                                     std::int32_t choice, Rng& rng) requires HasShortText<Game> {
    const auto draws = draw_for(s, p, rng);
    return Game::apply_usual(s, p, game_action(choice), draws);
  }
  RM_HD static auto draw_for(const typename Game::State& s, const typename Game::Params& p,
                             Rng& rng) {
    if constexpr (requires { Game::draw(s, p, rng); }) {
      return Game::draw(s, p, rng);
    } else {
      return Game::draw(p, rng);
    }
  }
  // Game::best_action says what a good player does; both sets hold it.
  static std::int32_t expert(const typename Game::State& s,
                             const typename Game::Params& p) requires HasBestAction<Game> {
    const std::int32_t best = Game::best_action(s, p);
    int choice = 0;
    while (choice + 1 < kChoices && action_at(choice) != best) ++choice;
    return choice;
  }
  static void render(const typename Game::State& s, const typename Game::Params& p,
                     Canvas& canvas) requires HasLooks<Game> {
    draw_picture<Game>(s, p, canvas);
  }
  static void text(const typename Game::State& s, const typename Game::Params& p,
                   TextView& view) requires HasLooks<Game> {
    write_text<Game>(s, p, view);
  }
};

template <class Game>
using Minimal = WithActions<Game, true>;
template <class Game>
using AllActions = WithActions<Game, false>;

}  // namespace rollmill::minatar
