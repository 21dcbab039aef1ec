// CARD.md: what a dataset is, how it was made, what is in it, how to load it. A function of the dataset alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datasets/manifest.h"

namespace rollmill {

struct EpisodeStats {
  std::vector<float> returns;  // one an episode, in order
  std::vector<std::int32_t> lengths;
  std::map<int, std::int64_t> outcomes;  // reason code -> episodes
};

// Reads the episode columns of every shard. Error kBadData for a damaged one.
EpisodeStats read_episode_stats(const std::string& dir);

// The name of a reason for an episode's end: the environment's, "not_finite" (255, envs/env.h), or "reason N".
std::string outcome_text(const DatasetSpec& spec, int code);

// A text histogram: `bins` lines of equal ranges "[low, high)  bar  count"; one line when all values are equal.
std::string text_histogram(const std::vector<double>& values, int bins = 12, int width = 40);

std::string make_card(const Manifest& manifest, const EpisodeStats& stats);
// read_manifest, read_episode_stats, make_card, and DIR/CARD.md atomically.
void write_card(const std::string& dir);

}  // namespace rollmill
