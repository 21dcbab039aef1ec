// What a network reads of a stored observation (envs/spaces.h): one text for the CPU and CUDA. The CPU reads whole words
// at a time (rollout/mlp/tile_input.cc); element by element both give the same numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "envs/env_spec.h"

namespace rollmill {

RM_HD float unpack_bit(std::uint32_t word, int bit) {
  return static_cast<float>(static_cast<std::int32_t>((word >> bit) & 1u));
}

RM_HD float unpack_byte(std::uint32_t word, int byte) {
  return static_cast<float>(static_cast<std::int32_t>((word >> (8 * byte)) & 255u)) / 255.0f;
}

// How to find element k: plain data, by value into kernels.
struct UnpackRule {
  ObservationKind kind;
  int elements;
  const std::int32_t*
      column_of;  // [elements] kChoices only: the column that element k is a choice of,
  const std::int32_t* choice_of;  // [elements] and which one
};

// The tables of an UnpackRule; empty for other kinds than kChoices.
struct ChoiceElements {
  explicit ChoiceElements(const ObservationSpec& observed) {
    for (std::size_t c = 0; c < observed.choices.size(); ++c) {
      for (int n = 0; n < observed.choices[c]; ++n) {
        column_of.push_back(static_cast<std::int32_t>(c));
        choice_of.push_back(n);
      }
    }
  }
  std::vector<std::int32_t> column_of, choice_of;
};

// Element k of the observation whose column c lies at words[c * stride].
RM_HD float unpack_element(const UnpackRule& rule, const Word* words, std::int64_t stride, int k) {
  switch (rule.kind) {
    case ObservationKind::kReal: return math::from_bits(words[k * stride]);
    case ObservationKind::kBits: return unpack_bit(words[(k / 32) * stride], k % 32);
    case ObservationKind::kPixels: return unpack_byte(words[(k / 4) * stride], k % 4);
    case ObservationKind::kChoices: break;
  }
  const auto choice = static_cast<std::uint32_t>(rule.choice_of[k]);
  return words[rule.column_of[k] * stride] == choice ? 1.0f : 0.0f;
}

}  // namespace rollmill
