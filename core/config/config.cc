// Who asked for what: look-up, unknown keys, the resolved print. Loading is in load.cc, types in
// getters.cc.
#include "core/config/config.h"

#include <algorithm>
#include <iterator>

#include "core/base/assert.h"
#include "core/base/error.h"
#include "core/config/nearest.h"
#include "core/config/toml.h"

namespace rollmill {
namespace {

void add_once(std::vector<std::string>& list, const std::string& item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

// Calls f on "a", "a.b" for "a.b.c".
template <typename F>
void for_each_parent(const std::string& key, F&& f) {
  for (std::size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1))
    f(key.substr(0, dot));
}

std::string parent(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

}  // namespace

void Config::fail(const std::string& key, const std::string& what) const {
  const auto entry = entries_.find(key);
  if (entry != entries_.end()) fail_usage(entry->second.where + ": " + key + ": " + what);
  const auto section = sections_.find(key);
  if (section != sections_.end()) fail_usage(section->second.where + ": " + key + ": " + what);
  fail_usage(name_ + ": " + key + " (not given, so the default): " + what);
}

void Config::know(const std::string& key) {
  RM_ASSERT(is_dotted_key(key));
  add_once(known_keys_, key);
  for_each_parent(key, [&](const std::string& section) { add_once(known_sections_, section); });
}

Config::Entry* Config::find(const std::string& key, const std::string& wanted) {
  know(key);
  for_each_parent(key, [&](const std::string& section) {
    const auto scalar = entries_.find(section);
    if (scalar != entries_.end()) {
      fail(section,
           "must be a section that holds " + key + ", not " + describe_type(scalar->second.value));
    }
  });
  if (sections_.count(key) != 0) fail(key, "must be " + wanted + ", not a section");
  const auto entry = entries_.find(key);
  return entry == entries_.end() ? nullptr : &entry->second;
}

ConfigValue Config::value_or(const std::string& key, const ConfigValue& fallback,
                             const std::string& wanted) {
  Entry* entry = find(key, wanted);
  if (entry == nullptr) return fallback;
  entry->read = true;
  return entry->value;
}

void Config::require(const std::string& key, const std::string& wanted) {
  if (find(key, wanted) != nullptr) return;
  std::vector<std::string> unread;
  for (const auto& [other, entry] : entries_) {
    if (!entry.read) unread.push_back(other);
  }
  const std::string near = nearest(key, unread);
  if (!near.empty()) fail(near, "unknown key; did you mean " + key + "?");
  fail_usage(name_ + ": " + key + ": missing; set it to " + wanted + " in the file or by --set " +
             key + "=...");
}

bool Config::has(const std::string& key) {
  know(key);
  return entries_.count(key) != 0 || sections_.count(key) != 0;
}

bool Config::has_section(const std::string& key) const {
  RM_ASSERT(is_dotted_key(key));
  const auto first = entries_.lower_bound(key + ".");
  return sections_.count(key) != 0 ||
         (first != entries_.end() && first->first.starts_with(key + "."));
}

std::vector<std::string> Config::keys_under(const std::string& section) {
  RM_ASSERT(is_dotted_key(section));
  if (entries_.count(section) != 0)
    fail(section, "must be a section, not " + describe_type(entries_[section].value));
  for_each_parent(section, [&](const std::string& outer) { add_once(known_sections_, outer); });
  add_once(known_sections_, section);
  std::vector<std::pair<std::size_t, std::string>> found;
  const auto take = [&](const std::string& key, std::size_t order) {
    if (parent(key) == section) found.emplace_back(order, key.substr(section.size() + 1));
  };
  for (const auto& [key, entry] : entries_) take(key, entry.order);
  for (const auto& [key, inner] : sections_) take(key, inner.order);
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (const auto& [order, name] : found) names.push_back(name);
  return names;
}

void Config::finish() const {
  if (!in_place_of_sections_.empty())
    fail_is_section(in_place_of_sections_.begin()->first, in_place_of_sections_.begin()->second);
  const std::string* first_key = nullptr;
  std::size_t first_order = next_order_;
  for (const auto& [key, entry] : entries_) {
    if (!entry.read && entry.order < first_order) {
      first_order = entry.order;
      first_key = &key;
    }
  }
  if (first_key != nullptr) fail_unknown_key(*first_key);
  for (const auto& [key, section] : sections_) {
    const bool known =
        std::find(known_sections_.begin(), known_sections_.end(), key) != known_sections_.end();
    if (!known && section.order < first_order) {
      first_order = section.order;
      first_key = &key;
    }
  }
  if (first_key == nullptr) return;
  const std::string near = nearest(*first_key, known_sections_);
  fail(*first_key, "unknown section" + (near.empty() ? "" : "; did you mean [" + near + "]?"));
}

void Config::fail_unknown_key(const std::string& key) const {
  if (std::find(known_keys_.begin(), known_keys_.end(), key) != known_keys_.end()) {
    // has() saw it, and then nobody wanted it.
    fail(key, "has no effect together with the other settings; remove it");
  }
  const std::string near = nearest(key, known_keys_);
  if (!near.empty()) fail(key, "unknown key; did you mean " + near + "?");
  const std::string section = parent(key);
  const std::string near_section = section.empty() ? "" : nearest(section, known_sections_);
  if (!near_section.empty() && near_section != section)
    fail(key, "unknown key; did you mean [" + near_section + "]?");
  std::string siblings;
  for (const std::string& known : known_keys_) {
    if (parent(known) == section && siblings.size() < 200)
      siblings += (siblings.empty() ? " " : ", ") + known;
  }
  fail(key, "unknown key" + (siblings.empty() ? "" : "; allowed here:" + siblings));
}

void Config::record(const std::string& key, const ConfigValue& value) {
  const auto entry = entries_.find(key);
  const bool given = entry != entries_.end();
  const std::string text = to_toml(value);
  const auto [at, is_new] = resolved_index_.try_emplace(key, resolved_.size());
  if (is_new) {
    resolved_.push_back({key, text, given ? entry->second.where : "default", given});
  } else {
    RM_ASSERT(given || resolved_[at->second].text == text);  // two readers with different defaults
  }
}

std::string Config::resolved_toml(Origins origins) const { return print(resolved_, origins); }

std::string Config::given_toml() const {
  std::vector<Resolved> given;
  std::copy_if(resolved_.begin(), resolved_.end(), std::back_inserter(given),
               [](const Resolved& item) { return item.given; });
  return print(given, Origins::kOmit);
}

std::string Config::print(const std::vector<Resolved>& items, Origins origins) {
  // Keys without a section must come first in TOML.
  std::vector<std::string> sections = {""};
  for (const Resolved& item : items) add_once(sections, parent(item.key));
  std::string out;
  for (const std::string& section : sections) {
    if (!section.empty()) out += (out.empty() ? "[" : "\n[") + section + "]\n";
    for (const Resolved& item : items) {
      if (parent(item.key) != section) continue;
      out += item.key.substr(item.key.rfind('.') + 1) + " = " + item.text;
      out += origins == Origins::kShow ? "  # " + item.origin + "\n" : "\n";
    }
  }
  return out;
}

}  // namespace rollmill
