// Gates as words of truth tables, and the scripted experimenter of CausalBox (envs/grid/causal_box.h).
//
// Bit x of a table is the value at setting x of five switches. A hypothesis about a lamp is a table; what has been seen of a
// lamp at the settings `seen` rules a hypothesis out if they differ there. The experimenter keeps all hypotheses that the
// rules of the box allow, makes the test that splits them best, and is ready when one is left for each lamp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/macros.h"

namespace rollmill::causal_box {

// Of switch k = 0..4: on at the settings with bit k.
RM_HD constexpr std::uint32_t variable(int k) {
  return k == 0   ? 0xAAAAAAAAu
         : k == 1 ? 0xCCCCCCCCu
         : k == 2 ? 0xF0F0F0F0u
         : k == 3 ? 0xFF00FF00u
                  : 0xFFFF0000u;
}

// 0 the first input, 1 AND, 2 OR, 3 XOR.
RM_HD constexpr std::uint32_t gate(std::uint32_t kind, std::uint32_t a, std::uint32_t b) {
  return kind == 0 ? a : kind == 1 ? a & b : kind == 2 ? a | b : a ^ b;
}

// All tables that the rules allow for a lamp with these sources, and that agree with `table` where `seen` has a bit.
inline std::vector<std::uint32_t> hypotheses(const std::vector<std::uint32_t>& sources, int gates,
                                             std::uint32_t table, std::uint32_t seen,
                                             std::uint32_t settings) {
  std::vector<std::uint32_t> left;
  const auto consider = [&](std::uint32_t t) {
    if (((t ^ table) & seen) == 0 && (t & settings) != 0 && (~t & settings) != 0) {
      left.push_back(t & settings);
    }
  };
  const auto both = [&](std::uint32_t t) {
    consider(t);
    consider(~t);
  };
  for (std::size_t a = 0; a < sources.size(); ++a) {
    both(sources[a]);
    for (std::size_t b = a + 1; b < sources.size() && gates > 0; ++b) {
      for (const std::uint32_t negate : {0u, 1u, 2u, 3u}) {  // negated, AND is OR too
        both(((negate & 1u) != 0 ? ~sources[a] : sources[a]) &
             ((negate & 2u) != 0 ? ~sources[b] : sources[b]));
      }
      if (gates > 1) both(sources[a] ^ sources[b]);
    }
  }
  std::sort(left.begin(), left.end());
  left.erase(std::unique(left.begin(), left.end()), left.end());
  return left;
}

// For each setting, how many hypotheses a look at it would rule out at least, summed over the lamps. All 0: every lamp
// is known.
struct Gains {
  int at[32] = {};
  bool any() const {
    return std::any_of(at, at + 32, [](int gain) { return gain > 0; });
  }
};

template <class Box>
Gains gains(const typename Box::State& s, const typename Box::Params& p) {
  const std::uint32_t settings = p.switches == 5 ? ~0u : (1u << (1u << p.switches)) - 1u;
  std::vector<std::uint32_t> sources;
  for (int k = 0; k < p.switches; ++k) sources.push_back(variable(k));
  Gains result;
  for (int j = 0; j < p.lamps; ++j) {
    const auto left = hypotheses(sources, p.gates, s.table[j], s.seen, settings);
    for (int x = 0; x < 1 << p.switches; ++x) {
      int on = 0;
      for (const std::uint32_t t : left) on += static_cast<int>((t >> x) & 1u);
      result.at[x] += std::min(on, static_cast<int>(left.size()) - on);
    }
    if (left.size() != 1 && p.chain != 0) break;  // the lamps that may hang on this one come later
    if (p.chain != 0) sources.push_back(left[0]);
  }
  return result;
}

// The switch to toggle for the greatest gain: of the settings one toggle away, else on the way to the nearest with any.
template <class Box>
int best_toggle(const typename Box::State& s, const typename Box::Params& p, const Gains& g,
                int forbidden) {
  const bool follows = s.confounded() && !s.touched();
  const int follower = static_cast<int>(s.cause & 7u);
  int best = -1, best_score = -1;
  for (int i = 0; i < p.switches; ++i) {
    if (i == forbidden) continue;
    const std::uint32_t also = follows && i != follower ? 1u << follower : 0u;
    const std::uint32_t to = s.setting ^ (1u << i) ^ also;
    int nearest = 32;
    for (std::uint32_t x = 0; x < 1u << p.switches; ++x) {
      if (g.at[x] > 0) nearest = std::min(nearest, __builtin_popcount(x ^ to));
    }
    const int score = g.at[to] > 0 ? 1000 + g.at[to] : 32 - nearest;
    if (score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

template <class Box>
int expert(const typename Box::State& s, const typename Box::Params& p) {
  if (s.asking != 0) return s.answer() != 0 ? Box::kYes : Box::kNo;
  if (s.tests >= Box::budget(p)) return Box::kReady;
  const int follower = static_cast<int>(s.cause & 7u);
  const Gains g = gains<Box>(s, p);
  // Which switch moves by itself shows at the first test; a hand on it, then any other test, tells what it does.
  const bool open = s.confounded() && !s.told();
  if (open && !s.touched() && s.tests > 0) return follower;
  if (!g.any() && !open) return Box::kReady;
  return best_toggle<Box>(s, p, g, open && s.touched() ? follower : -1);
}

}  // namespace rollmill::causal_box
