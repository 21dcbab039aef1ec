// A comparison of runs as a picture: curves with their intervals, axes, a legend.
#pragma once

#include <string>
#include <vector>

#include "evaluation/compare.h"
#include "evaluation/figure.h"

namespace rollmill {

// Round numbers (1, 2 or 5 times a power of ten apart) from low to high, with at most `most` steps between them; low < high.
std::vector<double> nice_ticks(double low, double high, int most);

Figure plot_curves(const Comparison& comparison);

// A page with the figure and the table; nothing in it comes from elsewhere.
std::string format_html(const Comparison& comparison);

}  // namespace rollmill
