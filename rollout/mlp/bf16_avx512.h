// rollout/mlp/bf16.h on processors with AVX512_BF16. Its source alone is compiled for them, and calls no inline function of
// other headers: a linker keeps one copy of those, and that must run everywhere.
//
// Packed weights: words of two numbers, input 2p in the upper half and 2p + 1 in the lower, 0 beyond the last. Chunks of 64 pairs,
// in each the columns by panels of 64 and then of 16, [chunk][panel][pair][column].
#pragma once

#include <cstdint>

namespace rollmill::bf16_avx512 {

// Whether this build has it: a constant, for code of that source may not run where the processor does not have it.
extern const bool built;

// Words of a packed matrix of so many inputs and columns, a multiple of 16.
std::int64_t packed_words(int inputs, int width);

void pack(const float* w, int inputs, int width, std::uint32_t* words);
// From column `outputs` on weights, bias and dy are zero.
void forward(const float* x, std::int64_t x_row, int inputs, const std::uint32_t* words, int width,
             int outputs, const float* bias, float* y, std::int64_t y_row, int rows);
void weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                 std::int64_t dy_row, int width, int rows, int outputs, float* dw);

}  // namespace rollmill::bf16_avx512
