// Maps of FrozenLake as bit masks: the two that Gymnasium names, and random ones that can be crossed.
#pragma once

#include <cstdint>

#include "core/base/macros.h"
#include "core/math/math.h"
#include "core/rng/rng.h"

namespace rollmill::toy_text {

// Bit row * side + column. Cells: up to 64.
template <int kSide>
struct FrozenMap {
  static_assert(kSide == 4 || kSide == 8);
  static constexpr int kCells = kSide * kSide;
  static constexpr int kWords = (kCells + 31) / 32;
  static constexpr std::uint64_t kAll =
      kCells == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << kCells) - 1;
  static constexpr std::uint64_t kEnds = std::uint64_t{1} | std::uint64_t{1} << (kCells - 1);
  static constexpr int kTries = 100;

  struct Holes {
    std::uint32_t word[kWords];
    RM_HD void store(std::uint32_t* out) const {
      for (int k = 0; k < kWords; ++k) out[k] = word[k];
    }
  };
  RM_HD static constexpr Holes from_bits(std::uint64_t bits) {
    Holes holes{};
    for (int k = 0; k < kWords; ++k) holes.word[k] = static_cast<std::uint32_t>(bits >> (32 * k));
    return holes;
  }
  static constexpr Holes from_text(const char* rows) {
    std::uint64_t bits = 0;
    for (int k = 0; k < kCells; ++k) bits |= std::uint64_t{rows[k] == 'H'} << k;
    return from_bits(bits);
  }
  static constexpr Holes kStandard = from_text(kSide == 4 ? "SFFF"
                                                            "FHFH"
                                                            "FFFH"
                                                            "HFFG"
                                                          : "SFFFFFFF"
                                                            "FFFFFFFF"
                                                            "FFFHFFFF"
                                                            "FFFFFHFF"
                                                            "FFFHFFFF"
                                                            "FHHFFFHF"
                                                            "FHFFHFHF"
                                                            "FFFHFFFG");

  // (As the sign of the shifted word: g++ 12 cannot vectorise the conversion of a shifted bit to bool.)
  RM_HD static bool has(const std::uint32_t* holes, std::uint32_t cell) {
    const std::uint32_t word = kWords == 1 || cell < 32 ? holes[0] : holes[kWords - 1];
    return static_cast<std::int32_t>(word << (31u - (cell & 31u))) < 0;
  }

  // Whether steps up, down, left and right over `ice` lead from the first cell to the last.
  RM_HD static bool crossable(std::uint64_t ice) {
    std::uint64_t left_edge = 0;
    for (int row = 0; row < kSide; ++row) left_edge |= std::uint64_t{1} << (row * kSide);
    const std::uint64_t right_edge = left_edge << (kSide - 1);
    std::uint64_t reached = 1, before = 0;
    while (reached != before) {
      before = reached;
      reached |= (reached & ~right_edge) << 1 | (reached & ~left_edge) >> 1 | reached << kSide |
                 reached >> kSide;
      reached &= ice;
    }
    return (reached >> (kCells - 1)) != 0;
  }

  // Each tile but the two ends is frozen with the given probability, as 16 bits tell it; drawn anew until the map can
  // be crossed. After kTries failures the last map gets a random path of steps right and down.
  RM_HD static Holes draw(float frozen_probability, Rng& rng) {
    const auto threshold =
        static_cast<std::uint32_t>(static_cast<std::int32_t>(frozen_probability * 65536.0f + 0.5f));
    std::uint64_t ice = 0;
    for (int i = 0; i < kTries; ++i) {
      ice = kEnds;
      for (int cell = 0; cell < kCells; cell += 2) {
        const std::uint32_t word = rng.bits();
        const std::uint64_t low = (word & 0xFFFFu) < threshold ? 1 : 0;
        const std::uint64_t high = (word >> 16) < threshold ? 2 : 0;
        ice |= (low | high) << cell;
      }
      if (crossable(ice)) return from_bits(~ice & kAll);
    }
    std::uint32_t turns = rng.bits();
    int row = 0, column = 0;
    while (row + column < 2 * (kSide - 1)) {
      const bool right = row == kSide - 1 || (column < kSide - 1 && (turns & 1u) != 0);
      column += right ? 1 : 0;
      row += right ? 0 : 1;
      turns >>= 1;
      ice |= std::uint64_t{1} << (row * kSide + column);
    }
    return from_bits(~ice & kAll);
  }
};

}  // namespace rollmill::toy_text
