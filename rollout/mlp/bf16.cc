#include "rollout/mlp/bf16.h"

#include <atomic>

#include "rollout/mlp/bf16_avx512.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace rollmill {
namespace {

std::atomic<bool> allowed{true};

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

// Rows of `columns` numbers, rounded, one after the other; the thread's own room.
const float* rounded_rows(const float* x, std::int64_t x_row, int columns, int rows,
                          AlignedVector<float>& room) {
  const std::size_t size = static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
  if (room.size() < size) room.resize(size);
  float* to = room.data();
  for (int r = 0; r < rows; ++r, to += columns) {
    for (int k = 0; k < columns; ++k) to[k] = round_bf16(x[r * x_row + k]);
  }
  return room.data();
}

AlignedVector<float>& room(int which) {
  thread_local AlignedVector<float> rooms[2];
  return rooms[which];
}

}  // namespace

bool bf16_hardware() {
  static const bool available = bf16_avx512::available();
  return available && allowed.load(std::memory_order_relaxed);
}
void allow_bf16_hardware(bool value) { allowed.store(value, std::memory_order_relaxed); }

Bf16Matrix::Bf16Matrix(int inputs, int outputs, int width)
    : inputs_(inputs), outputs_(outputs), width_(width), hardware_(bf16_hardware()) {}

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
                         std::int64_t y_row, int rows) const {
  if (hardware_) {
    bf16_avx512::forward(x, x_row, inputs_, pairs_.data(), width_, outputs_, bias, y, y_row, rows);
    return;
  }
  const float* rounded = rounded_rows(x, x_row, inputs_, rows, room(0));
  const FlushTiny flush;
  dense_forward(rounded, inputs_, inputs_, rounded_.data(), bias, width_, y, y_row, rows, outputs_);
}

void bf16_weight_grad(const float* x, std::int64_t x_row, int inputs, const float* dy,
                      std::int64_t dy_row, int width, int rows, float* dw, float* db, int outputs) {
  if (bf16_hardware()) {
    bf16_avx512::weight_grad(x, x_row, inputs, dy, dy_row, width, rows, outputs, dw);
  } else {
    const float* rounded = rounded_rows(x, x_row, inputs, rows, room(0));
    const float* drounded = rounded_rows(dy, dy_row, width, rows, room(1));
    const FlushTiny flush;
    dense_weight_product(rounded, inputs, inputs, drounded, width, width, rows, dw, outputs);
  }
  internal::bias_grad(dy, dy_row, width, rows, db);
}

}  // namespace rollmill
