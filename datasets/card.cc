#include "datasets/card.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/io/atomic_file.h"
#include "datasets/reader.h"

namespace rollmill {

namespace {

// Six significant digits, whatever the locale.
std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  std::string result = text;
  std::replace(result.begin(), result.end(), ',', '.');
  return result;
}

std::string summary_row(const std::string& name, std::vector<double> values) {
  if (values.empty()) return "| " + name + " | - | - | - | - | - |\n";
  std::sort(values.begin(), values.end());
  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(values.size()));
  const double median = (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
  return "| " + name + " | " + number(mean) + " | " + number(deviation) + " | " +
         number(values.front()) + " | " + number(median) + " | " + number(values.back()) + " |\n";
}

std::string column_table(const DatasetSpec& spec) {
  std::string text = "| column | dtype | shape of a row |\n| --- | --- | --- |\n";
  for (const Column& column : spec.columns) {
    std::string shape;
    for (const std::uint64_t side : column.row_shape)
      shape += (shape.empty() ? "" : " x ") + std::to_string(side);
    text += "| `" + column.name + "` | " + dtype_name(column.dtype) + " | " +
            (shape.empty() ? "one number" : shape) + " |\n";
  }
  return text;
}

std::string observation_text(const DatasetSpec& spec) {
  std::string text;
  for (std::size_t i = 0; i < spec.observation_names.size(); ++i) {
    text += (i ? ", " : "") + spec.observation_names[i];
    if (i < spec.observation_units.size() && !spec.observation_units[i].empty())
      text += " [" + spec.observation_units[i] + "]";
  }
  return text.empty() ? "not named" : text;
}

// How to unpack a row of observations that is not plain numbers.
std::string packing_text(const DatasetSpec& spec) {
  std::string shape;
  std::int64_t count = 1;
  for (const std::int64_t side : spec.observation_shape) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(side);
    count *= side;
  }
  if (spec.observation_kind == "bits") {
    return "Stored as bits: `numpy.unpackbits(rows, axis=1, count=" + std::to_string(count) +
           ", bitorder=\"little\").reshape(-1, " + shape + ")` gives the planes.\n";
  }
  if (spec.observation_kind == "pixels") return "Stored as bytes of " + shape + ".\n";
  return spec.observation_kind == "choices" ? "Each is the number of a choice.\n" : "";
}

std::string ends_text(const DatasetSpec& spec, const EpisodeStats& stats) {
  std::string text;
  for (const auto& [code, count] : stats.outcomes)
    text += "- " + outcome_text(spec, code) + ": " + std::to_string(count) + " episodes\n";
  return text;
}

// Longer than any run of backticks in the text, so that a config cannot end its own block.
std::string fenced(const std::string& text, const std::string& language) {
  std::string fence = "```";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fence + language + "\n" + text + (text.ends_with('\n') ? "" : "\n") + fence + "\n";
}

}  // namespace

EpisodeStats read_episode_stats(const std::string& dir) {
  const DatasetReader reader(dir);
  EpisodeStats stats;
  for (std::size_t i = 0; i < reader.shards(); ++i) {
    const ShardData data =
        reader.load(i, {"episodes/return", "episodes/length", "episodes/outcome"});
    if (data.has("episodes/return")) {
      const auto values = data.values<float>("episodes/return");
      stats.returns.insert(stats.returns.end(), values.begin(), values.end());
    }
    if (data.has("episodes/length")) {
      const auto values = data.values<std::int32_t>("episodes/length");
      stats.lengths.insert(stats.lengths.end(), values.begin(), values.end());
    }
    if (data.has("episodes/outcome")) {
      for (const std::uint8_t code : data.values<std::uint8_t>("episodes/outcome"))
        ++stats.outcomes[code];
    }
  }
  return stats;
}

std::string outcome_text(const DatasetSpec& spec, int code) {
  const auto index = static_cast<std::size_t>(code);
  if (index < spec.outcome_names.size()) return spec.outcome_names[index];
  return code == 255 ? "not_finite" : "reason " + std::to_string(code);
}

std::string text_histogram(const std::vector<double>& values, int bins, int width) {
  if (values.empty()) return "(no episodes)\n";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double from = *low, span = *high - *low;
  if (!(span > 0) || !std::isfinite(span))
    return number(from) + "  " + std::string(static_cast<std::size_t>(width), '#') + " " +
           std::to_string(values.size()) + "\n";
  std::vector<std::size_t> counts(static_cast<std::size_t>(bins), 0);
  for (const double value : values) {
    const int bin = static_cast<int>((value - from) / span * bins);
    ++counts[static_cast<std::size_t>(std::clamp(bin, 0, bins - 1))];
  }
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  std::string text;
  for (int bin = 0; bin < bins; ++bin) {
    const std::size_t count = counts[static_cast<std::size_t>(bin)];
    const std::size_t bar = (count * static_cast<std::size_t>(width) + most - 1) / most;
    const std::string range = "[" + number(from + span * bin / bins) + ", " +
                              number(from + span * (bin + 1) / bins) + (bin + 1 < bins ? ")" : "]");
    text += range + std::string(range.size() < 26 ? 26 - range.size() : 1, ' ') +
            std::string(bar, '#') + " " + std::to_string(count) + "\n";
  }
  return text;
}

std::string make_card(const Manifest& manifest, const EpisodeStats& stats) {
  const DatasetSpec& spec = manifest.spec;
  const std::vector<double> returns(stats.returns.begin(), stats.returns.end());
  const std::vector<double> lengths(stats.lengths.begin(), stats.lengths.end());
  std::string text = "# " + spec.env_id + ", policy " + spec.policy_id + "\n\n";
  text += std::to_string(manifest.episodes()) + " episodes, " + std::to_string(manifest.steps()) +
          " steps in " + std::to_string(manifest.shards.size()) +
          " shards of Rollmill dataset format " + std::to_string(kDatasetFormatVersion) +
          (manifest.state == DatasetState::kDone ? "" : " (unfinished)") + ".\n\n";
  text += "- environment: " + spec.env_id + ", version " + spec.env_version + ", parameters `" +
          spec.env_params + "`\n";
  text += "- policy: " + spec.policy_id +
          (spec.policy_hash.empty() ? "" : ", weights " + spec.policy_hash) + "\n";
  text += "- seed: " + std::to_string(spec.seed) + "\n- content hash: " + manifest.content_hash() +
          "\n- made by: " + spec.build + "\n";
  text +=
      "- licence: synthetic data without third-party content; whoever publishes it chooses the "
      "licence and states it here\n\n";
  text += "## Contents\n\nObservation: " + observation_text(spec) + ".\n" + packing_text(spec) +
          "Action: " +
          (spec.action_description.empty() ? "see the environment" : spec.action_description) +
          ".\n\n" + column_table(spec);
  text +=
      "\nExactly one of `terminals` (the task ended) and `timeouts` (the time limit cut it) is set "
      "on an episode's last row.\n"
      "`episodes/final_observation` is the observation after that row.\n";
  text +=
      "\n## Statistics\n\n| | mean | deviation | least | median | most |\n| --- | --- | --- | --- "
      "| --- | --- |\n" +
      summary_row("return", returns) + summary_row("length", lengths);
  text += "\nReturns\n\n" + fenced(text_histogram(returns), "text") + "\nLengths\n\n" +
          fenced(text_histogram(lengths), "text");
  if (!stats.outcomes.empty()) text += "\nEnds\n\n" + ends_text(spec, stats);
  text += "\n## Loading\n\n" +
          fenced(
              "import glob, h5py\n\nfor path in sorted(glob.glob(\"shard-*.h5\")):\n    with "
              "h5py.File(path, \"r\") as shard:\n"
              "        observations = shard[\"observations\"][:]  # (steps, ...)\n        ends = "
              "shard[\"terminals\"][:] | shard[\"timeouts\"][:]\n"
              "        starts = shard[\"episodes/start\"][:]\n",
              "python");
  text +=
      "\n`rollmill verify` checks every hash, `rollmill replay` executes every episode "
      "again.\n\n## How it was made\n\n" +
      fenced(spec.config, "toml");
  return text;
}

void write_card(const std::string& dir) {
  write_file_atomic(dir + "/CARD.md", make_card(read_manifest(dir), read_episode_stats(dir)));
}

}  // namespace rollmill
