// Reads what make_minatar.py recorded; the format is described there.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/oracle/trajectory.h"

namespace rollmill::test {

struct MinAtarRecord {
  int steps = 0, channels = 0, reset_draw_count = 0, draw_count = 0;
  int observation_bytes = 0;          // (100 channels + 7) / 8
  std::vector<std::int32_t> minimal;  // game actions of the minimal set
  std::vector<std::int32_t> lengths;
  std::vector<std::uint8_t> ramping;     // [episodes]
  std::vector<std::int8_t> reset_draws;  // [episodes][reset_draw_count]
  std::vector<std::uint8_t> actions, sticky;
  std::vector<std::int8_t> draws;  // [steps][draw_count]
  std::vector<std::uint8_t> rewards, terminal;
  std::vector<std::uint8_t> planes;  // [steps + episodes][observation_bytes]
};

namespace detail {

// Observations are stored as differences within an episode.
inline void undo_differences(MinAtarRecord& r) {
  const auto size = static_cast<std::size_t>(r.observation_bytes);
  std::size_t row = 0;
  for (const std::int32_t length : r.lengths) {
    ++row;
    for (int t = 0; t < length; ++t, ++row) {
      for (std::size_t k = row * size; k < (row + 1) * size; ++k) r.planes[k] ^= r.planes[k - size];
    }
  }
}

}  // namespace detail

inline MinAtarRecord read_minatar(const std::string& path, const std::string& game) {
  std::ifstream file(path, std::ios::binary);
  std::string header;
  if (!std::getline(file, header)) throw std::runtime_error("cannot read " + path);
  if (header.rfind("rollmill-minatar 1 " + game + " ", 0) != 0) {
    throw std::runtime_error(path + " holds something else");
  }
  MinAtarRecord r;
  std::size_t episodes = 0;
  std::istringstream words(header);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    if (key == "episodes") episodes = std::stoul(value);
    if (key == "steps") r.steps = std::stoi(value);
    if (key == "channels") r.channels = std::stoi(value);
    if (key == "reset_draws") r.reset_draw_count = std::stoi(value);
    if (key == "draws") r.draw_count = std::stoi(value);
    if (key == "minimal") {
      std::istringstream numbers(value);
      for (std::string n; std::getline(numbers, n, ',');) r.minimal.push_back(std::stoi(n));
    }
  }
  r.observation_bytes = (100 * r.channels + 7) / 8;
  const std::string bytes =
      detail::inflate_all({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  const auto steps = static_cast<std::size_t>(r.steps);
  const auto wide = [](int n) { return static_cast<std::size_t>(n); };
  std::size_t at = 0;
  r.lengths = detail::take<std::int32_t>(bytes, at, episodes);
  r.ramping = detail::take<std::uint8_t>(bytes, at, episodes);
  r.reset_draws = detail::take<std::int8_t>(bytes, at, episodes * wide(r.reset_draw_count));
  r.actions = detail::take<std::uint8_t>(bytes, at, steps);
  r.sticky = detail::take<std::uint8_t>(bytes, at, steps);
  r.draws = detail::take<std::int8_t>(bytes, at, steps * wide(r.draw_count));
  r.rewards = detail::take<std::uint8_t>(bytes, at, steps);
  r.terminal = detail::take<std::uint8_t>(bytes, at, steps);
  r.planes = detail::take<std::uint8_t>(bytes, at, (steps + episodes) * wide(r.observation_bytes));
  if (at != bytes.size()) throw std::runtime_error(path + " is too long");
  detail::undo_differences(r);
  return r;
}

}  // namespace rollmill::test
