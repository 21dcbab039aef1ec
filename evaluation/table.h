// Rows of cells as lines of text: the first column to the left, the others to the right.
#pragma once

#include <string>
#include <vector>

namespace rollmill {

using TableRow = std::vector<std::string>;

// Every row has the first one's number of cells. Lines are indented by two columns and end with '\n'.
std::string format_table(const std::vector<TableRow>& rows);

}  // namespace rollmill
