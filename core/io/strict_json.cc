#include "core/io/strict_json.h"

#include <set>
#include <vector>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace rollmill {

nlohmann::json parse_json_strict(std::string_view text, const std::string& where, int max_depth) {
  using Json =
      nlohmann::json;  // a tree of keys: linear search among a million keys would never end
  std::vector<std::set<std::string>> keys;  // of the objects that are open, outermost first
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= max_depth)
        fail_data(where + ": JSON is nested deeper than " + std::to_string(max_depth) +
                  " levels; refused");
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      fail_data(where + ": JSON has the key \"" + value.get<std::string>() + "\" twice; refused");
    }
    return true;
  };
  try {
    Json parsed = Json::parse(text, watch);
    if (!parsed.is_object())
      fail_data(where + ": a JSON object is expected; the file is damaged or another kind");
    return parsed;
  } catch (const Json::exception& error) {
    // nlohmann's text quotes the input; its byte offset is enough.
    const auto* parse = dynamic_cast<const Json::parse_error*>(&error);
    fail_data(where + ": not valid JSON" +
              (parse ? " at byte " + std::to_string(parse->byte) : "") +
              "; the file is damaged or another kind");
  }
}

}  // namespace rollmill
