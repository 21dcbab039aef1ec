// JSON from outside, for .cc files that read manifests and headers: nlohmann-json with duplicate keys, deep nesting,
// comments and trailing text refused.
#pragma once

#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

namespace rollmill {

// Error kBadData "WHERE: ..." on anything that is not one JSON object of at most max_depth levels.
nlohmann::json parse_json_strict(std::string_view text, const std::string& where, int max_depth);

}  // namespace rollmill
