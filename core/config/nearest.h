// "Did you mean ...?"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rollmill {

// Edits (insert, delete, replace, swap of neighbours) that turn a into b: optimal string alignment
// distance.
int edit_distance(std::string_view a, std::string_view b);

// The candidate that `word` most likely means, "" if none is near. For dotted keys the right name
// in the wrong section counts as near too. Ties go to the earlier candidate.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace rollmill
