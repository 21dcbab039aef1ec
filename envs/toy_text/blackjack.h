// Blackjack-v1: hit or stick against a dealer who draws up to 17, from an infinite deck.
// Sutton and Barto (2018), example 5.1, in the rules of Gymnasium's BlackjackEnv; the defaults are those of its registry (sab).
#pragma once

#include <utility>

#include "envs/canvas.h"
#include "envs/env.h"
#include "envs/text_view.h"

namespace rollmill {

struct Blackjack {
  static constexpr EnvInfo info{
      "Blackjack-v1",
      "Draw cards to come closer to 21 than the dealer, not beyond.",
      0,
      -1.0,
      1.5,
      0.0,
      {"won", "lost", "drawn"},
      "Sutton, Barto 2018, example 5.1; Gymnasium gymnasium/envs/toy_text/blackjack.py",
      1,
      "Decisions under chance with little information: how much risk a card is worth."};

  struct Params {
    std::int32_t natural = 0;
    std::int32_t sab = 1;
    template <class V>
    RM_HD constexpr void visit(V&& param) {
      param(FieldInfo{"natural", "", 0, 1, "1: a win with ace and ten is worth 1.5, unless sab"},
            natural);
      param(FieldInfo{"sab", "", 0, 1, "1: ace and ten win unless the dealer has them, too"}, sab);
    }
  };

  // A hand's points count each ace as 1; one of them counts 11 where that does not exceed 21.
  struct State {
    std::uint32_t player, player_ace, player_cards;
    std::uint32_t showing;  // the dealer's first card, 1 (ace) to 10
    std::uint32_t dealer, dealer_ace;
    template <class V>
    RM_HD constexpr void visit(V&& field) {
      field("player", player);
      field("player_ace", player_ace);
      field("player_cards", player_cards);
      field("showing", showing);
      field("dealer", dealer);
      field("dealer_ace", dealer_ace);
    }
  };

  using Observation = MultiDiscrete<32, 11, 2>;
  using Action = Discrete<2>;
  static constexpr FieldInfo observation_fields[] = {
      {"player sum", "", 0, 31}, {"dealer card", "", 0, 10}, {"usable ace", "", 0, 1}};
  static constexpr FieldInfo action_fields[] = {{"hit", "", 0, 1, "0 stick, 1 hit"}};
  static constexpr const char* keys = "sh";

  // The dealer draws at most ten cards: up to six aces, one card that makes the eleven a one, five more aces.
  static constexpr int kMostCards = 10;

  // Three cards from 32 random bits: 28 of them as a number in base 13. Three cards together come with a probability
  // that is off by less than 13^3 / 2^28 of it, 8e-6.
  struct Cards {
    std::uint32_t rest;
    RM_HD explicit Cards(std::uint32_t bits) : rest(bits >> 4) {}
    RM_HD std::uint32_t next() {
      const std::uint32_t product = rest * 13u;
      rest = product & 0x0FFFFFFFu;
      const std::uint32_t rank = (product >> 28) + 1u;
      return rank < 10u ? rank : 10u;
    }
  };

  RM_HD static void reset(State& s, const Params&, Rng& rng) {
    Cards two(rng.bits()), others(rng.bits());
    s.showing = two.next();
    const std::uint32_t hidden = two.next();
    s.dealer = s.showing + hidden;
    s.dealer_ace = s.showing == 1 || hidden == 1 ? 1u : 0u;
    const std::uint32_t first = others.next(), second = others.next();
    s.player = first + second;
    s.player_ace = first == 1 || second == 1 ? 1u : 0u;
    s.player_cards = 2;
  }

  // Next cards of the deck, 1 to 10: a hit takes the first one, a dealer as many as they need.
  struct Draws {
    std::uint32_t card[kMostCards];
  };
  RM_HD static Draws draw(const State&, const Params&, Rng& rng) {
    Cards a(rng.bits()), b(rng.bits()), c(rng.bits()), e(rng.bits());
    return {{a.next(), a.next(), a.next(), b.next(), b.next(), b.next(), c.next(), c.next(),
             c.next(), e.next()}};
  }

  // What a hand counts. (Here and below, truths are words 0 and 1 and rewards are counted in halves: g++ 12 turns chains
  // of bools into control flow, which it cannot vectorise.)
  RM_HD static std::uint32_t usable(std::uint32_t points, std::uint32_t ace) {
    return ace & (points <= 11 ? 1u : 0u);
  }
  RM_HD static std::uint32_t total(std::uint32_t points, std::uint32_t ace) {
    return points + 10u * usable(points, ace);
  }

  // (A fold, not a loop: g++ 12 vectorises the loop over environments only where nothing inside it loops.)
  template <std::size_t... k>
  RM_HD static void dealer_plays(State& s, std::uint32_t plays, const Draws& d,
                                 std::index_sequence<k...>) {
    (dealer_draws(s, plays * d.card[k]), ...);
  }
  RM_HD static void dealer_draws(State& s, std::uint32_t card) {
    const std::uint32_t taken = total(s.dealer, s.dealer_ace) < 17 ? card : 0u;
    s.dealer += taken;
    s.dealer_ace |= taken == 1 ? 1u : 0u;
  }

  RM_HD static Transition apply(State& s, const Params& p, Action::Value action, const Draws& d) {
    const auto hits = static_cast<std::uint32_t>(action);
    const std::uint32_t sticks = 1u - hits;
    const std::uint32_t mine_natural =
        s.player_ace & (s.player == 11 ? 1u : 0u) & (s.player_cards == 2 ? 1u : 0u);
    const std::uint32_t theirs_natural = s.dealer_ace & (s.dealer == 11 ? 1u : 0u);  // of two cards

    const std::uint32_t card = hits * d.card[0];
    s.player += card;
    s.player_ace |= card == 1 ? 1u : 0u;
    s.player_cards += hits;
    dealer_plays(s, sticks, d, std::make_index_sequence<kMostCards>());

    const std::uint32_t mine = total(s.player, s.player_ace);
    const std::uint32_t theirs = s.dealer > 21 ? 0u : total(s.dealer, s.dealer_ace);
    const std::uint32_t wins = mine > theirs ? 1u : 0u, loses = mine < theirs ? 1u : 0u;
    const auto by_book = static_cast<std::uint32_t>(p.sab);
    const auto pays_more = static_cast<std::uint32_t>(p.natural) & (by_book ^ 1u);
    const std::uint32_t halves = 2u * wins - 2u * loses + (pays_more & mine_natural & wins);
    const std::uint32_t at_once = by_book & mine_natural & (theirs_natural ^ 1u);
    const std::uint32_t bust = s.player > 21 ? 1u : 0u;
    const auto scored = static_cast<std::int32_t>(at_once != 0 ? 2u : halves);
    const std::int32_t paid = hits != 0 ? -2 * static_cast<std::int32_t>(bust) : scored;
    const std::uint32_t result = paid > 0 ? 1u : paid < 0 ? 2u : 3u;
    return {0.5f * static_cast<float>(paid), (sticks | bust) * result};
  }

  RM_HD static Transition step(State& s, const Params& p, Action::Value action, Rng& rng) {
    return apply(s, p, action, draw(s, p, rng));
  }

  RM_HD static void observe(const State& s, const Params&, Ints out) {
    out[0] = static_cast<std::int32_t>(total(s.player, s.player_ace));
    out[1] = static_cast<std::int32_t>(s.showing);
    out[2] = static_cast<std::int32_t>(usable(s.player, s.player_ace));
  }

  // The best policy that sees an observation; tests/envs/toy_text finds the same one by dynamic programming.
  RM_HD static Action::Value expert(ConstInts o, const Params&) {
    const std::int32_t sum = o[0], dealer = o[1];
    const std::int32_t stick_from_hard = dealer >= 4 && dealer <= 6   ? 12
                                         : dealer == 2 || dealer == 3 ? 13
                                                                      : 17;
    const std::int32_t stick_from_soft = dealer >= 9 || dealer == 1 ? 19 : 18;
    return sum < (o[2] != 0 ? stick_from_soft : stick_from_hard) ? 1 : 0;
  }

  static void text(const State& s, const Params&, TextView& view) {
    view.resize(0, 0);
    view.line("dealer shows " + card_name(s.showing));
    view.line("player has " + std::to_string(total(s.player, s.player_ace)) +
              (usable(s.player, s.player_ace) != 0 ? " with a usable ace" : ""));
  }

  static std::string card_name(std::uint32_t card) {
    return card == 1 ? "an ace" : std::to_string(card);
  }

  static void render(const State& s, const Params&, Canvas& canvas) {
    canvas.resize(200, 160, mix(palette::kGreen, palette::kBlack, 60));
    const auto number = [](std::uint32_t n) {
      return n == 1 ? std::string("A") : std::to_string(n);
    };
    const auto card = [&](int x, int y, const std::string& face) {
      canvas.fill({x, y, 40, 56}, palette::kWhite);
      canvas.outline({x, y, 40, 56}, palette::kInk, 2);
      canvas.label({x, y, 40, 56}, face, palette::kInk, 2);
    };
    card(20, 14, number(s.showing));
    card(68, 14, "?");
    card(20, 90, number(total(s.player, s.player_ace)));
    if (usable(s.player, s.player_ace) != 0) canvas.text(72, 96, "usable ace", palette::kWhite);
    canvas.text(72, 120, std::to_string(s.player_cards) + " cards", palette::kWhite);
  }
};

}  // namespace rollmill
