#include "rollout/mlp/memory.h"

#include "rollout/mlp/dense.h"
#include "rollout/mlp/elementwise.h"

namespace rollmill {
namespace {

void gru_rows(const MemoryLayer& m, int rows, const MemoryTile& t) {
  const int w = m.width;
  for (int row = 0; row < rows; ++row) {
    float* RM_RESTRICT r = t.gates + row * 3 * w;
    float* RM_RESTRICT z = r + w;
    float* RM_RESTRICT n = z + w;
    const float* RM_RESTRICT u = t.recurrent + row * 3 * w;
    const float* RM_RESTRICT h = t.before + row * w;
    float* RM_RESTRICT next = t.after + row * w;
#pragma GCC ivdep
    for (int j = 0; j < w; ++j)
      next[j] = gru_next(r[j], z[j], n[j], u[j], u[w + j], u[2 * w + j], h[j]);
  }
}

void min_gru_rows(const MemoryLayer& m, int rows, const MemoryTile& t) {
  const int w = m.width;
  for (int row = 0; row < rows; ++row) {
    float* RM_RESTRICT z = t.gates + row * 2 * w;
    const float* RM_RESTRICT n = z + w;
    const float* RM_RESTRICT h = t.before + row * w;
    float* RM_RESTRICT next = t.after + row * w;
#pragma GCC ivdep
    for (int j = 0; j < w; ++j) next[j] = min_gru_next(z[j], n[j], h[j]);
  }
}

}  // namespace

void memory_forward(const MemoryLayer& m, const float* params, const float* x, std::int64_t x_row,
                    int rows, const MemoryTile& t) {
  const int width = m.gates() * m.width;
  dense_forward(x, x_row, m.inputs, params + m.input_weight, params + m.input_bias, width, t.gates,
                width, rows);
  if (m.kind == MemoryKind::kMinGru) return min_gru_rows(m, rows, t);
  dense_forward(t.before, m.width, m.size, params + m.recurrent_weight, params + m.recurrent_bias,
                width, t.recurrent, width, rows);
  gru_rows(m, rows, t);
}

}  // namespace rollmill
