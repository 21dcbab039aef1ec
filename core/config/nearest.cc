#include "core/config/nearest.h"

#include <algorithm>
#include <climits>

namespace rollmill {

int edit_distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<int> d((a.size() + 1) * columns);
  const auto at = [&](std::size_t i, std::size_t j) -> int& { return d[i * columns + j]; };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = static_cast<int>(i);
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replace = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 100;  // nobody mistypes that; keeps the tables small
  const auto last_part = [](std::string_view key) { return key.substr(key.rfind('.') + 1); };
  if (word.size() > kLongest) return "";
  std::string best;
  int best_distance = INT_MAX;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::string_view name = last_part(candidate);
    const int longer = static_cast<int>(std::max(name.size(), last_part(word).size()));
    // A third of the name may be wrong: more, and the suggestion is noise.
    const int limit = longer < 2 ? 0 : std::max(1, longer / 3);
    const int moved = 1 + edit_distance(last_part(word), name);  // the name in another section
    const int distance = std::min(edit_distance(word, candidate), moved);
    if (distance <= limit && distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace rollmill
