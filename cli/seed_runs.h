// `rollmill train --seeds`: one recipe trained with several seeds, side by side where there are threads for it, each in a run
// folder of its own: OUT/seed_1, OUT/seed_2, ... Each is what `train --seed k --out OUT/seed_k` writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/args.h"

namespace rollmill {

// "5" is 1 to 5; "3,7,11" is these. Throws a usage error for anything else, and for a seed named twice.
std::vector<std::int64_t> parse_seeds(const std::string& text);

// Returns the exit code. A seed whose training fails numerically (exit code 6) does not keep the others from theirs.
int train_seeds(const JobArgs& args, const std::vector<std::int64_t>& seeds, bool plain);

}  // namespace rollmill
