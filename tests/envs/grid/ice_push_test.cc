// IcePush: every level can be solved, the solver's lengths are the shortest, boxes slide as the rules say.
#include "envs/grid/ice_push.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "tests/envs/grid/levels.h"

namespace rollmill {
namespace {

using test::Level;
using test::make_level;
using State = IcePush::State;
using Params = IcePush::Params;

Transition act(State& s, const Params& p, int action) {
  Rng rng(1, Purpose::kStep, 0, 0, 0);
  return IcePush::step(s, p, action, rng);
}

// A level from a picture: '#' wall, '~' ice, 'x' target, 'b' box, '@' agent, all the rest is outside.
State from_picture(const std::vector<std::string>& rows) {
  State s{};
  Board walls = ~kNoCells, ice = kNoCells, targets = kNoCells, boxes = kNoCells;
  for (int y = 0; y < static_cast<int>(rows.size()); ++y) {
    for (int x = 0; x < static_cast<int>(rows[y].size()); ++x) {
      const Board cell = Board::cell(x, y);
      const char c = rows[y][x];
      if (c != '#') walls = walls & ~cell;
      if (c == '~') ice = ice | cell;
      if (c == 'x') targets = targets | cell;
      if (c == 'b') boxes = boxes | cell;
      if (c == '@') IcePush::put(s.agent, cell);
    }
  }
  IcePush::put(s.walls, walls);
  IcePush::put(s.ice, ice);
  IcePush::put(s.targets, targets);
  IcePush::put(s.boxes, boxes);
  return s;
}

std::string row_of(const State& s, const Params& p, int y) {
  TextView view;
  IcePush::text(s, p, view);
  std::string row;
  for (int x = 0; x < p.size; ++x) row += view.at(x, y);
  return row;
}

TEST(IcePush, EveryLevelIsSolvedByItsShortestSolution) {
  std::int64_t steps = 0, bound = 0, shorter = 0;
  int longest = 0;
  for (std::uint32_t number = 0; number < 10000; ++number) {
    Level<IcePush> level = make_level<IcePush>(number);
    const auto most = static_cast<int>(level.state.bound);
    const int optimal = IcePush::optimal(level.state, level.params);
    ASSERT_GE(optimal, 1) << "level " << number;
    ASSERT_LE(optimal, most) << "level " << number;
    ASSERT_LE(most, static_cast<int>(IcePush::kLongestBound));
    const test::Ended ended = test::play_expert(level);
    ASSERT_EQ(ended.reason, IcePush::kSolved) << "level " << number;
    ASSERT_EQ(ended.steps, optimal) << "level " << number;
    steps += optimal;
    bound += most;
    shorter += optimal < most ? 1 : 0;
    longest = std::max(longest, optimal);
  }
  EXPECT_GT(shorter, 1000);  // the construction's own solution is no substitute for the search
  EXPECT_GT(steps, 5 * 10000);
  std::printf("mean optimal %.1f, mean bound %.1f, longest optimal %d\n", steps / 1e4, bound / 1e4,
              longest);
}

// An independent search: the environment's own step, states in a set, one by one.
int brute_force(const State& start, const Params& p) {
  const auto key = [](const State& s) {
    return std::tuple(s.boxes[0], s.boxes[1], s.agent[0], s.agent[1]);
  };
  std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>> seen{key(start)};
  std::deque<std::pair<State, int>> queue{{start, 0}};
  while (!queue.empty()) {
    const auto [state, steps] = queue.front();
    queue.pop_front();
    for (int action = 0; action < 4; ++action) {
      State next = state;
      const std::uint32_t reason = act(next, p, action).reason;
      if (reason == IcePush::kSolved) return steps + 1;
      if (reason == 0 && seen.insert(key(next)).second) queue.emplace_back(next, steps + 1);
    }
  }
  return -1;
}

// From first states, and from where a random walk has brought a level, which may be beyond help.
TEST(IcePush, SolverFindsWhatBruteForceFinds) {
  int impossible = 0;
  for (std::uint32_t number = 0; number < 600; ++number) {
    Rng rng(2, Purpose::kTest, 0, number, 0);
    Params p = test::draw_params<IcePush>(rng);
    p.size = 4 + static_cast<int>(number % 2);
    p.boxes = 1 + static_cast<int>(number % 3);
    State s = make_level<IcePush>(number, p).state;
    ASSERT_EQ(IcePush::optimal(s, p), brute_force(s, p)) << number;
    std::uint32_t reason = 0;
    for (int t = 0; t < 15 && reason == 0; ++t) {
      reason = act(s, p, static_cast<int>(rng.integer(4))).reason;
    }
    if (reason != 0) continue;
    const int steps = brute_force(s, p);
    ASSERT_EQ(IcePush::optimal(s, p), steps) << number;
    impossible += steps < 0 ? 1 : 0;
  }
  EXPECT_GT(impossible, 5);
}

// The expert's action depends on the state alone, not on what was asked before: it is the least action that leaves one step
// less to go.
TEST(IcePush, ExpertTakesTheFirstOfTheBestActions) {
  for (std::uint32_t number = 0; number < 300; ++number) {
    Rng rng(3, Purpose::kTest, 0, number, 0);
    Params p = test::draw_params<IcePush>(rng);
    p.size = std::min(p.size, 6);
    p.boxes = std::min(p.boxes, 2);
    Level<IcePush> level = make_level<IcePush>(number, p);
    const auto see = [&](const State& s, const Params&, int action) {
      const int left = IcePush::optimal(s, p);
      int best = -1;
      for (int a = 3; a >= 0; --a) {
        State next = s;
        const std::uint32_t reason = act(next, p, a).reason;
        const bool shorter = left == 1 ? reason == IcePush::kSolved
                                       : reason == 0 && IcePush::optimal(next, p) == left - 1;
        if (shorter) best = a;
      }
      ASSERT_EQ(action, best) << "level " << number;
    };
    test::play(
        level, [](const State& s, const Params& q) { return IcePush::expert(s, q); }, see);
  }
}

// By hand: how far a box goes. Friction counts rough cells, ice none; walls and boxes stop it; it leaves where it was to the
// one who pushed.
TEST(IcePush, BoxesSlideByTheRules) {
  struct Case {
    std::string before;
    int friction;
    std::string after;
  };
  const Case cases[] = {
      {"@b......", 1, ".@b....."}, {"@b......", 3, ".@..b..."}, {"@b......", 8, ".@.....b"},
      {"@b~~~...", 1, ".@~~~b.."}, {"@b~.~.~.", 2, ".@~.~b~."}, {"@b~~#...", 1, ".@~b#..."},
      {"@b~~~~~~", 1, ".@~~~~~b"}, {"@b#.....", 3, "@b#....."}, {"@bb.....", 3, "@bb....."},
      {"@b...b..", 7, ".@..bb.."}, {"@.b.....", 7, ".@b....."}, {"b@......", 7, "b.@....."}};
  Params p;
  p.size = 8;
  for (const Case& c : cases) {
    p.friction = c.friction;
    // Down, left and up are the same picture turned.
    for (int direction = 0; direction < 4; ++direction) {
      State s{};
      const bool across = direction % 2 == 1, back = direction < 2;
      const auto cell = [&](int k) {
        const int at = back ? 7 - k : k;
        return across ? Board::cell(at, 3) : Board::cell(5, at);
      };
      const auto line = [&](const std::string& picture, char sign) {
        Board set = kNoCells;
        for (int k = 0; k < 8; ++k) set = picture[k] == sign ? set | cell(k) : set;
        return set;
      };
      IcePush::put(s.walls, line(c.before, '#'));
      IcePush::put(s.ice, line(c.before, '~'));
      IcePush::put(s.boxes, line(c.before, 'b'));
      IcePush::put(s.agent, line(c.before, '@'));
      IcePush::put(s.targets, Board::cell(0, 0));
      Word mask = 0;
      IcePush::mask(s, p, {&mask, 1});
      EXPECT_EQ((mask >> direction & 1u) != 0, c.before != c.after) << c.before;
      act(s, p, direction);
      EXPECT_EQ(IcePush::board(s.boxes), line(c.after, 'b')) << c.before << " " << direction;
      EXPECT_EQ(IcePush::board(s.agent), line(c.after, '@')) << c.before << " " << direction;
    }
  }
}

TEST(IcePush, EndsForEachReason) {
  Params p;
  p.size = 4;
  p.friction = 1;
  const State start = from_picture({"....", "@b.x", "....", "...."});
  State s = start;
  EXPECT_EQ(act(s, p, 3).reason, 0u);
  EXPECT_EQ(row_of(s, p, 1), ".@bx");
  const Transition solved = act(s, p, 3);
  EXPECT_EQ(solved.reason, IcePush::kSolved);
  EXPECT_EQ(solved.reward, 1.0f - p.step_cost);
  EXPECT_EQ(row_of(s, p, 1), "..@B");
  State lost = from_picture({"b...", "@..x", "....", "...."});  // a corner without a target
  EXPECT_EQ(act(lost, p, 2).reason, IcePush::kStuck);
  State edge = from_picture({"..b@", "...x", "....", "...."});  // an edge is not a corner
  EXPECT_EQ(act(edge, p, 1).reason, 0u);
  const Transition stuck = act(edge, p, 1);
  EXPECT_EQ(stuck.reason, IcePush::kStuck);
  EXPECT_EQ(stuck.reward, -1.0f - p.step_cost);
}

// No level begins solved or lost, and its playable area is what the parameters say.
TEST(IcePush, LevelsAreAsTheParametersSay) {
  std::int64_t walls = 0, ice = 0, cells = 0;
  for (std::uint32_t number = 0; number < 5000; ++number) {
    Rng rng(4, Purpose::kTest, 0, number, 0);
    Params p = test::draw_params<IcePush>(rng);
    p.ice = 0.5f;
    p.walls = 0.2f;
    const State s = make_level<IcePush>(number, p).state;
    const Board boxes = IcePush::board(s.boxes), agent = IcePush::board(s.agent);
    const Board targets = IcePush::board(s.targets), wall = IcePush::board(s.walls);
    ASSERT_EQ(count(boxes), static_cast<std::uint32_t>(p.boxes));
    ASSERT_EQ(count(targets), static_cast<std::uint32_t>(p.boxes));
    ASSERT_EQ(count(agent), 1u);
    ASSERT_FALSE((wall & (boxes | targets | agent)).any());
    ASSERT_FALSE((agent & boxes).any());
    ASSERT_FALSE(boxes == targets);
    Board floor = kNoCells;
    for (int k = 0; k < p.size * p.size; ++k) floor = floor | Board::cell(k % p.size, k / p.size);
    ASSERT_FALSE((~floor & ~wall).any());
    walls += count(wall & floor);
    ice += count(IcePush::board(s.ice));
    cells += count(floor);
  }
  // Not quite as drawn: layouts that give too few pushes are drawn again, and where walls were cleared is no ice.
  EXPECT_NEAR(static_cast<double>(walls) / static_cast<double>(cells), 0.19, 0.03);
  EXPECT_NEAR(static_cast<double>(ice) / static_cast<double>(cells - walls), 0.5, 0.03);
}

// Sets of cells against arithmetic on coordinates.
TEST(Board, ShiftsLikeCoordinates) {
  const int dx[] = {0, -1, 0, 1}, dy[] = {-1, 0, 1, 0};
  for (int cell = 0; cell < 64; ++cell) {
    const int x = cell % 8, y = cell / 8;
    for (int d = 0; d < 4; ++d) {
      const int tx = x + dx[d], ty = y + dy[d];
      const bool inside = tx >= 0 && ty >= 0 && tx < 8 && ty < 8;
      EXPECT_EQ(shifted(Board::cell(x, y), d), inside ? Board::cell(tx, ty) : kNoCells);
    }
    Rng rng(5, Purpose::kTest, 0, static_cast<std::uint32_t>(cell), 0);
    const Board set = random_cells(0.4f, rng);
    EXPECT_EQ(count(set),
              static_cast<std::uint32_t>(__builtin_popcount(set.lo) + __builtin_popcount(set.hi)));
    Board again = kNoCells;
    for (std::uint32_t n = 0; n < count(set); ++n) {
      const Board nth = nth_cell(set, n);
      EXPECT_EQ(count(nth), 1u);
      EXPECT_FALSE((nth & again).any());
      again = again | nth;
    }
    EXPECT_EQ(again, set);
  }
}

}  // namespace
}  // namespace rollmill
