#include "core/config/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "core/base/error.h"

namespace rollmill {
namespace {

constexpr int kMaxSectionDepth = 16;
// toml++ builds and destroys dotted keys recursively; a key of a million parts would overflow the
// stack.
constexpr int kMaxDots = 1000;

// Where a node stands, to restore the order of the text (toml++ sorts tables by key).
using Position = std::pair<unsigned, unsigned>;

Position position(const toml::node& node) {
  const toml::source_position& begin = node.source().begin;
  return {begin.line, begin.column};
}

bool is_bare_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

[[noreturn]] void fail_at(const std::string& name, Position at, const std::string& what) {
  fail_usage(name + ":" + std::to_string(at.first) + ":" + std::to_string(at.second) + ": " + what);
}

ConfigValue convert(const toml::node& node) {
  if (const auto* v = node.as_integer()) return {v->get()};
  if (const auto* v = node.as_floating_point()) return {v->get()};
  if (const auto* v = node.as_boolean()) return {v->get()};
  if (const auto* v = node.as_string()) return {v->get()};
  if (const auto* array = node.as_array()) {
    std::vector<ConfigValue> list;
    for (const toml::node& item : *array) list.push_back(convert(item));
    return {std::move(list)};
  }
  return {ConfigValue::Unsupported{node.is_table() ? "a table in a list" : "a date or time"}};
}

class Flattener {
 public:
  explicit Flattener(std::string name) : name_(std::move(name)) {}

  // `prefix` is the dotted key of `table`, "" for the root.
  void add_table(const std::string& prefix, const toml::table& table, int depth) {
    for (const auto& [key, node] : table) {
      const std::string_view part = key;
      // "ppo.clip" in quotes is what ppo.clip is: what --set takes. toml++ sees two keys, so the same setting in both
      // spellings is found here.
      if (!is_dotted_key(part) || std::count(part.begin(), part.end(), '.') >= kMaxSectionDepth) {
        fail_at(name_, position(node),
                "key \"" + one_line(part, 40) + "\": keys consist of letters, digits, _ and -");
      }
      if (depth > kMaxSectionDepth) {
        fail_at(name_, position(node),
                "sections nested more than " + std::to_string(kMaxSectionDepth) + " deep");
      }
      add_node(prefix.empty() ? std::string(part) : prefix + "." + std::string(part), node, depth);
    }
  }

  void add_node(const std::string& key, const toml::node& node, int depth) {
    const Position at = position(node);
    const int line = static_cast<int>(at.first);
    if (const toml::table* table = node.as_table()) {
      sections_.emplace_back(at, TomlDocument::Section{key, line});
      add_table(key, *table, depth + 1);
    } else {
      if (!keys_.insert(key).second) fail_at(name_, at, one_line(key) + " is given twice");
      values_.emplace_back(at, TomlDocument::Value{key, convert(node), line});
    }
  }

  TomlDocument take() {
    const auto by_position = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::stable_sort(values_.begin(), values_.end(), by_position);
    std::stable_sort(sections_.begin(), sections_.end(), by_position);
    TomlDocument document;
    for (auto& [at, value] : values_) document.values.push_back(std::move(value));
    for (auto& [at, section] : sections_) document.sections.push_back(std::move(section));
    return document;
  }

 private:
  std::string name_;
  std::set<std::string> keys_;
  std::vector<std::pair<Position, TomlDocument::Value>> values_;
  std::vector<std::pair<Position, TomlDocument::Section>> sections_;
};

void check_dots(std::string_view text, const std::string& name) {
  int dots = 0;
  unsigned line = 1;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '\n' || c == ',') dots = 0;
    if (c == '.' && ++dots > kMaxDots) fail_at(name, {line, 1}, "a key of more than 1000 parts");
  }
}

void check_utf8(std::string_view text, const std::string& name) {
  const std::size_t bad = find_invalid_utf8(text);
  if (bad == std::string_view::npos) return;
  const std::string_view before = text.substr(0, bad);
  const auto line = static_cast<unsigned>(1 + std::count(before.begin(), before.end(), '\n'));
  const std::size_t start = before.rfind('\n') + 1;  // npos + 1 is 0: the first line
  fail_at(name, {line, static_cast<unsigned>(bad - start + 1)},
          "not UTF-8 text; save the file as UTF-8");
}

}  // namespace

bool is_dotted_key(std::string_view key) {
  while (true) {
    const std::size_t dot = key.find('.');
    if (!is_bare_key(key.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    key.remove_prefix(dot + 1);
  }
}

TomlDocument parse_toml(std::string_view text, const std::string& name) {
  check_utf8(text, name);
  check_dots(text, name);
  toml::table root;
  try {
    root = toml::parse(text, name);
  } catch (const toml::parse_error& e) {
    fail_at(name, {e.source().begin.line, e.source().begin.column}, one_line(e.description(), 300));
  }
  Flattener flattener(name);
  flattener.add_table("", root, 1);
  return flattener.take();
}

std::optional<TomlDocument> parse_toml_value(std::string_view text) {
  // Inside an inline table a comment or a line break cannot hide a second setting; a text that
  // closes the table itself ("1} #") is no value in an array.
  const std::string wrapped = "v={x=" + std::string(text) + "}";
  check_dots(wrapped, "--set");
  toml::table root;
  try {
    root = toml::parse("v=[" + std::string(text) + "]");
    root = toml::parse(wrapped);
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
  const toml::table* outer = root["v"].as_table();
  if (root.size() != 1 || outer == nullptr || outer->size() != 1 || !outer->contains("x"))
    return std::nullopt;
  Flattener flattener("--set " + one_line(text));
  const toml::node& node = *outer->get("x");
  if (const toml::table* table = node.as_table()) {
    TomlDocument document;
    flattener.add_table("", *table, 1);
    document = flattener.take();
    for (auto& value : document.values) value.key.insert(0, ".");
    for (auto& section : document.sections) section.key.insert(0, ".");
    document.sections.insert(document.sections.begin(), {"", 1});
    return document;
  }
  flattener.add_node("", node, 1);
  return flattener.take();
}

}  // namespace rollmill
