// The values that a config holds, free of the TOML library: what was written, what it is called,
// how it is printed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rollmill {

struct ConfigValue {
  // Something TOML has and no setting takes (a date, a table inside a list): kept only to be named
  // in an error.
  struct Unsupported {
    std::string what;
  };
  std::variant<std::int64_t, double, bool, std::string, std::vector<ConfigValue>, Unsupported> data;
};

// "an integer", "a list", ...: for messages.
std::string describe_type(const ConfigValue& value);

// The value as TOML source. Reading it back gives the same value: doubles are printed with the
// fewest digits that round-trip and always look like floats, strings are escaped.
std::string to_toml(const ConfigValue& value);

// `text` fit for one line of a message: control characters replaced, cut after about `max_bytes`.
std::string one_line(std::string_view text, std::size_t max_bytes = 80);

// Offset of the first byte that is not well-formed UTF-8 (RFC 3629: no overlong forms, no
// surrogates), npos if none.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace rollmill
