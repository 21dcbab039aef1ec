// The element types that columns, datasets and tensors may have. Sizes in bytes, names as NumPy spells them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollmill {

enum class DType : std::uint8_t { kI8, kU8, kBool, kI16, kI32, kI64, kU32, kU64, kF32, kF64 };

inline constexpr int kDTypeCount = 10;

// Bytes of one element; a bool takes one byte holding 0 or 1.
constexpr std::size_t dtype_size(DType type) {
  switch (type) {
    case DType::kI8:
    case DType::kU8:
    case DType::kBool: return 1;
    case DType::kI16: return 2;
    case DType::kI32:
    case DType::kU32:
    case DType::kF32: return 4;
    case DType::kI64:
    case DType::kU64:
    case DType::kF64: return 8;
  }
  return 0;
}

constexpr const char* dtype_name(DType type) {
  switch (type) {
    case DType::kI8: return "int8";
    case DType::kU8: return "uint8";
    case DType::kBool: return "bool";
    case DType::kI16: return "int16";
    case DType::kI32: return "int32";
    case DType::kI64: return "int64";
    case DType::kU32: return "uint32";
    case DType::kU64: return "uint64";
    case DType::kF32: return "float32";
    case DType::kF64: return "float64";
  }
  return "?";
}

constexpr bool dtype_is_float(DType type) { return type == DType::kF32 || type == DType::kF64; }

// The inverse of dtype_name; empty for a name that is not one of ours.
constexpr std::optional<DType> dtype_from_name(std::string_view name) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (name == dtype_name(static_cast<DType>(i))) return static_cast<DType>(i);
  }
  return std::nullopt;
}

// dtype_of<float> is DType::kF32, and so on. bool is stored as one byte.
template <typename T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no DType for this type");
  return DType::kI8;
}();
template <>
inline constexpr DType dtype_of<std::int8_t> = DType::kI8;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::kU8;
template <>
inline constexpr DType dtype_of<bool> = DType::kBool;
template <>
inline constexpr DType dtype_of<std::int16_t> = DType::kI16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::kI32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::kI64;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::kU32;
template <>
inline constexpr DType dtype_of<std::uint64_t> = DType::kU64;
template <>
inline constexpr DType dtype_of<float> = DType::kF32;
template <>
inline constexpr DType dtype_of<double> = DType::kF64;

}  // namespace rollmill
