// The one door to toml++: text in, flat lists of dotted keys out. Everything behind it works on
// ConfigValue.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/value.h"

namespace rollmill {

// Both lists are in the order of the text. Inline tables are sections like any other. A key in quotes may be a dotted one:
// "a.b" = 1 is a.b = 1.
struct TomlDocument {
  struct Value {
    std::string key;  // dotted
    ConfigValue value;
    int line;
  };
  struct Section {
    std::string key;
    int line;
  };
  std::vector<Value> values;
  std::vector<Section> sections;
};

// Letters, digits, '_' and '-', joined by dots: the keys that a config may have.
bool is_dotted_key(std::string_view key);

// Parses a document; `name` is the file named in messages. Throws Error (usage): "name:line:column:
// what".
TomlDocument parse_toml(std::string_view text, const std::string& name);

// Parses one TOML value, as it would stand to the right of "=". The result's keys are relative: ""
// for a plain value, ".a.b" for what an inline table holds. Nothing if the text is not one TOML
// value.
std::optional<TomlDocument> parse_toml_value(std::string_view text);

}  // namespace rollmill
