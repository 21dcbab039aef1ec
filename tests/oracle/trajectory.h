// Reads the trajectories that make_trajectories.py recorded; the format is described there.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace rollmill::test {

struct Trajectories {
  int state_size = 0, trig_size = 0, steps = 0;
  bool discrete = false;
  std::vector<std::int32_t> lengths;
  std::vector<double> states;       // [steps + episodes][state_size]
  std::vector<float> actions;       // [steps]; whole numbers for discrete tasks
  std::vector<float> rewards;       // [steps]
  std::vector<std::uint8_t> flags;  // [steps] 1 terminated, 2 truncated
  std::vector<float> trig;          // [steps][trig_size]
};

namespace detail {

template <class T>
std::vector<T> take(const std::string& bytes, std::size_t& at, std::size_t count) {
  if (at + count * sizeof(T) > bytes.size())
    throw std::runtime_error("trajectory file is too short");
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data() + at, count * sizeof(T));
  at += count * sizeof(T);
  return values;
}

inline std::string inflate_all(const std::string& packed) {
  std::string bytes(std::size_t{8} << 20, '\0');
  uLongf size = bytes.size();
  if (uncompress(reinterpret_cast<Bytef*>(bytes.data()), &size,
                 reinterpret_cast<const Bytef*>(packed.data()), packed.size()) != Z_OK) {
    throw std::runtime_error("trajectory file is damaged");
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace detail

inline Trajectories read_trajectories(const std::string& path, const std::string& id) {
  std::ifstream file(path, std::ios::binary);
  std::string header;
  if (!std::getline(file, header)) throw std::runtime_error("cannot read " + path);
  if (header.rfind("rollmill-trajectory 1 " + id + " ", 0) != 0) {
    throw std::runtime_error(path + " holds something else");
  }
  Trajectories t;
  int episodes = 0;
  std::istringstream words(header);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = word.substr(0, equals), value = word.substr(equals + 1);
    if (key == "episodes") episodes = std::stoi(value);
    if (key == "steps") t.steps = std::stoi(value);
    if (key == "state") t.state_size = std::stoi(value);
    if (key == "trig") t.trig_size = std::stoi(value);
    if (key == "action") t.discrete = value == "u1";
  }
  const std::string bytes =
      detail::inflate_all({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  const auto steps = static_cast<std::size_t>(t.steps);
  std::size_t at = 0;
  t.lengths = detail::take<std::int32_t>(bytes, at, static_cast<std::size_t>(episodes));
  t.states = detail::take<double>(
      bytes, at,
      (steps + static_cast<std::size_t>(episodes)) * static_cast<std::size_t>(t.state_size));
  if (t.discrete) {
    for (const std::uint8_t a : detail::take<std::uint8_t>(bytes, at, steps))
      t.actions.push_back(a);
  } else {
    t.actions = detail::take<float>(bytes, at, steps);
  }
  t.rewards = detail::take<float>(bytes, at, steps);
  t.flags = detail::take<std::uint8_t>(bytes, at, steps);
  t.trig = detail::take<float>(bytes, at, steps * static_cast<std::size_t>(t.trig_size));
  if (at != bytes.size()) throw std::runtime_error(path + " is too long");
  return t;
}

}  // namespace rollmill::test
