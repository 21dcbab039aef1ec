// The scripted solver of KeyDoor (envs/grid/key_door.h). It sees the whole level: walks shortest ways, opens the doors between
// it and where it has to go, one after another, and fetches each key first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

namespace rollmill::key_door {

template <class Env>
class Expert {
 public:
  Expert(const typename Env::State& s, const typename Env::Params&) : s_(s) {
    for (int k = 0; k < Env::kDoors; ++k) {
      if ((s.door[k] >> 11 & 1u) != 0)
        door_at_[static_cast<std::size_t>(Env::cell_of(s.door[k]))] = k;
    }
    for (const std::uint32_t o : s.object) {
      if ((o & Env::kLies) != 0) covered_[static_cast<std::size_t>(Env::cell_of(o))] = true;
    }
  }

  int act() {
    const int mission = static_cast<int>(s_.mission & 3u),
              thing = static_cast<int>(s_.mission >> 2 & 15u);
    const std::uint32_t goal_room = s_.door[s_.mission >> 6 & 7u] >> 12;
    const int goal = static_cast<int>(16 * (4 * (goal_room >> 2) + 1) + 4 * (goal_room & 3u) + 1);
    if (mission == Env::kGo) return go_to(goal);
    if (mission == Env::kFetch) return fetch(thing);
    if (carries(thing)) {
      if (const int door = first_locked(here(), goal); door >= 0) return open(door);
      return drop_where(
          [&](int cell) { return Env::room_of(static_cast<std::uint32_t>(cell)) == goal_room; });
    }
    // The way on from the thing is cleared while the hands are free for keys.
    const int from = static_cast<int>(Env::cell_of(s_.object[thing]));
    if (const int door = first_locked(from, goal); door >= 0) return open(door);
    return fetch(thing);
  }

 private:
  static constexpr int kCells = Env::kRows * Env::kColumns;

  int here() const { return static_cast<int>(Env::cell_of(s_.agent)); }
  bool carries(int object) const { return s_.carried == static_cast<std::uint32_t>(object) + 1; }

  // The cell ahead of one that looks there; -1: outside. 0 up, 1 right, 2 down, 3 left.
  static int ahead(int cell, int heading) {
    const int x = cell % Env::kColumns + (heading == 1 ? 1 : heading == 3 ? -1 : 0);
    const int y = cell / Env::kColumns + (heading == 2 ? 1 : heading == 0 ? -1 : 0);
    return x < 0 || y < 0 || x >= Env::kColumns || y >= Env::kRows ? -1 : Env::kColumns * y + x;
  }
  bool passable(int cell, bool through_locks) const {
    if (cell < 0) return false;
    const int door = door_at_[static_cast<std::size_t>(cell)];
    if (door >= 0) return through_locks || Env::is_locked(s_.door[door]) == 0;
    return cell % 4 != 3 && cell / Env::kColumns % 4 != 3;
  }

  // The first locked door between two cells; -1: none. (The rooms are a tree: the doors are those of any way.)
  int first_locked(int from, int to) const {
    std::array<int, kCells> towards;  // the next cell on the way to `to`
    towards.fill(-1);
    towards[static_cast<std::size_t>(to)] = to;
    std::vector<int> queue{to};
    for (std::size_t k = 0; k < queue.size(); ++k) {
      for (int heading = 0; heading < 4; ++heading) {
        const int cell = ahead(queue[k], heading);
        if (!passable(cell, true) || towards[static_cast<std::size_t>(cell)] >= 0) continue;
        towards[static_cast<std::size_t>(cell)] = queue[k];
        queue.push_back(cell);
      }
    }
    for (int cell = from; cell != to; cell = towards[static_cast<std::size_t>(cell)]) {
      if (towards[static_cast<std::size_t>(cell)] < 0)
        return -1;  // not connected: not in a level of this environment
      const int door = door_at_[static_cast<std::size_t>(cell)];
      if (door >= 0 && Env::is_locked(s_.door[door]) != 0) return door;
    }
    const int door = door_at_[static_cast<std::size_t>(to)];
    return door >= 0 && Env::is_locked(s_.door[door]) != 0 ? door : -1;
  }

  // The first move of a shortest way to a place (cell, heading) that is `good`; -1: one is there; -2: there is no way.
  template <class Good>
  int towards(Good&& good) const {
    std::array<int, kCells * 4>
        first;  // move that leads to a place; -1: the start, -2: not yet reached
    first.fill(-2);
    const int start = here() * 4 + static_cast<int>(s_.agent >> 7 & 3u);
    first[static_cast<std::size_t>(start)] = -1;
    std::vector<int> queue{start};
    for (std::size_t k = 0; k < queue.size(); ++k) {
      const int cell = queue[k] / 4, heading = queue[k] % 4;
      const int found = first[static_cast<std::size_t>(queue[k])];
      if (good(cell, heading)) return found;
      const int on = ahead(cell, heading);
      const int next[] = {passable(on, false) ? on * 4 + heading : -1, cell * 4 + (heading + 3) % 4,
                          cell * 4 + (heading + 1) % 4};
      const int moves[] = {Env::kForward, Env::kTurnLeft, Env::kTurnRight};
      for (int m = 0; m < 3; ++m) {
        if (next[m] < 0 || first[static_cast<std::size_t>(next[m])] != -2) continue;
        first[static_cast<std::size_t>(next[m])] = found == -1 ? moves[m] : found;
        queue.push_back(next[m]);
      }
    }
    return -2;
  }

  int walk_to(int cell, int then) const {
    const int move = towards([&](int at, int) { return at == cell; });
    return move == -1 ? then : move;
  }

  template <class Where>
  int drop_where(Where&& where) const {
    const int move = towards([&](int at, int) {
      return door_at_[static_cast<std::size_t>(at)] < 0 &&
             !covered_[static_cast<std::size_t>(at)] && where(at);
    });
    return move == -1 ? static_cast<int>(Env::kDrop) : move;
  }

  int go_to(int cell) const {
    const int door = first_locked(here(), cell);
    return door >= 0 ? open(door) : walk_to(cell, Env::kTurnLeft);
  }

  int fetch(int object) const {
    const int cell = static_cast<int>(Env::cell_of(s_.object[object]));
    if (const int door = first_locked(here(), cell); door >= 0) return open(door);
    if (s_.carried != 0) return drop_where([](int) { return true; });
    return walk_to(cell, Env::kPickUp);
  }

  // Ends, as the key of a door lies on the near side of it: each call is about a door nearer to the first room.
  int open(int door) const {
    const int cell = static_cast<int>(Env::cell_of(s_.door[door]));
    if (const int before = first_locked(here(), cell); before != door) return open(before);
    if (!carries(door)) return fetch(door);
    const int move = towards([&](int at, int heading) { return ahead(at, heading) == cell; });
    return move == -1 ? static_cast<int>(Env::kToggle) : move;
  }

  const typename Env::State& s_;
  std::array<int, kCells> door_at_ = [] {
    std::array<int, kCells> none;
    none.fill(-1);
    return none;
  }();
  std::array<bool, kCells> covered_{};
};

}  // namespace rollmill::key_door
