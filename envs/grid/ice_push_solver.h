// Shortest solutions of IcePush levels, on the host.
//
// A breadth-first search over steps, walks and pushes alike. For each arrangement of the boxes that has come up, the cells
// where the one who pushes may stand after t steps are one 64-bit set, so that all of them walk at once. Arrangements with a box
// lost in a corner are left out, as the environment ends there. Memory: two words for each arrangement and step it is new in.
//
// Written on its own, on 64-bit sets: it shares no rule with the environment's step, and the tests hold the two together.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace rollmill::ice_push {

using Bits = std::uint64_t;  // cell (x, y) of an 8 x 8 board is bit 8 y + x

struct Level {
  Bits walls, ice, targets;
  int friction;
  friend bool operator==(const Level&, const Level&) = default;
};
struct Position {
  Bits boxes, agent;
  friend bool operator==(const Position&, const Position&) = default;
};

inline constexpr Bits kLeftColumn = 0x0101010101010101u, kRightColumn = kLeftColumn << 7;

// Each cell one further: 0 up, 1 left, 2 down, 3 right.
constexpr Bits moved(Bits cells, int direction) {
  return direction == 0   ? cells >> 8
         : direction == 1 ? (cells & ~kLeftColumn) >> 1
         : direction == 2 ? cells << 8
                          : (cells & ~kRightColumn) << 1;
}

constexpr Bits slide(const Level& level, Bits boxes, Bits box, int direction) {
  int rough = 0;
  while (rough < level.friction) {
    const Bits to = moved(box, direction);
    if (to == 0 || (to & (level.walls | boxes)) != 0) break;
    box = to;
    rough += (to & level.ice) == 0 ? 1 : 0;
  }
  return box;
}

constexpr Bits corners(const Level& level) {
  const Bits open = ~level.walls;
  return ~((moved(open, 0) & moved(open, 2)) | (moved(open, 1) & moved(open, 3)));
}

class Solver {
 public:
  Solver(const Level& level, const Position& start)
      : level_(level), lost_(corners(level) & ~level.targets) {
    const int first = find(start.boxes);
    layers_.push_back({{first, start.agent}});
    seen_[static_cast<std::size_t>(first)] = start.agent;
    while (goal_ < 0 && !layers_.back().empty()) {
      for (const Standing& s : layers_.back()) {
        if (boxes_[static_cast<std::size_t>(s.arrangement)] == level.targets) goal_ = s.arrangement;
      }
      if (goal_ < 0) advance();
    }
  }

  // Of the shortest solution; -1: there is none.
  int steps() const { return goal_ < 0 ? -1 : static_cast<int>(layers_.size()) - 1; }

  // Calls visit(position, action) along it. Of several shortest ones, the one whose first differing action is the least: so
  // the action of a position does not depend on where the search began.
  template <class Visit>
  void walk(Position at, Visit&& visit) const {
    if (goal_ < 0) return;
    const auto good = good_standings();
    for (std::size_t t = 0; t + 1 < layers_.size(); ++t) {
      for (int action = 0; action < 4; ++action) {
        const Position next = step(at, action);
        const auto found = index_.find(next.boxes);
        if (found == index_.end()) continue;
        const auto ahead = good[t + 1].find(found->second);
        if (ahead == good[t + 1].end() || (ahead->second & next.agent) == 0) continue;
        visit(at, action);
        at = next;
        break;
      }
    }
  }

 private:
  struct Standing {
    int arrangement;
    Bits cells;
  };
  using Layer = std::vector<Standing>;

  int find(Bits boxes) {
    const auto [at, added] = index_.try_emplace(boxes, static_cast<int>(boxes_.size()));
    if (added) {
      boxes_.push_back(boxes);
      seen_.push_back(0);
      slot_.push_back(-1);
    }
    return at->second;
  }

  // Adds the cells that are new for this arrangement to the layer under way.
  void reach(Layer& next, Bits boxes, Bits cells) {
    const auto arrangement = static_cast<std::size_t>(find(boxes));
    cells &= ~seen_[arrangement];
    if (cells == 0) return;
    seen_[arrangement] |= cells;
    int& slot = slot_[arrangement];
    if (slot < 0) {
      slot = static_cast<int>(next.size());
      next.push_back({static_cast<int>(arrangement), 0});
    }
    next[static_cast<std::size_t>(slot)].cells |= cells;
  }

  void advance() {
    Layer next;
    for (const Standing& s : layers_.back()) {
      const Bits boxes = boxes_[static_cast<std::size_t>(s.arrangement)];
      const Bits open = ~(level_.walls | boxes);
      Bits walked = 0;
      for (int d = 0; d < 4; ++d) walked |= moved(s.cells, d);
      reach(next, boxes, walked & open);
      for (int d = 0; d < 4; ++d) {
        Bits pushed = moved(s.cells, d) & boxes & moved(open, d ^ 2);
        for (; pushed != 0; pushed &= pushed - 1) {
          const Bits box = pushed & (~pushed + 1);
          const Bits after = (boxes & ~box) | slide(level_, boxes, box, d);
          if ((after & lost_) == 0) reach(next, after, box);
        }
      }
    }
    for (const Standing& s : next) slot_[static_cast<std::size_t>(s.arrangement)] = -1;
    layers_.push_back(std::move(next));
  }

  Position step(Position at, int action) const {
    const Bits ahead = moved(at.agent, action);
    if (ahead == 0 || (ahead & level_.walls) != 0) return at;
    if ((ahead & at.boxes) == 0) return {at.boxes, ahead};
    const Bits rest = slide(level_, at.boxes, ahead, action);
    return rest == ahead ? at : Position{(at.boxes & ~ahead) | rest, ahead};
  }

  // Per step, the standings from which the goal is reached in the steps that are left: those of its layer that have a
  // successor among those of the next.
  std::vector<std::unordered_map<int, Bits>> good_standings() const {
    std::vector<std::unordered_map<int, Bits>> good(layers_.size());
    for (const Standing& s : layers_.back()) {
      if (s.arrangement == goal_) good.back()[goal_] = s.cells;
    }
    for (std::size_t t = layers_.size() - 1; t-- > 0;) {
      for (const Standing& s : layers_[t]) {
        const Bits cells = leading(s, good[t + 1]);
        if (cells != 0) good[t][s.arrangement] = cells;
      }
    }
    return good;
  }

  Bits leading(const Standing& s, const std::unordered_map<int, Bits>& goals) const {
    const Bits boxes = boxes_[static_cast<std::size_t>(s.arrangement)];
    const Bits open = ~(level_.walls | boxes);
    Bits cells = 0;
    if (const auto same = goals.find(s.arrangement); same != goals.end()) {
      for (int d = 0; d < 4; ++d) cells |= moved(same->second, d) & s.cells;
    }
    for (int d = 0; d < 4; ++d) {
      Bits pushed = moved(s.cells, d) & boxes & moved(open, d ^ 2);
      for (; pushed != 0; pushed &= pushed - 1) {
        const Bits box = pushed & (~pushed + 1);
        const auto to = index_.find((boxes & ~box) | slide(level_, boxes, box, d));
        if (to == index_.end()) continue;
        const auto goal = goals.find(to->second);
        if (goal != goals.end() && (goal->second & box) != 0) cells |= moved(box, d ^ 2);
      }
    }
    return cells;
  }

  Level level_;
  Bits lost_;
  std::vector<Bits> boxes_, seen_;  // by arrangement: its boxes, where one has stood
  std::vector<int> slot_;           // by arrangement: its place in the layer under way
  std::unordered_map<Bits, int> index_;
  std::vector<Layer> layers_;  // what is new after t steps
  int goal_ = -1;
};

inline int shortest_steps(const Level& level, const Position& start) {
  return Solver(level, start).steps();
}

struct Asked {
  Level level;
  Position position;
  friend bool operator==(const Asked&, const Asked&) = default;
};
struct HashAsked {
  std::size_t operator()(const Asked& a) const {
    Bits hash = static_cast<Bits>(a.level.friction);
    for (const Bits word :
         {a.level.walls, a.level.ice, a.level.targets, a.position.boxes, a.position.agent}) {
      hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 29;
    }
    return static_cast<std::size_t>(hash);
  }
};

// The action of `start` on its shortest solution; where there is none, up. Each thread keeps the solutions it has found, as a
// batch asks for thousands of them step by step; what is answered does not depend on that.
inline int expert(const Level& level, const Position& start) {
  constexpr std::size_t kKept = 1u << 18;  // some 30 MB
  thread_local std::unordered_map<Asked, int, HashAsked> plans;
  const auto known = plans.find({level, start});
  if (known != plans.end()) return known->second;
  if (plans.size() > kKept) plans.clear();
  plans[{level, start}] = 0;
  Solver(level, start).walk(start, [&](const Position& at, int action) {
    plans[{level, at}] = action;
  });
  return plans[{level, start}];
}

}  // namespace rollmill::ice_push
