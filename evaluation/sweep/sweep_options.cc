#include "evaluation/sweep/sweep_options.h"

#include <set>

#include "core/config/config.h"

namespace rollmill {
namespace {

void read_grid(Config& c, SweepOptions& o) {
  for (const SweepDimension& d : o.space) {
    if (d.draw != SweepDimension::Draw::kChoice)
      c.fail("sweep.space." + d.key, "a grid needs a list or { choice = [...] }");
  }
  if (c.has("sweep.trials"))
    c.fail("sweep.trials", "a grid has as many trials as its lists make; remove it");
  o.trials = grid_size(o.space);
  if (o.trials > kMostTrials)
    c.fail("sweep.space", "a grid of more than " + std::to_string(kMostTrials) +
                              " trials; use method = \"random\"");
}

void read_halving(Config& c, SweepOptions& o) {
  o.eta = static_cast<int>(c.get_int("sweep.eta", o.eta, 2, 100));
  o.min_steps = c.get_int("sweep.min_steps", 0, 0);
  o.max_steps = c.get_int("sweep.max_steps", 0, 0);
  for (const SweepDimension& d : o.space) {
    if (d.key == "trainer.total_steps")
      c.fail("sweep.space." + d.key, "halving decides on the steps: sweep.min_steps, max_steps");
  }
}

}  // namespace

SweepOptions read_sweep_options(Config& c) {
  SweepOptions o;
  o.config = c.require_string("sweep.config");
  const std::string method = c.get_choice("sweep.method", "random", {"random", "grid", "halving"});
  o.method = method == "grid"      ? SweepMethod::kGrid
             : method == "halving" ? SweepMethod::kHalving
                                   : SweepMethod::kRandom;
  if (o.method != SweepMethod::kGrid) o.trials = c.require_int("sweep.trials", 1, kMostTrials);
  o.seeds = c.get_int_list("sweep.seeds", {1}, 0, Config::kIntMax, 1, 1000);
  if (std::set<std::int64_t>(o.seeds.begin(), o.seeds.end()).size() != o.seeds.size())
    c.fail("sweep.seeds", "names a seed twice");
  c.get_choice("sweep.metric", "evaluation", {"evaluation"});
  o.seed = static_cast<std::uint64_t>(c.get_int("sweep.seed", 1, 0));
  if (o.method == SweepMethod::kHalving) {
    o.space = read_sweep_space(c);
    read_halving(c, o);
  } else {
    for (const char* key : {"sweep.eta", "sweep.min_steps", "sweep.max_steps"}) {
      if (c.has(key)) c.fail(key, "is of method = \"halving\"; remove it");
    }
    o.space = read_sweep_space(c);
    if (o.method == SweepMethod::kGrid) read_grid(c, o);
  }
  c.finish();
  return o;
}

TrialValues trial_values(const SweepOptions& o, std::int64_t trial) {
  return o.method == SweepMethod::kGrid ? grid_values(o.space, trial)
                                        : drawn_values(o.space, o.seed, trial);
}

}  // namespace rollmill
