#include "rollout/mlp/bf16.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "rollout/mlp/bf16_avx512.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace rollmill {
namespace {

std::atomic<Bf16Instruction> choice{Bf16Instruction::kWhereFaster};

// bf16_rows, whatever the processor has.
const float* rounded_rows(const float* x, std::int64_t x_row, int columns, int rows,
                          AlignedVector<float>& room) {
  const auto size = static_cast<std::size_t>(x_row * rows);
  if (room.size() < size) room.resize(size);
  for (int r = 0; r < rows; ++r) {
    const float* RM_RESTRICT from = x + r * x_row;
    float* RM_RESTRICT to = room.data() + r * x_row;
    for (int k = 0; k < columns; ++k) to[k] = round_bf16(from[k]);
  }
  return room.data();
}

// While it lives, this thread's float32 arithmetic takes numbers below the smallest normal one for 0, as the instruction does.
class FlushTiny {
 public:
#if defined(__SSE2__)
  FlushTiny() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }  // results, operands
  ~FlushTiny() { _mm_setcsr(before_); }
  FlushTiny(const FlushTiny&) = delete;
  FlushTiny& operator=(const FlushTiny&) = delete;

 private:
  unsigned before_;
#else
  FlushTiny() {}  // elsewhere such sums keep their bits
#endif
};

// The thread's room for rounded inputs and for rounded gradients.
AlignedVector<float>& input_room() {
  thread_local AlignedVector<float> room;
  return room;
}
AlignedVector<float>& gradient_room() {
  thread_local AlignedVector<float> room;
  return room;
}

bool processor_has_it() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

// Sums in which an implementation could differ: which product comes first, one rounding or several, numbers below the smallest
// normal one going in, in between and coming out. A processor that answers otherwise is not used.
bool instruction_is_as_defined() {
  constexpr int kPairs = 8, kInputs = 2 * kPairs, kWidth = 16;
  const float x[kInputs] = {1.0f,     0x1.fep0f, 0x1p-63f, -0x1p-64f, 0x1p-64f,  0x1.02p-63f,
                            -0x1p3f,  0x1.7ep0f, 0x1p-40f, 0x1p-90f,  0x1p-127f, 1.0f,
                            0x1p100f, 0x1p-10f,  3.0f,     -0x1p-62f};
  AlignedVector<float> w(kInputs * kWidth), bias(kWidth), row(x, x + kInputs);
  for (int k = 0; k < kInputs; ++k) {
    for (int j = 0; j < kWidth; ++j) {
      const float size = j % 4 == 0   ? 1.0f
                         : j % 4 == 1 ? 0x1p-63f
                         : j % 4 == 2 ? 0x1.aap-62f
                                      : 0x1p24f;
      w[static_cast<std::size_t>(k * kWidth + j)] = (k + j) % 3 == 0 ? -size : size;
    }
  }
  for (int j = 0; j < kWidth; ++j)
    bias[static_cast<std::size_t>(j)] = j % 5 == 0   ? 0x1p-126f
                                        : j % 5 == 1 ? -0x1p-127f
                                                     : 0x1.8p-20f;
  std::vector<std::uint32_t> words(
      static_cast<std::size_t>(bf16_avx512::packed_words(kInputs, kWidth)));
  // One pair and more: a wrong order of two products shows in the first.
  for (int inputs = 1; inputs <= kInputs; ++inputs) {
    AlignedVector<float> theirs(kWidth), ours(kWidth), rounded(w.size());
    bf16_avx512::pack(w.data(), inputs, kWidth, words.data());
    bf16_avx512::forward(row.data(), kInputs, inputs, words.data(), kWidth, kWidth, bias.data(),
                         theirs.data(), kWidth, 1);
    for (std::size_t i = 0; i < w.size(); ++i) rounded[i] = round_bf16(w[i]);
    const float* x_rounded = rounded_rows(row.data(), kInputs, inputs, 1, input_room());
    const FlushTiny flush;
    dense_forward(x_rounded, kInputs, inputs, rounded.data(), bias.data(), kWidth, ours.data(),
                  kWidth, 1);
    if (std::memcmp(theirs.data(), ours.data(), kWidth * sizeof(float)) != 0) return false;
  }
  return true;
}

// On Intel's cores up to Sapphire Rapids at least, one takes longer than the two multiply-adds that it stands for. (Either way has the
// same bits, so that what a clock says decides nothing else.)
bool instruction_is_faster() {
  constexpr int kRows = 32, kWidth = 64, kTurns = 8, kRounds = 8;
  using Clock = std::chrono::steady_clock;
  const AlignedVector<float> x(kRows * kWidth, 0.5f), w(kWidth * kWidth, 0.25f), bias(kWidth);
  AlignedVector<float> y(kRows * kWidth);
  std::vector<std::uint32_t> words(
      static_cast<std::size_t>(bf16_avx512::packed_words(kWidth, kWidth)));
  bf16_avx512::pack(w.data(), kWidth, kWidth, words.data());
  const auto time = [](auto&& product) {
    const auto begin = Clock::now();
    for (int turn = 0; turn < kTurns; ++turn) product();
    return Clock::now() - begin;
  };
  auto with = Clock::duration::max(), without = with;
  for (int round = 0; round < kRounds; ++round) {
    with = std::min(with, time([&] {
                      bf16_avx512::forward(x.data(), kWidth, kWidth, words.data(), kWidth, kWidth,
                                           bias.data(), y.data(), kWidth, kRows);
                    }));
    without = std::min(without, time([&] {
                         const float* rounded =
                             rounded_rows(x.data(), kWidth, kWidth, kRows, input_room());
                         dense_forward(rounded, kWidth, kWidth, w.data(), bias.data(), kWidth,
                                       y.data(), kWidth, kRows);
                       }));
  }
  return with < without;
}

}  // namespace

bool bf16_hardware() {
  static const bool available =
      bf16_avx512::built && processor_has_it() && instruction_is_as_defined();
  static const bool faster = available && instruction_is_faster();
  const Bf16Instruction chosen = choice.load(std::memory_order_relaxed);
  return chosen == Bf16Instruction::kWhereFaster ? faster
                                                 : available && chosen == Bf16Instruction::kAlways;
}
void choose_bf16_instruction(Bf16Instruction value) {
  choice.store(value, std::memory_order_relaxed);
}

const float* bf16_rows(const float* x, std::int64_t x_row, int columns, int rows,
                       AlignedVector<float>& room) {
  return bf16_hardware() ? nullptr : rounded_rows(x, x_row, columns, rows, room);
}

Bf16Matrix::Bf16Matrix(int inputs, int outputs, int width)
    : inputs_(inputs), outputs_(outputs), width_(width) {}

void Bf16Matrix::pack(const float* w) {
  hardware_ = bf16_hardware();
  const std::int64_t size = std::int64_t{inputs_} * width_;
  if (hardware_) {
    pairs_.resize(static_cast<std::size_t>(bf16_avx512::packed_words(inputs_, width_)));
    bf16_avx512::pack(w, inputs_, width_, pairs_.data());
  } else {
    rounded_.resize(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i)
      rounded_[static_cast<std::size_t>(i)] = round_bf16(w[i]);
  }
}

void Bf16Matrix::forward(const float* x, std::int64_t x_row, const float* bias, float* y,
                         std::int64_t y_row, int rows, const float* rounded) const {
  if (hardware_) {
    bf16_avx512::forward(x, x_row, inputs_, pairs_.data(), width_, outputs_, bias, y, y_row, rows);
    return;
  }
  if (rounded == nullptr) rounded = rounded_rows(x, x_row, inputs_, rows, input_room());
  const FlushTiny flush;
  dense_forward(rounded, x_row, inputs_, rounded_.data(), bias, width_, y, y_row, rows, outputs_);
}

void bf16_weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                      std::int64_t dy_row, int width, int rows, float* dw, float* db, int outputs,
                      const float* x_rounded, const float* dy_rounded) {
  if (bf16_hardware()) {
    bf16_avx512::weight_grad(x, x_row, inputs, dy, dy_row, width, rows, outputs, dw);
  } else {
    if (x_rounded == nullptr) x_rounded = rounded_rows(x, x_row, inputs, rows, input_room());
    if (dy_rounded == nullptr) dy_rounded = rounded_rows(dy, dy_row, width, rows, gradient_room());
    const FlushTiny flush;
    dense_weight_product(x_rounded, x_row, inputs, dy_rounded, dy_row, width, rows, dw, outputs);
  }
  internal::bias_grad(dy, dy_row, width, rows, db);
}

}  // namespace rollmill
