// The typed getters and their checks.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "core/base/assert.h"
#include "core/config/config.h"
#include "core/config/nearest.h"

namespace rollmill {
namespace {

// 2^53: up to here every integer is a double.
constexpr std::int64_t kLargestExactInt = std::int64_t{1} << 53;
constexpr double kLargestExact = static_cast<double>(kLargestExactInt);

template <typename T>
std::string range_text(T min, T max, T lowest, T highest) {
  const auto text = [](T x) { return to_toml(ConfigValue{x}); };
  if (min > lowest && max < highest) return "; allowed " + text(min) + " to " + text(max);
  if (min > lowest) return "; allowed " + text(min) + " or more";
  if (max < highest) return "; allowed " + text(max) + " or less";
  return "";
}

template <typename T>
std::vector<ConfigValue> as_values(const std::vector<T>& list) {
  std::vector<ConfigValue> values(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) values[i].data = list[i];
  return values;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// A default that is held as a float32 stands in the resolved config as somebody would write it: 0.9, not 0.8999999761581421.
// Either becomes the same float32 again. (Whole numbers stay as they are: they may be meant in full.)
double as_written(double fallback) {
  const auto narrow = static_cast<float>(fallback);
  if (static_cast<double>(narrow) != fallback || std::trunc(fallback) == fallback) return fallback;
  char text[32];
  const char* end = std::to_chars(std::begin(text), std::end(text), narrow).ptr;
  double shortest = fallback;
  std::from_chars(std::begin(text), end, shortest);
  return shortest;
}

}  // namespace

// ---- checks: each throws with the place where the key was given ----

std::int64_t Config::check_int(const std::string& key, const ConfigValue& value, std::int64_t min,
                               std::int64_t max) const {
  RM_ASSERT(min <= max);
  std::int64_t x = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
    x = *integer;
  } else if (const auto* real = std::get_if<double>(&value.data)) {
    if (std::isnan(*real) || std::floor(*real) != *real) {
      fail(key, to_toml(value) + " is not a whole number" + range_text(min, max, kIntMin, kIntMax));
    }
    if (std::abs(*real) > kLargestExact) {
      fail(key, to_toml(value) + " is too large for a float to be exact; write it as an integer" +
                    range_text(min, max, kIntMin, kIntMax));
    }
    x = static_cast<std::int64_t>(*real);
  } else {
    const auto* text = std::get_if<std::string>(&value.data);  // what TOML has no integer for
    if (text != nullptr && text->size() > 18 &&
        text->find_first_not_of("0123456789", (*text)[0] == '-' ? 1 : 0) == text->npos) {
      fail(key, one_line(*text) + " is beyond the integers of TOML, which have 64 bits and a sign");
    }
    fail(key, "must be an integer, not " + describe_type(value) +
                  range_text(min, max, kIntMin, kIntMax));
  }
  if (x < min || x > max) {
    fail(key, std::to_string(x) + " is out of range" + range_text(min, max, kIntMin, kIntMax));
  }
  return x;
}

double Config::check_float(const std::string& key, const ConfigValue& value, double min,
                           double max) const {
  RM_ASSERT(min <= max);
  double x = 0;
  if (const auto* real = std::get_if<double>(&value.data)) {
    x = *real;
  } else if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
    x = static_cast<double>(*integer);
    if (*integer > kLargestExactInt || *integer < -kLargestExactInt) {
      fail(key, to_toml(value) +
                    " is an integer too large for a float to be exact; write it as a float");
    }
  } else {
    fail(key, "must be a number, not " + describe_type(value) + range_text(min, max, -kInf, kInf));
  }
  if (!std::isfinite(x))
    fail(key, to_toml(value) + " is not a finite number" + range_text(min, max, -kInf, kInf));
  if (x < min || x > max)
    fail(key, to_toml(value) + " is out of range" + range_text(min, max, -kInf, kInf));
  return x;
}

bool Config::check_bool(const std::string& key, const ConfigValue& value) const {
  if (const auto* flag = std::get_if<bool>(&value.data)) return *flag;
  fail(key, "must be true or false, not " + describe_type(value));
}

std::string Config::check_string(const std::string& key, const ConfigValue& value) const {
  const auto* text = std::get_if<std::string>(&value.data);
  if (text == nullptr) {
    // "--set name=2026" means the text: nobody quotes on a command line.
    const auto entry = entries_.find(key);
    const bool is_list = std::holds_alternative<std::vector<ConfigValue>>(value.data);
    if (!is_list && entry != entries_.end() && !entry->second.raw.empty()) return entry->second.raw;
    fail(key, "must be a string, not " + describe_type(value));
  }
  // Strings end up in paths and C interfaces, which would silently stop there.
  if (text->find('\0') != std::string::npos) fail(key, "must not contain a NUL character");
  return *text;
}

void Config::check_choice(const std::string& key, const std::string& value,
                          const std::vector<std::string>& allowed) const {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  const std::string near = nearest(value, allowed);
  fail(key, "\"" + one_line(value, 40) + "\" is not a choice; allowed " + joined(allowed) +
                (near.empty() ? "" : "; did you mean " + near + "?"));
}

const std::vector<ConfigValue>& Config::check_list(const std::string& key, const ConfigValue& value,
                                                   std::size_t min_length,
                                                   std::size_t max_length) const {
  RM_ASSERT(min_length <= max_length);
  const auto* list = std::get_if<std::vector<ConfigValue>>(&value.data);
  if (list == nullptr) fail(key, "must be a list, not " + describe_type(value));
  if (list->size() < min_length || list->size() > max_length) {
    const std::string allowed =
        min_length == max_length ? std::to_string(min_length)
                                 : std::to_string(min_length) + " to " + std::to_string(max_length);
    fail(key, "has " + std::to_string(list->size()) + " items; allowed " + allowed);
  }
  return *list;
}

// ---- with a default ----
// A default passes the same checks: one derived from other settings may not fit.

std::int64_t Config::get_int(const std::string& key, std::int64_t fallback, std::int64_t min,
                             std::int64_t max) {
  const std::int64_t x = check_int(key, value_or(key, {fallback}, "an integer"), min, max);
  record(key, {x});
  return x;
}

double Config::get_float(const std::string& key, double fallback, double min, double max) {
  const double x = check_float(key, value_or(key, {fallback}, "a number"), min, max);
  const double written = x == fallback ? as_written(x) : x;
  record(key, {written >= min && written <= max ? written : x});
  return x;
}

bool Config::get_bool(const std::string& key, bool fallback) {
  const bool x = check_bool(key, value_or(key, {fallback}, "true or false"));
  record(key, {x});
  return x;
}

std::string Config::get_string(const std::string& key, const std::string& fallback) {
  const std::string x = check_string(key, value_or(key, {fallback}, "a string"));
  record(key, {x});
  return x;
}

std::string Config::get_choice(const std::string& key, const std::string& fallback,
                               const std::vector<std::string>& allowed) {
  const std::string x = check_string(key, value_or(key, {fallback}, "a string"));
  check_choice(key, x, allowed);
  record(key, {x});
  return x;
}

std::vector<std::int64_t> Config::get_int_list(const std::string& key,
                                               const std::vector<std::int64_t>& fallback,
                                               std::int64_t min, std::int64_t max,
                                               std::size_t min_length, std::size_t max_length) {
  const ConfigValue value = value_or(key, {as_values(fallback)}, "a list");
  std::vector<std::int64_t> x;
  for (const auto& item : check_list(key, value, min_length, max_length))
    x.push_back(check_int(key, item, min, max));
  record(key, {as_values(x)});
  return x;
}

std::vector<double> Config::get_float_list(const std::string& key,
                                           const std::vector<double>& fallback, double min,
                                           double max, std::size_t min_length,
                                           std::size_t max_length) {
  const ConfigValue value = value_or(key, {as_values(fallback)}, "a list");
  std::vector<double> x;
  for (const auto& item : check_list(key, value, min_length, max_length))
    x.push_back(check_float(key, item, min, max));
  record(key, {as_values(x)});
  return x;
}

std::vector<std::string> Config::get_string_list(const std::string& key,
                                                 const std::vector<std::string>& fallback,
                                                 std::size_t min_length, std::size_t max_length) {
  const ConfigValue value = value_or(key, {as_values(fallback)}, "a list");
  std::vector<std::string> x;
  for (const auto& item : check_list(key, value, min_length, max_length)) {
    if (!std::holds_alternative<std::string>(item.data)) {
      fail(key, "must be a list of strings; it holds " + describe_type(item));
    }
    x.push_back(check_string(key, item));
  }
  record(key, {as_values(x)});
  return x;
}

std::vector<ConfigValue> Config::get_list(const std::string& key,
                                          const std::vector<ConfigValue>& fallback,
                                          std::size_t min_length, std::size_t max_length) {
  const ConfigValue value = value_or(key, {fallback}, "a list");
  const std::vector<ConfigValue> x = check_list(key, value, min_length, max_length);
  for (const ConfigValue& item : x) {
    if (std::holds_alternative<ConfigValue::Unsupported>(item.data))
      fail(key, "holds " + describe_type(item) + ", which no setting is");
  }
  record(key, {x});
  return x;
}

// ---- without a default ----

std::int64_t Config::require_int(const std::string& key, std::int64_t min, std::int64_t max) {
  require(key, "an integer" + range_text(min, max, kIntMin, kIntMax));
  return get_int(key, min, min, max);
}

double Config::require_float(const std::string& key, double min, double max) {
  require(key, "a number" + range_text(min, max, -kInf, kInf));
  return get_float(key, 0, min, max);
}

bool Config::require_bool(const std::string& key) {
  require(key, "true or false");
  return get_bool(key, false);
}

std::string Config::require_string(const std::string& key) {
  require(key, "a string");
  return get_string(key, "");
}

std::string Config::require_choice(const std::string& key,
                                   const std::vector<std::string>& allowed) {
  require(key, "one of " + joined(allowed));
  return get_choice(key, "", allowed);
}

}  // namespace rollmill
