// The matrix kernels of the MLP, on rows of activations: element (row r, feature f) at x[r * width + f].
//   dense_forward        y = b + x W             each row alone, k ascending: a row's bits do not depend on the batch
//   dense_input_grad     dx = dy W^T
//   dense_weight_grad    dW += x^T dy, db += sum of dy   (or = where it `writes`, as on to zeros)
//   sparse_forward, sparse_weight_grad   the same for rows x of zeros and ones, given as the indices of the ones; equal
//                        bits: adding 0 * w changes nothing, adding 1 * w rounds as a sum does
// All multiply-adds are fused (one rounding) in a fixed order, so results are the same bits on every machine.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/aligned.h"
#include "core/base/macros.h"
#include "core/base/simd.h"
#include "core/math/math.h"
#include "rollout/mlp/elementwise.h"
#include "rollout/mlp/layout.h"

namespace rollmill {

namespace internal {

// Rows of a block of half vectors: as many sums as hide the multiply-add's latency.
inline constexpr int kHalfRows = 8;
static_assert(kBlockRows <= kHalfRows);

// y[rows][vectors] = start + sum over k of x[r][k] * w[k][...], one register block. The start: y itself if `goes_on`, else
// the bias, or 0 without one.
template <class V, int kRows, int kVectors>
inline void forward_block(const float* RM_RESTRICT x, std::int64_t x_row, int inputs,
                          const float* RM_RESTRICT w, std::int64_t w_row,
                          const float* RM_RESTRICT bias, float* RM_RESTRICT y, std::int64_t y_row,
                          bool goes_on) {
  using Lanes = Vector<V>;
  constexpr int kLanes = Lanes::kLanes;
  V acc[kRows][kVectors];
  if (goes_on) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Lanes::load(y + r * y_row + v * kLanes);
    }
  } else {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const V b = bias != nullptr ? Lanes::load(bias + v * kLanes) : Lanes::broadcast(0.0f);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) acc[r][v] = b;
    }
  }
  for (int k = 0; k < inputs; ++k) {
    V wk[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) wk[v] = Lanes::load(w + k * w_row + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V xr = Lanes::broadcast(x[r * x_row + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = fma(xr, wk[v], acc[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(y + r * y_row + v * kLanes, acc[r][v]);
  }
}

// y[r][j] of kBlocks times sixteen rows and the first kOutputs of j: lanes are rows, so that few outputs cost no more than they
// are. The same sums as forward_block's, which leaves y's other columns, up to sixteen, at the start as zeros add nothing.
template <int kOutputs, int kBlocks>
inline void few_outputs_rows(const float* RM_RESTRICT x, std::int64_t x_row, int inputs,
                             const float* RM_RESTRICT w, const float* RM_RESTRICT bias,
                             float* RM_RESTRICT y, std::int64_t y_row) {
  constexpr int kRows = kBlocks * 16;
  alignas(kColumnAlignment) float columns[16][kRows], lanes[kOutputs][kRows];
  F16 acc[kOutputs][kBlocks];
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) acc[j][b] = broadcast16(bias != nullptr ? bias[j] : 0.0f);
  }
  for (int first = 0; first < inputs; first += 16) {
    for (int b = 0; b < kBlocks; ++b)
      transpose16(x + b * 16 * x_row + first, x_row, columns[0] + b * 16, kRows);
    for (int k = 0; k < 16; ++k) {
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
        const F16 xk = load16(columns[k] + b * 16);
#pragma GCC unroll 8
        for (int j = 0; j < kOutputs; ++j)
          acc[j][b] = fma16(xk, broadcast16(w[(first + k) * 16 + j]), acc[j][b]);
      }
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store16(lanes[j] + b * 16, acc[j][b]);
  }
  const F16 rest = bias != nullptr ? load16(bias) : broadcast16(0.0f);
  for (int r = 0; r < kRows; ++r) {
    store16(y + r * y_row, rest);
    for (int j = 0; j < kOutputs; ++j) y[r * y_row + j] = lanes[j][r];
  }
}

// body.operator()<n>() for a number n from 1 to 7 that is known at run time.
template <class Body>
inline void with_constant(int n, Body&& body) {
  switch (n) {
    case 7: return body.template operator()<7>();
    case 6: return body.template operator()<6>();
    case 5: return body.template operator()<5>();
    case 4: return body.template operator()<4>();
    case 3: return body.template operator()<3>();
    case 2: return body.template operator()<2>();
    case 1: return body.template operator()<1>();
    default: return;
  }
}

// Blocks of kBlock rows, then what is left as one smaller block: a single row would wait on its own multiply-adds.
template <class V, int kBlock, int kVectors>
inline void forward_columns(const float* x, std::int64_t x_row, int inputs, const float* w,
                            std::int64_t w_row, const float* bias, float* y, std::int64_t y_row,
                            int rows, bool goes_on = false) {
  int r = 0;
  for (; r + kBlock <= rows; r += kBlock) {
    forward_block<V, kBlock, kVectors>(x + r * x_row, x_row, inputs, w, w_row, bias, y + r * y_row,
                                       y_row, goes_on);
  }
  with_constant(rows - r, [&]<int kRows>() {
    if constexpr (kRows < kBlock) {
      forward_block<V, kRows, kVectors>(x + r * x_row, x_row, inputs, w, w_row, bias, y + r * y_row,
                                        y_row, goes_on);
    }
  });
}

// dw[k][...] += sum over r of x[r][k] * dy[r][...] for kRows values of k; writes: =.
template <class V, int kRows, int kVectors>
inline void weight_block(const float* RM_RESTRICT x, std::int64_t x_row,
                         const float* RM_RESTRICT dy, std::int64_t dy_row, int rows,
                         float* RM_RESTRICT dw, std::int64_t dw_row, bool writes) {
  using Lanes = Vector<V>;
  constexpr int kLanes = Lanes::kLanes;
  V acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int k = 0; k < kRows; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      acc[k][v] = writes ? Lanes::broadcast(0.0f) : Lanes::load(dw + k * dw_row + v * kLanes);
  }
  for (int r = 0; r < rows; ++r) {
    V d[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) d[v] = Lanes::load(dy + r * dy_row + v * kLanes);
#pragma GCC unroll 8
    for (int k = 0; k < kRows; ++k) {
      const V xk = Lanes::broadcast(x[r * x_row + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[k][v] = fma(xk, d[v], acc[k][v]);
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kRows; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(dw + k * dw_row + v * kLanes, acc[k][v]);
  }
}

template <class V, int kBlock, int kVectors>
inline void weight_columns(const float* x, std::int64_t x_row, const float* dy, std::int64_t dy_row,
                           int rows, int inputs, float* dw, std::int64_t dw_row, bool writes) {
  int k = 0;
  for (; k + kBlock <= inputs; k += kBlock) {
    weight_block<V, kBlock, kVectors>(x + k, x_row, dy, dy_row, rows, dw + k * dw_row, dw_row,
                                      writes);
  }
  with_constant(inputs - k, [&]<int kRows>() {
    if constexpr (kRows < kBlock) {
      weight_block<V, kRows, kVectors>(x + k, x_row, dy, dy_row, rows, dw + k * dw_row, dw_row,
                                       writes);
    }
  });
}

// dw[k][j] += sum over r of x[r][k] * dy[r][j] for 16 * kVectors values of k and the first kOutputs of j: lanes are inputs, so
// that few outputs cost no more than they are. The same sums as weight_block's.
template <int kOutputs, int kVectors>
inline void few_outputs_block(const float* RM_RESTRICT x, std::int64_t x_row,
                              const float* RM_RESTRICT dy, std::int64_t dy_row, int rows,
                              float* RM_RESTRICT dw, std::int64_t dw_row, bool writes) {
  constexpr int kInputs = kVectors * 16;
  alignas(kColumnAlignment) float columns[kOutputs][kInputs];
  for (int k = 0; k < kInputs; ++k) {
    for (int j = 0; j < kOutputs; ++j) columns[j][k] = writes ? 0.0f : dw[k * dw_row + j];
  }
  F16 acc[kOutputs][kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[j][v] = load16(columns[j] + v * 16);
  }
  for (int r = 0; r < rows; ++r) {
    F16 xr[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) xr[v] = load16(x + r * x_row + v * 16);
#pragma GCC unroll 8
    for (int j = 0; j < kOutputs; ++j) {
      const F16 d = broadcast16(dy[r * dy_row + j]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[j][v] = fma16(xr[v], d, acc[j][v]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store16(columns[j] + v * 16, acc[j][v]);
  }
  for (int k = 0; k < kInputs; ++k) {
    for (int j = 0; j < kOutputs; ++j) dw[k * dw_row + j] = columns[j][k];
  }
}

// db[0 .. kVectors * 16) += the rows of dy, in their order; writes: =.
template <int kVectors>
inline void bias_columns(const float* dy, std::int64_t dy_row, int rows, float* db, bool writes) {
  constexpr int kWide = kVectors * 16;
  float sum[kWide];
  for (int j = 0; j < kWide; ++j) sum[j] = writes ? 0.0f : db[j];
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < kWide; ++j) sum[j] += dy[r * dy_row + j];
  }
  for (int j = 0; j < kWide; ++j) db[j] = sum[j];
}
inline void bias_grad(const float* dy, std::int64_t dy_row, int width, int rows, float* db,
                      bool writes = false) {
  int f = 0;
  for (; f + 64 <= width; f += 64) bias_columns<4>(dy + f, dy_row, rows, db + f, writes);
  for (; f < width; f += 16) bias_columns<1>(dy + f, dy_row, rows, db + f, writes);
}

// y[vectors*16] = bias + sum of w[k][...] over the k of `ones`.
template <int kVectors>
inline void sparse_row(const std::int32_t* RM_RESTRICT ones, int count, const float* RM_RESTRICT w,
                       std::int64_t w_row, const float* RM_RESTRICT bias, float* RM_RESTRICT y) {
  const F16 one = broadcast16(1.0f);
  F16 acc[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) acc[v] = load16(bias + v * 16);
  for (int n = 0; n < count; ++n) {
    const float* row = w + ones[n] * w_row;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[v] = fma16(one, load16(row + v * 16), acc[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) store16(y + v * 16, acc[v]);
}

// Matrices whose rows lie far apart cost more than their arithmetic: rows 4 KiB apart share one set of the first-level cache,
// and each load of a panel then misses it. Such panels are copied together first; kPacked floats of them at a time, half of the
// smallest first-level cache of our processors.
inline constexpr int kPacked = 4096;
inline constexpr int kFewRows = 2 * kBlockRows;  // below them a copy is not worth its while

// to[n][columns] = from[n][0 .. columns) for rows `from_row` apart.
inline void pack_panel(const float* RM_RESTRICT from, std::int64_t from_row, int n, int columns,
                       float* RM_RESTRICT to) {
  for (int k = 0; k < n; ++k) {
    for (int j = 0; j < columns; j += 16)
      store16(to + k * columns + j, load16(from + k * from_row + j));
  }
}

// forward_columns over a packed copy of the weights, some inputs at a time: the sum so far waits in y, unrounded as
// in a register.
template <int kVectors>
inline void packed_forward(const float* x, std::int64_t x_row, int inputs, const float* w,
                           std::int64_t w_row, const float* bias, float* y, std::int64_t y_row,
                           int rows) {
  constexpr int kColumns = kVectors * 16, kInputs = kPacked / kColumns;
  alignas(kColumnAlignment) float panel[kPacked];
  for (int k = 0; k < inputs; k += kInputs) {
    const int n = inputs - k < kInputs ? inputs - k : kInputs;
    pack_panel(w + k * w_row, w_row, n, kColumns, panel);
    forward_columns<F16, kBlockRows, kVectors>(x + k, x_row, n, panel, kColumns, bias, y, y_row,
                                               rows, k > 0);
  }
}

// Rows in blocks of sixteen; returns how many those are.
inline int few_outputs_forward(const float* x, std::int64_t x_row, int inputs, const float* w,
                               const float* bias, float* y, std::int64_t y_row, int rows,
                               int outputs) {
  int r = 0;
  with_constant(outputs, [&]<int kOutputs>() {
    if constexpr (kOutputs <= kBlockRows) {
      for (; r + 48 <= rows; r += 48)
        few_outputs_rows<kOutputs, 3>(x + r * x_row, x_row, inputs, w, bias, y + r * y_row, y_row);
      for (; r + 16 <= rows; r += 16)
        few_outputs_rows<kOutputs, 1>(x + r * x_row, x_row, inputs, w, bias, y + r * y_row, y_row);
    }
  });
  return r;
}

}  // namespace internal

inline constexpr int kAllOutputs = 1 << 30;

// y [rows][width] = bias [width] + x [rows][inputs] * w [inputs][width]; width a multiple of 16. bias may be null. From feature
// `outputs` on weights and bias are zeros, and so is y.
inline void dense_forward(const float* x, std::int64_t x_row, int inputs, const float* w,
                          const float* bias, int width, float* y, std::int64_t y_row, int rows,
                          int outputs = kAllOutputs) {
  constexpr int kWide = kBlockVectors * 16;
  if (kTransposes && width == 16 && outputs <= kBlockRows && inputs % 16 == 0) {
    const int few =
        internal::few_outputs_forward(x, x_row, inputs, w, bias, y, y_row, rows, outputs);
    x += few * x_row;
    y += few * y_row;
    rows -= few;
  }
  const bool packed = inputs * width > 2 * internal::kPacked && rows > internal::kFewRows;
  const auto columns = [&]<int kVectors>(int f) {
    const float* b = bias == nullptr ? nullptr : bias + f;
    if (packed) {
      internal::packed_forward<kVectors>(x, x_row, inputs, w + f, width, b, y + f, y_row, rows);
    } else {
      internal::forward_columns<F16, kBlockRows, kVectors>(x, x_row, inputs, w + f, width, b, y + f,
                                                           y_row, rows);
    }
  };
  const bool half = kHalfVectors && !packed && outputs <= width - 8;
  int f = 0;
  for (; f + kWide <= width - (half ? 16 : 0); f += kWide)
    columns.template operator()<kBlockVectors>(f);
  for (; f < width - (half ? 16 : 0); f += 16) columns.template operator()<1>(f);
  if (!half) return;
  internal::forward_columns<F8, internal::kHalfRows, 1>(
      x, x_row, inputs, w + f, width, bias == nullptr ? nullptr : bias + f, y + f, y_row, rows);
  for (int r = 0; r < rows; ++r) store8(y + r * y_row + f + 8, broadcast8(0.0f));
}

// dx [rows][width_in] = dy [rows][outputs] * wt [outputs][width_in], wt the transposed weights.
inline void dense_input_grad(const float* dy, std::int64_t dy_row, int outputs, const float* wt,
                             int width_in, float* dx, std::int64_t dx_row, int rows) {
  dense_forward(dy, dy_row, outputs, wt, nullptr, width_in, dx, dx_row, rows);
}

// dw [inputs][width] += x^T dy. From feature `outputs` on dy is zero. writes: = instead, but for features from `outputs` on, which
// may be left as they are.
inline void dense_weight_product(const float* x, std::int64_t x_row, int inputs, const float* dy,
                                 std::int64_t dy_row, int width, int rows, float* dw,
                                 int outputs = kAllOutputs, bool writes = false) {
  constexpr int kWide = kBlockVectors * 16, kInputs = 48, kRows = 48;
  if (width == 16 && outputs <= kBlockRows && inputs >= kWide) {
    const int whole = inputs / kWide * kWide;
    for (int k = 0; k < whole; k += kWide) {
      internal::with_constant(outputs, [&]<int kOutputs>() {
        if constexpr (kOutputs <= kBlockRows)
          internal::few_outputs_block<kOutputs, kBlockVectors>(x + k, x_row, dy, dy_row, rows,
                                                               dw + k * 16, 16, writes);
      });
    }
    if (whole < inputs)
      dense_weight_product(x + whole, x_row, inputs - whole, dy, dy_row, width, rows,
                           dw + whole * 16, outputs, writes);
    return;
  }
  alignas(kColumnAlignment) float xs[kRows * kInputs];
  const bool packed = inputs >= 2 * kInputs && rows > internal::kFewRows && rows <= kRows;
  const bool half = kHalfVectors && outputs <= width - 8;
  const int full = width - (half ? 16 : 0);
  for (int k = 0; k < inputs; k += packed ? kInputs : inputs) {
    const float* from = x + k;
    std::int64_t from_row = x_row;
    int n = inputs;
    if (packed) {
      n = inputs - k < kInputs ? inputs - k : kInputs;
      for (int r = 0; r < rows; ++r) std::copy_n(x + r * x_row + k, n, xs + r * kInputs);
      from = xs;
      from_row = kInputs;
    }
    float* to = dw + static_cast<std::int64_t>(k) * width;
    int f = 0;
    const auto columns = [&]<class V, int kBlock, int kVectors>() {
      internal::weight_columns<V, kBlock, kVectors>(from, from_row, dy + f, dy_row, rows, n, to + f,
                                                    width, writes);
    };
    for (; f + kWide <= full; f += kWide)
      columns.template operator()<F16, kBlockRows, kBlockVectors>();
    for (; f < full; f += 16) columns.template operator()<F16, kBlockRows, 1>();
    if (half) columns.template operator()<F8, internal::kHalfRows, 1>();
  }
}

// The same, and db [width] += (writes: =) column sums of dy.
inline void dense_weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                              std::int64_t dy_row, int width, int rows, float* dw, float* db,
                              int outputs = kAllOutputs, bool writes = false) {
  dense_weight_product(x, x_row, inputs, dy, dy_row, width, rows, dw, outputs, writes);
  internal::bias_grad(dy, dy_row, width, rows, db, writes);
}

// Row r of x has ones at ones[begin[r]] .. ones[begin[r + 1] - 1], ascending, and zeros elsewhere.
inline void sparse_forward(const std::int32_t* ones, const std::int32_t* begin, const float* w,
                           const float* bias, int width, float* y, std::int64_t y_row, int rows) {
  for (int r = 0; r < rows; ++r) {
    const std::int32_t* row = ones + begin[r];
    const int count = begin[r + 1] - begin[r];
    int f = 0;
    for (; f + 128 <= width; f += 128)
      internal::sparse_row<8>(row, count, w + f, width, bias + f, y + r * y_row + f);
    for (; f + 64 <= width; f += 64)
      internal::sparse_row<4>(row, count, w + f, width, bias + f, y + r * y_row + f);
    for (; f < width; f += 16)
      internal::sparse_row<1>(row, count, w + f, width, bias + f, y + r * y_row + f);
  }
}

inline void sparse_weight_grad(const std::int32_t* ones, const std::int32_t* begin, const float* dy,
                               std::int64_t dy_row, int width, int rows, float* dw, float* db) {
  const F16 one = broadcast16(1.0f);
  for (int r = 0; r < rows; ++r) {
    const float* RM_RESTRICT d = dy + r * dy_row;
    for (std::int32_t n = begin[r]; n < begin[r + 1]; ++n) {
      float* RM_RESTRICT row = dw + static_cast<std::int64_t>(ones[n]) * width;
      for (int j = 0; j < width; j += 16)
        store16(row + j, fma16(one, load16(d + j), load16(row + j)));
    }
  }
  internal::bias_grad(dy, dy_row, width, rows, db);
}

// wt [outputs][pad16(inputs)] from w [inputs][width]; padding is zeroed.
inline void transpose_weights(const float* w, int inputs, int outputs, int width, float* wt) {
  const int padded = pad16(inputs);
  // Squares of 8: their lines stay in the first-level cache while they are written.
  constexpr int kSide = 8;
  const int whole = inputs / kSide * kSide;
  for (int j = 0; j < outputs; j += kSide) {
    const int last = outputs - j < kSide ? outputs - j : kSide;
    for (int k = 0; k < whole; k += kSide) {
      if (last == kSide) {
        transpose8(w + k * width + j, width, wt + j * padded + k, padded);
        continue;
      }
      for (int c = 0; c < last; ++c) {
        for (int i = 0; i < kSide; ++i) wt[(j + c) * padded + k + i] = w[(k + i) * width + j + c];
      }
    }
    for (int c = j; c < j + last; ++c) {
      for (int k = whole; k < inputs; ++k) wt[c * padded + k] = w[k * width + c];
      for (int k = inputs; k < padded; ++k) wt[c * padded + k] = 0.0f;
    }
  }
}

// to[0 .. n) += from[0 .. n), n a multiple of 16, by fused multiply-adds as everywhere.
inline void add_numbers(const float* RM_RESTRICT from, int n, float* RM_RESTRICT to) {
  const F16 one = broadcast16(1.0f);
  for (int j = 0; j < n; j += 16) store16(to + j, fma16(one, load16(from + j), load16(to + j)));
}

inline F16 fused_multiply_add(F16 a, F16 b, F16 c) { return fma16(a, b, c); }

// In place over n activations. tanh by vectors: of a scalar clamp GCC makes comparisons and blends, on AVX2 twice the time. (In the
// products' epilogue, in registers, it is slower: the sums then spill inside the loop.)
inline void activate(Activation kind, float* RM_RESTRICT y, std::int64_t n) {
  if (kind == Activation::kTanh) {
    const std::int64_t whole = n / 16 * 16;
    for (std::int64_t i = 0; i < whole; i += 16) {
      const F16 x = clamp16(load16(y + i), -kTanhLimit, kTanhLimit);
      store16(y + i, tanh_quotient(x, broadcast16));
    }
    for (std::int64_t i = whole; i < n; ++i) y[i] = activation_tanh(y[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = math::max(y[i], 0.0f);
  }
}

// dz = dh * the activation's derivative, which is a function of its result h; in place in dh.
inline void activate_backward(Activation kind, const float* RM_RESTRICT h, float* RM_RESTRICT dh,
                              std::int64_t n) {
  if (kind == Activation::kTanh) {
    for (std::int64_t i = 0; i < n; ++i) dh[i] *= 1.0f - h[i] * h[i];
  } else {
    for (std::int64_t i = 0; i < n; ++i) dh[i] = h[i] > 0.0f ? dh[i] : 0.0f;
  }
}

}  // namespace rollmill
