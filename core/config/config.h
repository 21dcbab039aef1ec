// Typed settings from a TOML file and `--set key=value` overrides. Each part of the program asks
// for its own keys with type, range and default; finish() then stops the run at the first key that
// nobody asked for. Keys are dotted ("env.num_envs" is num_envs in [env]). Every error of the user
// is an Error (usage) of one line:
//   run.toml:7: env.num_envs: 0 is out of range; allowed 1 to 16777216
//   --set env.num_envs=0: env.num_envs: 0 is out of range; ...
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/config/value.h"

namespace rollmill {

class Config {
 public:
  static constexpr std::int64_t kIntMin = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t kIntMax = std::numeric_limits<std::int64_t>::max();
  static constexpr double kInf = std::numeric_limits<double>::infinity();
  static constexpr std::size_t kMaxFileBytes = 4u << 20;

  // Reads a regular file of at most 4 MiB of UTF-8 (a byte order mark is accepted). An override is
  // "key=value": the value is read as TOML where it is TOML ("1", "[1, 2]", "{a = 1}"), else taken
  // as a string. Later overrides win.
  static Config from_file(const std::string& path, const std::vector<std::string>& overrides = {});
  static Config from_string(const std::string& text, const std::string& name,
                            const std::vector<std::string>& overrides = {});

  // Getters: the value if given, else the default. Ranges are inclusive, NaN and infinities are
  // refused. An integer is accepted for a float, and a float for an integer when it is one ("1e6").
  // Overrides of string settings may go unquoted.
  std::int64_t get_int(const std::string& key, std::int64_t fallback, std::int64_t min = kIntMin,
                       std::int64_t max = kIntMax);
  double get_float(const std::string& key, double fallback, double min = -kInf, double max = kInf);
  bool get_bool(const std::string& key, bool fallback);
  std::string get_string(const std::string& key, const std::string& fallback);
  std::string get_choice(const std::string& key, const std::string& fallback,
                         const std::vector<std::string>& allowed);
  std::vector<std::int64_t> get_int_list(const std::string& key,
                                         const std::vector<std::int64_t>& fallback,
                                         std::int64_t min = kIntMin, std::int64_t max = kIntMax,
                                         std::size_t min_length = 0,
                                         std::size_t max_length = 1u << 20);
  std::vector<double> get_float_list(const std::string& key, const std::vector<double>& fallback,
                                     double min = -kInf, double max = kInf,
                                     std::size_t min_length = 0, std::size_t max_length = 1u << 20);
  std::vector<std::string> get_string_list(const std::string& key,
                                           const std::vector<std::string>& fallback,
                                           std::size_t min_length = 0,
                                           std::size_t max_length = 1u << 20);
  // A list of anything that a setting can be, for keys that hold settings of other configs.
  std::vector<ConfigValue> get_list(const std::string& key,
                                    const std::vector<ConfigValue>& fallback,
                                    std::size_t min_length = 0, std::size_t max_length = 1u << 20);

  // The same without a default: a missing key is an error that names file and key.
  std::int64_t require_int(const std::string& key, std::int64_t min = kIntMin,
                           std::int64_t max = kIntMax);
  double require_float(const std::string& key, double min = -kInf, double max = kInf);
  bool require_bool(const std::string& key);
  std::string require_string(const std::string& key);
  std::string require_choice(const std::string& key, const std::vector<std::string>& allowed);

  // Whether the key is given, as a value or a section. Does not count as reading it.
  bool has(const std::string& key);

  // Whether the key is given, and as a section. Does not count as reading it.
  bool has_section(const std::string& key) const;

  // Names of the keys and sections directly in a section, in the order of the file; none if it is
  // missing.
  std::vector<std::string> keys_under(const std::string& section);
  // Everything in a section counts as read; it is no part of the resolved config.
  void ignore(const std::string& section);
  // For a setting that is a plain value or a section of alternatives ([env.params]): what the last override made of it stands alone,
  // if one did. To be asked before the setting is read; elsewhere a plain value in the place of a section is an error.
  void keep_last_override(const std::string& key);

  // For checks that span several keys: throws Error (usage) "where: key: what", where the key was
  // given.
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

  // Throws for the first key or section given that no getter asked for, naming the nearest that one
  // did. Call it last.
  void finish() const;

  // Every key asked for with the value in use, sections in the order of first asking. Parses back
  // to the same values.
  enum class Origins {
    kOmit,
    kShow
  };  // kShow: a comment says whether it is a default or where it was set
  std::string resolved_toml(Origins origins = Origins::kOmit) const;

  // The same with only those keys that were given: a config as a person would write it.
  std::string given_toml() const;

  const std::string& name() const { return name_; }

 private:
  struct Entry {
    ConfigValue value;
    std::string where;  // "file:line" or "--set key=value"
    std::string raw;    // text of an override
    bool is_override = false;
    bool read = false;
    std::size_t order = 0;
  };
  struct Section {
    std::string where;
    std::size_t order = 0;
  };
  struct Resolved {
    std::string key, text, origin;
    bool given;
  };

  void apply_override(const std::string& text);
  void set(const std::string& key, Entry entry);
  // by_override: in the place of a value of that name.
  void add_section(const std::string& key, const std::string& where, bool by_override = false);
  void remove_section(const std::string& section);

  static std::string print(const std::vector<Resolved>& items, Origins origins);
  void know(const std::string& key);
  Entry* find(const std::string& key, const std::string& wanted);
  ConfigValue value_or(const std::string& key, const ConfigValue& fallback,
                       const std::string& wanted);
  void require(const std::string& key, const std::string& wanted);
  void record(const std::string& key, const ConfigValue& value);
  [[noreturn]] void fail_unknown_key(const std::string& key) const;
  [[noreturn]] void fail_is_section(const std::string& key, const Entry& entry) const;

  std::int64_t check_int(const std::string& key, const ConfigValue& value, std::int64_t min,
                         std::int64_t max) const;
  double check_float(const std::string& key, const ConfigValue& value, double min,
                     double max) const;
  bool check_bool(const std::string& key, const ConfigValue& value) const;
  std::string check_string(const std::string& key, const ConfigValue& value) const;
  void check_choice(const std::string& key, const std::string& value,
                    const std::vector<std::string>& allowed) const;
  const std::vector<ConfigValue>& check_list(const std::string& key, const ConfigValue& value,
                                             std::size_t min_length, std::size_t max_length) const;

  std::string name_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Section> sections_;
  std::map<std::string, Entry> in_place_of_sections_;  // overrides, until keep_last_override() says it is meant
  std::size_t next_order_ = 0;
  std::vector<std::string> known_keys_, known_sections_;  // asked for so far
  std::vector<Resolved> resolved_;                        // in the order of first asking
  std::map<std::string, std::size_t> resolved_index_;
};

}  // namespace rollmill
