// What a run learns from besides its environment: datasets and policies that its config names.
#pragma once

#include <string>
#include <vector>

namespace rollmill {

struct TrainOptions;

// For --check: a line for each that is not there, not finished or does not fit, beginning with its key. Of a dataset only the
// manifest is read.
std::vector<std::string> unready_sources(const TrainOptions& options);

}  // namespace rollmill
