// The manifest of a struct: its author lists each field once in a `visit` member, and columns, snapshots,
// configuration, documentation and dataset attributes are derived from that list.
//
//   struct State {
//     float x, v;  std::int32_t bricks[3];
//     template <class V> RM_HD void visit(V&& field) { field("x", x); field("v", v); field("bricks", bricks); }
//   };
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/base/macros.h"

namespace rollmill {

// What a state may be made of: 32-bit words, so that every column has one element size on every backend.
template <class T>
inline constexpr bool kIsWord = sizeof(T) == 4 && std::is_trivially_copyable_v<T> &&
                                (std::is_same_v<T, float> || std::is_integral_v<T>);

// Words of one field: 1, or the length of an array of words.
template <class T>
constexpr int field_words() {
  static_assert(kIsWord<std::remove_all_extents_t<T>>,
                "state fields are float, int32 or uint32, or one-dimensional arrays of them");
  static_assert(std::rank_v<T> <= 1, "arrays of words have one dimension");
  return std::rank_v<T> == 0 ? 1 : static_cast<int>(std::extent_v<T>);
}

template <class Struct>
constexpr int count_words() {
  int count = 0;
  Struct s{};
  s.visit([&count](const char*, auto& field) {
    count += field_words<std::remove_reference_t<decltype(field)>>();
  });
  return count;
}

// Number of 32-bit words of a struct.
template <class Struct>
inline constexpr int kWords = count_words<Struct>();

// Calls word(element&) for every word of the struct in the manifest's order, arrays element by element.
template <class Struct, class Word>
RM_HD constexpr void visit_words(Struct& s, Word&& word) {
  s.visit([&](const char*, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    if constexpr (std::is_array_v<T>) {
      for (auto& element : field) word(element);
    } else {
      word(field);
    }
  });
}

// Column access: word k of element i lies at base[k * stride + i].
template <class Struct>
RM_HD Struct load_columns(const std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  Struct s;
  int k = 0;
  visit_words(s, [&](auto& element) {
    using T = std::remove_reference_t<decltype(element)>;
    element = reinterpret_cast<const T*>(base + k * stride)[i];
    ++k;
  });
  return s;
}

template <class Struct>
RM_HD void store_columns(Struct& s, std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  int k = 0;
  visit_words(s, [&](auto& element) {
    using T = std::remove_reference_t<decltype(element)>;
    reinterpret_cast<T*>(base + k * stride)[i] = element;
    ++k;
  });
}

}  // namespace rollmill
