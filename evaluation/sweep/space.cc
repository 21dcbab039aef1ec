#include "evaluation/sweep/space.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "core/base/assert.h"
#include "core/config/config.h"
#include "core/config/nearest.h"
#include "core/io/hash.h"
#include "core/rng/rng.h"

namespace rollmill {
namespace {

using Draw = SweepDimension::Draw;

constexpr const char* kSpace = "sweep.space";
constexpr std::int64_t kMostChoices = 10'000;

struct DrawName {
  const char* name;
  Draw draw;
};
constexpr DrawName kDraws[] = {{"uniform", Draw::kUniform},
                               {"log_uniform", Draw::kLogUniform},
                               {"integer", Draw::kInteger},
                               {"choice", Draw::kChoice}};

bool is_draw(const std::string& name) {
  return std::any_of(std::begin(kDraws), std::end(kDraws),
                     [&](const DrawName& d) { return name == d.name; });
}

// Else { unifrom = [1, 2] } would be a key of that name and a choice of two.
std::string misspelt_draw(const std::vector<std::string>& names) {
  if (names.size() != 1 || is_draw(names.front())) return "";
  std::vector<std::string> known;
  for (const DrawName& d : kDraws) known.emplace_back(d.name);
  return nearest(names.front(), known);
}

void read_range(Config& c, const std::string& at, SweepDimension& d) {
  const bool log = d.draw == Draw::kLogUniform;
  if (d.draw == Draw::kInteger) {
    const auto ends = c.get_int_list(at, {}, -(std::int64_t{1} << 31), std::int64_t{1} << 31, 2, 2);
    d.low = static_cast<double>(ends[0]);
    d.high = static_cast<double>(ends[1]);
  } else {
    const auto ends = c.get_float_list(at, {}, -1e300, 1e300, 2, 2);
    d.low = ends[0];
    d.high = ends[1];
  }
  if (log && d.low <= 0) c.fail(at, "a logarithmic range begins above 0");
  if (!(d.low < d.high)) c.fail(at, "the lower end comes first, and the other is higher");
}

// { uniform = [low, high] } and the like.
SweepDimension read_draw(Config& c, const std::string& key, const std::string& at) {
  SweepDimension d;
  d.key = key;
  const std::vector<std::string> names = c.keys_under(at);
  if (names.size() > 1) c.fail(at, "one of uniform, log_uniform, integer, choice; not several");
  for (const DrawName& known : kDraws) {
    const std::string given = at + "." + known.name;
    if (!c.has(given)) continue;
    d.draw = known.draw;
    if (d.draw == Draw::kChoice) {
      d.choices = c.get_list(given, {}, 1, kMostChoices);
    } else {
      read_range(c, given, d);
    }
  }
  return d;
}

// Everything below [sweep.space]; sections that hold no draw are parts of keys.
void read_below(Config& c, const std::string& prefix, SweepSpace& space) {
  const std::string section = prefix.empty() ? kSpace : std::string(kSpace) + "." + prefix;
  for (const std::string& name : c.keys_under(section)) {
    const std::string key = prefix.empty() ? name : prefix + "." + name;
    const std::string at = section + "." + name;
    if (key == "run" || key.starts_with("run."))
      c.fail(at, "the sweep sets run.* itself (seeds: sweep.seeds)");
    if (!c.has_section(at)) {
      SweepDimension d;
      d.key = key;
      d.choices = c.get_list(at, {}, 1, kMostChoices);
      space.push_back(std::move(d));
      continue;
    }
    const auto inner = c.keys_under(at);
    if (inner.empty())
      c.fail(at, "is empty; { uniform = [low, high] }, log_uniform, integer or choice");
    if (const std::string near = misspelt_draw(inner); !near.empty())
      c.fail(at + "." + inner.front(), "did you mean " + near + "?");
    if (std::any_of(inner.begin(), inner.end(), is_draw)) {
      space.push_back(read_draw(c, key, at));
    } else {
      read_below(c, key, space);
    }
  }
}

double six_digits(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", x);
  return std::strtod(text, nullptr);
}

// [0, 1): 53 bits.
double unit(Rng& rng) {
  const std::uint64_t high = rng.bits();
  const std::uint64_t bits = high << 32 | rng.bits();
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

ConfigValue drawn_value(const SweepDimension& d, std::uint64_t seed, std::int64_t trial) {
  Rng rng(seed, Purpose::kSweep, static_cast<std::uint32_t>(xxh3_64(bytes_of(d.key))),
          static_cast<std::uint32_t>(trial), 0);
  const auto within = [&](double x) { return std::clamp(six_digits(x), d.low, d.high); };
  switch (d.draw) {
    case Draw::kUniform: return {within(d.low + (d.high - d.low) * unit(rng))};
    case Draw::kLogUniform:
      return {within(std::exp(std::log(d.low) + (std::log(d.high) - std::log(d.low)) * unit(rng)))};
    case Draw::kInteger:
      return {static_cast<std::int64_t>(d.low + std::floor((d.high - d.low + 1) * unit(rng)))};
    case Draw::kChoice: break;
  }
  return d.choices[rng.integer(static_cast<std::uint32_t>(d.choices.size()))];
}

}  // namespace

SweepSpace read_sweep_space(Config& config) {
  SweepSpace space;
  if (config.has(kSpace)) read_below(config, "", space);
  if (space.empty())
    config.fail(kSpace,
                "is empty; name at least one key and its values, as \"ppo.clip\" = [0.1, 0.2]");
  return space;
}

std::int64_t grid_size(const SweepSpace& space) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 62;
  std::int64_t size = 1;
  for (const SweepDimension& d : space) {
    const auto n = static_cast<std::int64_t>(d.choices.size());
    if (size > kLimit / n) return kLimit;
    size *= n;
  }
  return size;
}

TrialValues grid_values(const SweepSpace& space, std::int64_t trial) {
  TrialValues values(space.size());
  for (std::size_t k = space.size(); k-- > 0;) {
    const auto n = static_cast<std::int64_t>(space[k].choices.size());
    RM_ASSERT(space[k].draw == Draw::kChoice && n > 0);
    values[k] = {space[k].key, space[k].choices[static_cast<std::size_t>(trial % n)]};
    trial /= n;
  }
  return values;
}

TrialValues drawn_values(const SweepSpace& space, std::uint64_t seed, std::int64_t trial) {
  TrialValues values;
  for (const SweepDimension& d : space) values.push_back({d.key, drawn_value(d, seed, trial)});
  return values;
}

std::string override_text(const TrialValue& value) {
  return value.key + "=" + to_toml(value.value);
}

std::string values_text(const TrialValues& values) {
  std::string text;
  for (const TrialValue& value : values) text += (text.empty() ? "" : " ") + override_text(value);
  return text;
}

}  // namespace rollmill
