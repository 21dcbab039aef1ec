// The manifest of a struct: its author lists each field once in a `visit` member, and columns, snapshots,
// configuration, documentation and dataset attributes are derived from that list.
//
//   struct State {
//     float x, v;
//     template <class V> RM_HD void visit(V&& field) { field("x", x); field("v", v); }
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

template <class Struct>
constexpr int count_words() {
  int count = 0;
  Struct s{};
  s.visit([&count](const char*, auto& field) {
    static_assert(kIsWord<std::remove_reference_t<decltype(field)>>,
                  "state fields are float, int32 or uint32");
    ++count;
  });
  return count;
}

// Number of fields of a struct whose manifest visits one word at a time.
template <class Struct>
inline constexpr int kWords = count_words<Struct>();

// Column access: word k of element i lies at base[k * stride + i].
template <class Struct>
RM_HD Struct load_columns(const std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  Struct s;
  int k = 0;
  s.visit([&](const char*, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    field = reinterpret_cast<const T*>(base + k * stride)[i];
    ++k;
  });
  return s;
}

template <class Struct>
RM_HD void store_columns(Struct& s, std::uint32_t* base, std::int64_t stride, std::int64_t i) {
  int k = 0;
  s.visit([&](const char*, auto& field) {
    using T = std::remove_reference_t<decltype(field)>;
    reinterpret_cast<T*>(base + k * stride)[i] = field;
    ++k;
  });
}

}  // namespace rollmill
