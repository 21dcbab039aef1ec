#include "trainer/fused/memory_backward.h"

#include "rollout/mlp/dense.h"
#include "trainer/fused/memory_elements.h"

namespace rollmill {
namespace {

void min_gru_backward(const MemoryLayer& m, const MemoryTile& t, int rows, float* dh,
                      float* dgates) {
  const int w = m.width;
  for (int row = 0; row < rows; ++row) {
    const float* RM_RESTRICT z = t.gates + row * 2 * w;
    const float* RM_RESTRICT n = z + w;
    const float* RM_RESTRICT h = t.before + row * w;
    float* RM_RESTRICT d = dh + row * w;
    float* RM_RESTRICT dz = dgates + row * 2 * w;
    float* RM_RESTRICT dn = dz + w;
#pragma GCC ivdep
    for (int j = 0; j < w; ++j) {
      const MinGruSlopes by = min_gru_slopes(z[j], n[j], h[j], d[j]);
      dz[j] = by.z;
      dn[j] = by.n;
      d[j] = by.h;
    }
  }
}

// du: d loss / d (h U + c); dh: the part of d loss / d h that does not go through U.
void gru_backward(const MemoryLayer& m, const MemoryTile& t, int rows, float* dh, float* dgates,
                  float* du) {
  const int w = m.width;
  for (int row = 0; row < rows; ++row) {
    const float* RM_RESTRICT r = t.gates + row * 3 * w;
    const float* RM_RESTRICT z = r + w;
    const float* RM_RESTRICT n = z + w;
    const float* RM_RESTRICT u = t.recurrent + row * 3 * w + 2 * w;
    const float* RM_RESTRICT h = t.before + row * w;
    float* RM_RESTRICT d = dh + row * w;
    float* RM_RESTRICT dg = dgates + row * 3 * w;
    float* RM_RESTRICT dr = du + row * 3 * w;
#pragma GCC ivdep
    for (int j = 0; j < w; ++j) {
      const GruSlopes by = gru_slopes(r[j], z[j], n[j], u[j], h[j], d[j]);
      dg[j] = dr[j] = by.r;
      dg[w + j] = dr[w + j] = by.z;
      dg[2 * w + j] = by.n;
      dr[2 * w + j] = by.un;
      d[j] = by.h;
    }
  }
}

}  // namespace

void memory_backward(const MemoryLayer& m, const MemoryTile& t, const float* recurrent_t, int rows,
                     float* dh, float* dgates, float* scratch, float* gradient) {
  if (m.kind == MemoryKind::kMinGru) return min_gru_backward(m, t, rows, dh, dgates);
  gru_backward(m, t, rows, dh, dgates, scratch);
  const int width = m.gates() * m.width;
  dense_weight_grad(t.before, m.width, m.size, scratch, width, width, rows,
                    gradient + m.recurrent_weight, gradient + m.recurrent_bias);
  float* through = scratch + static_cast<std::int64_t>(rows) * width;
  dense_input_grad(scratch, width, width, recurrent_t, m.width, through, m.width, rows);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows) * m.width; ++i) dh[i] += through[i];
}

}  // namespace rollmill
