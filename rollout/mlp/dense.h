// The matrix kernels of the MLP, on rows of activations: element (row r, feature f) at x[r * width + f].
//   dense_forward        y = b + x W             each row alone, k ascending: a row's bits do not depend on the batch
//   dense_input_grad     dx = dy W^T
//   dense_weight_grad    dW += x^T dy, db += sum of dy   (accumulates)
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

// y[rows][vectors*16] = start + sum over k of x[r][k] * w[k][...], one register block. The start: y itself if `goes_on`, else
// the bias, or 0 without one.
template <int kRows, int kVectors>
inline void forward_block(const float* RM_RESTRICT x, std::int64_t x_row, int inputs,
                          const float* RM_RESTRICT w, std::int64_t w_row,
                          const float* RM_RESTRICT bias, float* RM_RESTRICT y, std::int64_t y_row,
                          bool goes_on) {
  F16 acc[kRows][kVectors];
  if (goes_on) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = load16(y + r * y_row + v * 16);
    }
  } else {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const F16 b = bias != nullptr ? load16(bias + v * 16) : broadcast16(0.0f);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) acc[r][v] = b;
    }
  }
  for (int k = 0; k < inputs; ++k) {
    F16 wk[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) wk[v] = load16(w + k * w_row + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F16 xr = broadcast16(x[r * x_row + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = fma16(xr, wk[v], acc[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store16(y + r * y_row + v * 16, acc[r][v]);
  }
}

template <int kVectors>
inline void forward_columns(const float* x, std::int64_t x_row, int inputs, const float* w,
                            std::int64_t w_row, const float* bias, float* y, std::int64_t y_row,
                            int rows, bool goes_on = false) {
  int r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    forward_block<kBlockRows, kVectors>(x + r * x_row, x_row, inputs, w, w_row, bias, y + r * y_row,
                                        y_row, goes_on);
  }
  // What is left of the rows as one smaller block: a single row would wait on its own multiply-adds.
  const auto rest = [&]<int kRows>() {
    forward_block<kRows, kVectors>(x + r * x_row, x_row, inputs, w, w_row, bias, y + r * y_row,
                                   y_row, goes_on);
  };
  switch (rows - r) {
    case 5: rest.template operator()<5>(); break;
    case 4: rest.template operator()<4>(); break;
    case 3: rest.template operator()<3>(); break;
    case 2: rest.template operator()<2>(); break;
    case 1: rest.template operator()<1>(); break;
    default: break;
  }
}

// dw[k][...] += sum over r of x[r][k] * dy[r][...] for kRows values of k.
template <int kRows, int kVectors>
inline void weight_block(const float* RM_RESTRICT x, std::int64_t x_row,
                         const float* RM_RESTRICT dy, std::int64_t dy_row, int rows,
                         float* RM_RESTRICT dw, std::int64_t dw_row) {
  F16 acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int k = 0; k < kRows; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[k][v] = load16(dw + k * dw_row + v * 16);
  }
  for (int r = 0; r < rows; ++r) {
    F16 d[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) d[v] = load16(dy + r * dy_row + v * 16);
#pragma GCC unroll 8
    for (int k = 0; k < kRows; ++k) {
      const F16 xk = broadcast16(x[r * x_row + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[k][v] = fma16(xk, d[v], acc[k][v]);
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kRows; ++k) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store16(dw + k * dw_row + v * 16, acc[k][v]);
  }
}

template <int kVectors>
inline void weight_columns(const float* x, std::int64_t x_row, const float* dy, std::int64_t dy_row,
                           int rows, int inputs, float* dw, std::int64_t dw_row) {
  int k = 0;
  for (; k + kBlockRows <= inputs; k += kBlockRows) {
    weight_block<kBlockRows, kVectors>(x + k, x_row, dy, dy_row, rows, dw + k * dw_row, dw_row);
  }
  const auto rest = [&]<int kRows>() {
    weight_block<kRows, kVectors>(x + k, x_row, dy, dy_row, rows, dw + k * dw_row, dw_row);
  };
  switch (inputs - k) {
    case 5: rest.template operator()<5>(); break;
    case 4: rest.template operator()<4>(); break;
    case 3: rest.template operator()<3>(); break;
    case 2: rest.template operator()<2>(); break;
    case 1: rest.template operator()<1>(); break;
    default: break;
  }
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
    forward_columns<kVectors>(x + k, x_row, n, panel, kColumns, bias, y, y_row, rows, k > 0);
  }
}

}  // namespace internal

// y [rows][width] = bias [width] + x [rows][inputs] * w [inputs][width]; width a multiple of 16. bias may be null.
inline void dense_forward(const float* x, std::int64_t x_row, int inputs, const float* w,
                          const float* bias, int width, float* y, std::int64_t y_row, int rows) {
  constexpr int kWide = kBlockVectors * 16;
  const bool packed = inputs * width > 2 * internal::kPacked && rows > internal::kFewRows;
  const auto columns = [&]<int kVectors>(int f) {
    const float* b = bias == nullptr ? nullptr : bias + f;
    if (packed) {
      internal::packed_forward<kVectors>(x, x_row, inputs, w + f, width, b, y + f, y_row, rows);
    } else {
      internal::forward_columns<kVectors>(x, x_row, inputs, w + f, width, b, y + f, y_row, rows);
    }
  };
  int f = 0;
  for (; f + kWide <= width; f += kWide) columns.template operator()<kBlockVectors>(f);
  for (; f < width; f += 16) columns.template operator()<1>(f);
}

// dx [rows][width_in] = dy [rows][outputs] * wt [outputs][width_in], wt the transposed weights.
inline void dense_input_grad(const float* dy, std::int64_t dy_row, int outputs, const float* wt,
                             int width_in, float* dx, std::int64_t dx_row, int rows) {
  dense_forward(dy, dy_row, outputs, wt, nullptr, width_in, dx, dx_row, rows);
}

// dw [inputs][width] += x^T dy; db [width] += column sums of dy.
inline void dense_weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                              std::int64_t dy_row, int width, int rows, float* dw, float* db) {
  constexpr int kWide = kBlockVectors * 16, kInputs = 48, kRows = 48;
  alignas(kColumnAlignment) float xs[kRows * kInputs];
  const bool packed = inputs >= 2 * kInputs && rows > internal::kFewRows && rows <= kRows;
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
    for (; f + kWide <= width; f += kWide) {
      internal::weight_columns<kBlockVectors>(from, from_row, dy + f, dy_row, rows, n, to + f,
                                              width);
    }
    for (; f < width; f += 16) {
      internal::weight_columns<1>(from, from_row, dy + f, dy_row, rows, n, to + f, width);
    }
  }
  for (int r = 0; r < rows; ++r) {
    const float* RM_RESTRICT d = dy + r * dy_row;
    for (int j = 0; j < width; ++j) db[j] += d[j];
  }
}

// Row r of x has ones at ones[begin[r]] .. ones[begin[r + 1] - 1], ascending, and zeros elsewhere.
inline void sparse_forward(const std::int32_t* ones, const std::int32_t* begin, const float* w,
                           const float* bias, int width, float* y, std::int64_t y_row, int rows) {
  for (int r = 0; r < rows; ++r) {
    const std::int32_t* row = ones + begin[r];
    const int count = begin[r + 1] - begin[r];
    int f = 0;
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
    for (int j = 0; j < width; ++j) db[j] += d[j];
  }
}

// wt [outputs][pad16(inputs)] from w [inputs][width]; padding is zeroed.
inline void transpose_weights(const float* w, int inputs, int outputs, int width, float* wt) {
  const int padded = pad16(inputs);
  for (int j = 0; j < outputs; ++j) {
    for (int k = 0; k < inputs; ++k) wt[j * padded + k] = w[k * width + j];
    for (int k = inputs; k < padded; ++k) wt[j * padded + k] = 0.0f;
  }
}

// In place over n activations.
inline void activate(Activation kind, float* RM_RESTRICT y, std::int64_t n) {
  if (kind == Activation::kTanh) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = activation_tanh(y[i]);
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
