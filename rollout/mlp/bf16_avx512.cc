#include "rollout/mlp/bf16_avx512.h"

#if defined(__AVX512BF16__)

#include <immintrin.h>

namespace rollmill::bf16_avx512 {
namespace {

constexpr int kLanes = 16, kPanel = 4 * kLanes;
constexpr int kPairs = 64;  // of a chunk: with a panel's columns 16 KiB
constexpr int kRows = 48;   // of a tile, converted at a time
constexpr int kBlock = 6;   // rows of a register block of a whole panel: 24 sums of 32 registers
constexpr int kThinBlock = 2 * kBlock;  // of a panel of one vector

#define RM_UNROLL _Pragma("GCC unroll 16")

int padded(int n) { return (n + kLanes - 1) / kLanes * kLanes; }
int smaller(int a, int b) { return a < b ? a : b; }

// Sixteen words: numbers of `high` above those of `low`.
__m512i interleave(__m512 high, __m512 low) {
  const __m512i order =
      _mm512_set_epi32(0x001F000F, 0x001E000E, 0x001D000D, 0x001C000C, 0x001B000B, 0x001A000A,
                       0x00190009, 0x00180008, 0x00170007, 0x00160006, 0x00150005, 0x00140004,
                       0x00130003, 0x00120002, 0x00110001, 0x00100000);
  return _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
}

// Eight words from sixteen neighbours, the first of a pair above the second.
__m256i neighbours(__m512 x) {
  return _mm256_rol_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)), 16);
}

// to[p][columns] = rows 2p and 2p + 1 of `from`. After an odd number of rows comes one of `missing`: of the two factors that meet
// there one has 0 and the other -0, whose product is the only number that changes no sum, be that 0 or -0.
void pair_rows(const float* from, std::int64_t from_row, int rows, int columns, float missing,
               std::uint32_t* to) {
  for (int r = 0; r < rows; r += 2) {
    const float* first = from + r * from_row;
    for (int j = 0; j < columns; j += kLanes) {
      const __m512 low =
          r + 1 < rows ? _mm512_loadu_ps(first + from_row + j) : _mm512_set1_ps(missing);
      _mm512_storeu_si512(to + r / 2 * columns + j, interleave(_mm512_loadu_ps(first + j), low));
    }
  }
}

__m512 multiply_add(__m512 sum, std::uint32_t x, __m512i w) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(w),
                          reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x))));
}

// sums[r][v] += x[r * x_row + p * x_step] * w[p][v] over p.
template <int kBlockRows, int kVectors>
inline void block(const std::uint32_t* __restrict x, int x_row, int x_step,
                  const std::uint32_t* __restrict w, int pairs,
                  __m512 (&sums)[kBlockRows][kVectors]) {
  for (int p = 0; p < pairs; ++p) {
    __m512i wp[kVectors];
    RM_UNROLL for (int v = 0; v < kVectors; ++v) wp[v] =
        _mm512_loadu_si512(w + (p * kVectors + v) * kLanes);
    RM_UNROLL for (int r = 0; r < kBlockRows; ++r) {
      const std::uint32_t xr = x[r * x_row + p * x_step];
      RM_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(sums[r][v], xr, wp[v]);
    }
  }
}

// One block of y: rows of xs [..][kPairs]. start: y itself, or the bias or 0 in every row.
template <int kBlockRows, int kVectors>
void forward_block(const std::uint32_t* xs, const std::uint32_t* panel, int pairs,
                   const float* bias, bool goes_on, float* y, std::int64_t y_row) {
  __m512 sums[kBlockRows][kVectors];
  RM_UNROLL for (int r = 0; r < kBlockRows; ++r) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v) sums[r][v] =
        goes_on           ? _mm512_loadu_ps(y + r * y_row + v * kLanes)
        : bias != nullptr ? _mm512_loadu_ps(bias + v * kLanes)
                          : _mm512_setzero_ps();
  }
  block<kBlockRows, kVectors>(xs, kPairs, 1, panel, pairs, sums);
  RM_UNROLL for (int r = 0; r < kBlockRows; ++r) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v)
        _mm512_storeu_ps(y + r * y_row + v * kLanes, sums[r][v]);
  }
}

// One block of dw: columns k .. k + kBlockRows of xp [row pairs][kPairs].
template <int kBlockRows, int kVectors>
void weight_block(const std::uint32_t* xp, const std::uint32_t* dyp, int pairs, float* dw,
                  std::int64_t dw_row) {
  __m512 sums[kBlockRows][kVectors];
  RM_UNROLL for (int k = 0; k < kBlockRows; ++k) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v) sums[k][v] =
        _mm512_loadu_ps(dw + k * dw_row + v * kLanes);
  }
  block<kBlockRows, kVectors>(xp, 1, kPairs, dyp, pairs, sums);
  RM_UNROLL for (int k = 0; k < kBlockRows; ++k) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v)
        _mm512_storeu_ps(dw + k * dw_row + v * kLanes, sums[k][v]);
  }
}

// dw[k][j] for kPairs values of k and the first kOutputs of j: lanes are inputs, so that few outputs cost no more than they are.
// dy: its row pairs, `columns` words each.
template <int kOutputs>
void few_outputs_block(const std::uint32_t* xp, const std::uint32_t* dyp, int columns, int pairs,
                       float* dw, std::int64_t dw_row) {
  constexpr int kVectors = kPairs / kLanes;
  alignas(64) float lanes[kOutputs][kPairs];
  for (int k = 0; k < kPairs; ++k) {
    for (int j = 0; j < kOutputs; ++j) lanes[j][k] = dw[k * dw_row + j];
  }
  __m512 sums[kOutputs][kVectors];
  RM_UNROLL for (int j = 0; j < kOutputs; ++j) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v) sums[j][v] = _mm512_load_ps(lanes[j] + v * kLanes);
  }
  for (int p = 0; p < pairs; ++p) {
    __m512i xv[kVectors];
    RM_UNROLL for (int v = 0; v < kVectors; ++v) xv[v] =
        _mm512_loadu_si512(xp + p * kPairs + v * kLanes);
    RM_UNROLL for (int j = 0; j < kOutputs; ++j) {
      RM_UNROLL for (int v = 0; v < kVectors; ++v) sums[j][v] =
          multiply_add(sums[j][v], dyp[p * columns + j], xv[v]);
    }
  }
  RM_UNROLL for (int j = 0; j < kOutputs; ++j) {
    RM_UNROLL for (int v = 0; v < kVectors; ++v) _mm512_store_ps(lanes[j] + v * kLanes, sums[j][v]);
  }
  for (int k = 0; k < kPairs; ++k) {
    for (int j = 0; j < kOutputs; ++j) dw[k * dw_row + j] = lanes[j][k];
  }
}

// to[c][r] = from[r][c], sixteen words each way.
void transpose(const std::uint32_t* from, int from_row, std::uint32_t* to, int to_row) {
  __m512i a[kLanes], b[kLanes];
  RM_UNROLL for (int r = 0; r < kLanes; ++r) a[r] = _mm512_loadu_si512(from + r * from_row);
  // Within each quarter of four columns: rows by twos, by fours; then the quarters.
  RM_UNROLL for (int r = 0; r < kLanes; r += 2) {
    b[r] = _mm512_unpacklo_epi32(a[r], a[r + 1]);
    b[r + 1] = _mm512_unpackhi_epi32(a[r], a[r + 1]);
  }
  RM_UNROLL for (int r = 0; r < kLanes; r += 4) {
    RM_UNROLL for (int h = 0; h < 2; ++h) {
      a[r + 2 * h] = _mm512_unpacklo_epi64(b[r + h], b[r + h + 2]);
      a[r + 2 * h + 1] = _mm512_unpackhi_epi64(b[r + h], b[r + h + 2]);
    }
  }
  RM_UNROLL for (int c = 0; c < 4; ++c) {
    const __m512i low02 = _mm512_shuffle_i32x4(a[c], a[c + 4], 0x88);
    const __m512i low13 = _mm512_shuffle_i32x4(a[c], a[c + 4], 0xDD);
    const __m512i high02 = _mm512_shuffle_i32x4(a[c + 8], a[c + 12], 0x88);
    const __m512i high13 = _mm512_shuffle_i32x4(a[c + 8], a[c + 12], 0xDD);
    _mm512_storeu_si512(to + c * to_row, _mm512_shuffle_i32x4(low02, high02, 0x88));
    _mm512_storeu_si512(to + (c + 4) * to_row, _mm512_shuffle_i32x4(low13, high13, 0x88));
    _mm512_storeu_si512(to + (c + 8) * to_row, _mm512_shuffle_i32x4(low02, high02, 0xDD));
    _mm512_storeu_si512(to + (c + 12) * to_row, _mm512_shuffle_i32x4(low13, high13, 0xDD));
  }
}

// y[r][j] of kBlocks times sixteen rows and the first kOutputs of j, of a panel of sixteen columns: lanes are rows. The rest of
// y's rows are the start, as sums of nothing are.
template <int kOutputs, int kBlocks>
void few_outputs_forward(const std::uint32_t* xs, const std::uint32_t* panel, int pairs,
                         const float* bias, bool goes_on, float* y, std::int64_t y_row) {
  constexpr int kBlockRows = kBlocks * kLanes;
  alignas(64) std::uint32_t columns[kLanes][kBlocks][kLanes];
  alignas(64) float lanes[kOutputs][kBlockRows];
  for (int r = 0; r < kBlockRows; ++r) {
    if (!goes_on)
      _mm512_storeu_ps(y + r * y_row,
                       bias != nullptr ? _mm512_loadu_ps(bias) : _mm512_setzero_ps());
    for (int j = 0; j < kOutputs; ++j) lanes[j][r] = y[r * y_row + j];
  }
  __m512 sums[kOutputs][kBlocks];
  RM_UNROLL for (int j = 0; j < kOutputs; ++j) {
    RM_UNROLL for (int b = 0; b < kBlocks; ++b) sums[j][b] = _mm512_load_ps(lanes[j] + b * kLanes);
  }
  for (int first = 0; first < pairs; first += kLanes) {
    for (int b = 0; b < kBlocks; ++b)
      transpose(xs + b * kLanes * kPairs + first, kPairs, columns[0][b], kBlockRows);
    const int n = smaller(kLanes, pairs - first);
    for (int p = 0; p < n; ++p) {
      RM_UNROLL for (int b = 0; b < kBlocks; ++b) {
        const __m512i xv = _mm512_load_si512(columns[p][b]);
        RM_UNROLL for (int j = 0; j < kOutputs; ++j) sums[j][b] =
            multiply_add(sums[j][b], panel[(first + p) * kLanes + j], xv);
      }
    }
  }
  RM_UNROLL for (int j = 0; j < kOutputs; ++j) {
    RM_UNROLL for (int b = 0; b < kBlocks; ++b) _mm512_store_ps(lanes[j] + b * kLanes, sums[j][b]);
  }
  for (int r = 0; r < kBlockRows; ++r) {
    for (int j = 0; j < kOutputs; ++j) y[r * y_row + j] = lanes[j][r];
  }
}

// call.run<outputs>() if they are few; returns whether it did.
template <class Call>
bool if_few(int outputs, const Call& call) {
  switch (outputs) {
    case 1: call.template run<1>(); return true;
    case 2: call.template run<2>(); return true;
    case 3: call.template run<3>(); return true;
    case 4: call.template run<4>(); return true;
    case 5: call.template run<5>(); return true;
    case 6: call.template run<6>(); return true;
    default: return false;
  }
}

// call(first, rows of the block) in blocks as large as the registers hold, for kVectors of a panel.
template <int kVectors, class Call>
void in_blocks(int n, Call&& call) {
  constexpr int kLargest = kVectors == 1 ? kThinBlock : kBlock;
  int at = 0;
  for (; at + kLargest <= n; at += kLargest) call.template run<kLargest, kVectors>(at);
  if (kLargest > kBlock && at + kBlock <= n) {
    call.template run<kBlock, kVectors>(at);
    at += kBlock;
  }
  switch (n - at) {
    case 5: return call.template run<5, kVectors>(at);
    case 4: return call.template run<4, kVectors>(at);
    case 3: return call.template run<3, kVectors>(at);
    case 2: return call.template run<2, kVectors>(at);
    case 1: return call.template run<1, kVectors>(at);
    default: return;
  }
}

struct Forward {
  const std::uint32_t *xs, *panel;
  int pairs;
  const float* bias;
  bool goes_on;
  float* y;
  std::int64_t y_row;
  template <int kBlockRows, int kVectors>
  void run(int r) const {
    forward_block<kBlockRows, kVectors>(xs + r * kPairs, panel, pairs, bias, goes_on, y + r * y_row,
                                        y_row);
  }
  Forward from(int r) const {
    return {xs + r * kPairs, panel, pairs, bias, goes_on, y + r * y_row, y_row};
  }
};

struct WeightGrad {
  const std::uint32_t *xp, *dyp;
  int pairs;
  float* dw;
  std::int64_t dw_row;
  template <int kBlockRows, int kVectors>
  void run(int k) const {
    weight_block<kBlockRows, kVectors>(xp + k, dyp, pairs, dw + k * dw_row, dw_row);
  }
};

// Rows in blocks of sixteen; what is left stays.
struct FewForward {
  const Forward& call;
  int rows;
  template <int kOutputs>
  void run() const {
    const auto& c = call;
    int r = 0;
    for (; r + 3 * kLanes <= rows; r += 3 * kLanes)
      few_outputs_forward<kOutputs, 3>(c.xs + r * kPairs, c.panel, c.pairs, c.bias, c.goes_on,
                                       c.y + r * c.y_row, c.y_row);
    for (; r + kLanes <= rows; r += kLanes)
      few_outputs_forward<kOutputs, 1>(c.xs + r * kPairs, c.panel, c.pairs, c.bias, c.goes_on,
                                       c.y + r * c.y_row, c.y_row);
  }
};

// Of kPairs inputs.
struct FewWeightGrad {
  const WeightGrad& call;
  template <int kOutputs>
  void run() const {
    few_outputs_block<kOutputs>(call.xp, call.dyp, kLanes, call.pairs, call.dw, call.dw_row);
  }
};

}  // namespace

const bool built = true;

std::int64_t packed_words(int inputs, int width) { return std::int64_t{(inputs + 1) / 2} * width; }

void pack(const float* w, int inputs, int width, std::uint32_t* words) {
  for (int k = 0; k < inputs; k += 2 * kPairs) {
    const int rows = smaller(2 * kPairs, inputs - k);
    for (int f = 0, columns; f < width; f += columns) {
      columns = f + kPanel <= width ? kPanel : kLanes;
      pair_rows(w + std::int64_t{k} * width + f, width, rows, columns, -0.0f, words);
      words += (rows + 1) / 2 * columns;
    }
  }
}

void forward(const float* x, std::int64_t x_row, int inputs, const std::uint32_t* words, int width,
             int outputs, const float* bias, float* y, std::int64_t y_row, int all_rows) {
  alignas(64) std::uint32_t xs[kRows * kPairs];
  const int pairs = (inputs + 1) / 2;
  for (int begin = 0; begin < all_rows; begin += kRows) {
    const int rows = smaller(kRows, all_rows - begin);
    for (int first = 0; first < pairs; first += kPairs) {
      const int n = smaller(kPairs, pairs - first);
      for (int r = 0; r < rows; ++r) {
        const float* from = x + (begin + r) * x_row + 2 * first;
        for (int p = 0; p < n; p += kLanes / 2)
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(xs + r * kPairs + p),
                              neighbours(_mm512_loadu_ps(from + 2 * p)));
        if (first + n == pairs && inputs % 2 != 0) xs[r * kPairs + n - 1] &= 0xFFFF0000u;
      }
      const std::uint32_t* panel = words + std::int64_t{first} * width;
      for (int f = 0, columns; f < width; f += columns, panel += n * columns) {
        columns = f + kPanel <= width ? kPanel : kLanes;
        const Forward call{
            xs,   panel, n, bias == nullptr ? nullptr : bias + f, first > 0, y + begin * y_row + f,
            y_row};
        if (columns == kPanel) {
          in_blocks<kPanel / kLanes>(rows, call);
        } else if (width == kLanes && if_few(outputs, FewForward{call, rows})) {
          in_blocks<1>(rows % kLanes, call.from(rows / kLanes * kLanes));
        } else {
          in_blocks<1>(rows, call);
        }
      }
    }
  }
}

void weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                 std::int64_t dy_row, int width, int all_rows, int outputs, float* dw) {
  alignas(64) std::uint32_t xp[kRows / 2 * kPairs], dyp[kRows / 2 * kPanel];
  for (int begin = 0; begin < all_rows; begin += kRows) {
    const int rows = smaller(kRows, all_rows - begin), pairs = (rows + 1) / 2;
    for (int f = 0, columns; f < width; f += columns) {
      columns = f + kPanel <= width ? kPanel : kLanes;
      pair_rows(dy + begin * dy_row + f, dy_row, rows, columns, -0.0f, dyp);
      for (int k = 0; k < inputs; k += kPairs) {
        const int n = smaller(kPairs, inputs - k);
        // (The rows of xp are kPairs apart, however few of its columns are used.)
        for (int r = 0; r < rows; r += 2)
          pair_rows(x + (begin + r) * x_row + k, x_row, smaller(2, rows - r), padded(n), 0.0f,
                    xp + r / 2 * kPairs);
        const WeightGrad call{xp, dyp, pairs, dw + std::int64_t{k} * width + f, width};
        if (n == kPairs && width == kLanes && if_few(outputs, FewWeightGrad{call})) continue;
        if (columns == kPanel) {
          in_blocks<kPanel / kLanes>(n, call);
        } else {
          in_blocks<1>(n, call);
        }
      }
    }
  }
}

}  // namespace rollmill::bf16_avx512

#else

namespace rollmill::bf16_avx512 {

const bool built = false;
std::int64_t packed_words(int, int) { return 0; }
void pack(const float*, int, int, std::uint32_t*) {}
void forward(const float*, std::int64_t, int, const std::uint32_t*, int, int, const float*, float*,
             std::int64_t, int) {}
void weight_grad(const float*, std::int64_t, int, const float*, std::int64_t, int, int, int,
                 float*) {}

}  // namespace rollmill::bf16_avx512

#endif
