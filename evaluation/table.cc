#include "evaluation/table.h"

#include <algorithm>

#include "core/base/assert.h"
#include "core/log/console.h"

namespace rollmill {

std::string format_table(const std::vector<TableRow>& rows) {
  if (rows.empty()) return "";
  const auto columns_of = [](const std::string& cell) {
    return static_cast<std::size_t>(text_columns(cell));
  };
  std::vector<std::size_t> widths(rows.front().size());
  for (const TableRow& row : rows) {
    RM_ASSERT(row.size() == widths.size());
    for (std::size_t k = 0; k < row.size(); ++k)
      widths[k] = std::max(widths[k], columns_of(row[k]));
  }
  std::string text;
  for (const TableRow& row : rows) {
    text += "  " + row[0] + std::string(widths[0] - columns_of(row[0]), ' ');
    for (std::size_t k = 1; k < row.size(); ++k)
      text += std::string(2 + widths[k] - columns_of(row[k]), ' ') + row[k];
    text += "\n";
  }
  return text;
}

}  // namespace rollmill
