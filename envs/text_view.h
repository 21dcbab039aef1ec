// An environment's state in characters, for terminals and for policies that read text. The optional member of the contract
// is, host only,
//
//   static void text(const State& s, const Params& p, TextView& view) {
//     view.resize(p.size, p.size, '.');
//     view.put(s.col, s.row, '@');
//     view.line("keys 2");
//   }
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace rollmill {

// A grid of characters with lines of text below it.
class TextView {
 public:
  static constexpr int kMaxSide = 512;

  int rows() const { return static_cast<int>(grid_.size()); }
  int cols() const { return grid_.empty() ? 0 : static_cast<int>(grid_[0].size()); }

  // An empty view of rows x cols; sides are brought into 0..kMaxSide.
  void resize(int rows, int cols, char fill = ' ') {
    const auto side = [](int n) { return static_cast<std::size_t>(std::clamp(n, 0, kMaxSide)); };
    grid_.assign(side(rows), std::string(side(cols), fill));
    lines_.clear();
  }

  // Column x of row y, from the top left. Outside the grid: nothing.
  void put(int x, int y, char c) {
    if (x >= 0 && y >= 0 && y < rows() && x < cols()) {
      grid_[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)] = c;
    }
  }
  // Several characters to the right.
  void put(int x, int y, std::string_view text) {
    for (const char c : text) put(x++, y, c);
  }
  char at(int x, int y) const {
    return x >= 0 && y >= 0 && y < rows() && x < cols()
               ? grid_[static_cast<std::size_t>(y)][static_cast<std::size_t>(x)]
               : ' ';
  }

  // One more line below the grid.
  void line(std::string_view text) { lines_.emplace_back(text); }

  // The grid's rows, then the lines; each ends with '\n'.
  std::string str() const {
    std::string out;
    for (const auto* part : {&grid_, &lines_}) {
      for (const std::string& row : *part) out += row + '\n';
    }
    return out;
  }

 private:
  std::vector<std::string> grid_;
  std::vector<std::string> lines_;
};

}  // namespace rollmill
