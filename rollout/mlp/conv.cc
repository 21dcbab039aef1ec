#include "rollout/mlp/conv.h"

#include <algorithm>
#include <cstring>

#include "rollout/mlp/dense.h"

namespace rollmill {
namespace {

// patches [positions][patch] of one image.
void gather_patches(const ConvLayer& c, const float* x, float* patches) {
  for (int oy = 0; oy < c.height; ++oy) {
    for (int ox = 0; ox < c.width; ++ox) {
      float* to = patches + static_cast<std::int64_t>(oy * c.width + ox) * c.patch();
      const int y = oy * c.stride, left = ox * c.stride;
      const auto run = [&](const float* from, int n) {
        std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
        to += n;
      };
      if (c.planes) {
        for (int k = 0; k < c.channels_in; ++k) {
          for (int ky = 0; ky < c.kernel; ++ky)
            run(x + (k * c.height_in + y + ky) * c.width_in + left, c.kernel);
        }
      } else {
        for (int ky = 0; ky < c.kernel; ++ky) {
          run(x + ((y + ky) * c.width_in + left) * c.channels_in, c.kernel * c.channels_in);
        }
      }
    }
  }
}

// Calls visit(patch element, position) for every position that sees input number `index` of the planes.
template <class Visit>
void visit_positions(const ConvLayer& c, int index, Visit&& visit) {
  const int x = index % c.width_in, rest = index / c.width_in;
  const int y = rest % c.height_in, channel = rest / c.height_in;
  for (int ky = 0; ky < c.kernel; ++ky) {
    const int oy = (y - ky) / c.stride;
    if (y < ky || oy * c.stride != y - ky || oy >= c.height) continue;
    for (int kx = 0; kx < c.kernel; ++kx) {
      const int ox = (x - kx) / c.stride;
      if (x < kx || ox * c.stride != x - kx || ox >= c.width) continue;
      visit((channel * c.kernel + ky) * c.kernel + kx, oy * c.width + ox);
    }
  }
}

// to[0 .. n) += from[0 .. n), by fused multiply-adds as everywhere.
void add16(const float* from, int n, float* to) {
  const F16 one = broadcast16(1.0f);
  for (int j = 0; j < n; j += 16) store16(to + j, fma16(one, load16(from + j), load16(to + j)));
}

}  // namespace

void ConvScratch::reserve(const ConvLayer& layer) {
  // Gradients of patches have rows padded to 16.
  const auto size = static_cast<std::size_t>(layer.positions()) *
                    static_cast<std::size_t>(pad16(layer.patch()));
  if (patches.size() < size) patches.resize(size), gradients.resize(size);
}

void conv_forward(const ConvLayer& c, const float* params, const float* x, int rows,
                  ConvScratch& scratch, float* y) {
  scratch.reserve(c);
  for (int r = 0; r < rows; ++r) {
    gather_patches(c, x + static_cast<std::int64_t>(r) * c.inputs(), scratch.patches.data());
    dense_forward(scratch.patches.data(), c.patch(), c.patch(), params + c.weight, params + c.bias,
                  c.channels, y + static_cast<std::int64_t>(r) * c.outputs(), c.channels,
                  c.positions());
  }
}

void conv_forward(const ConvLayer& c, const float* params, const TileInput& input, int rows,
                  ConvScratch& scratch, float* y) {
  if (!input.sparse()) return conv_forward(c, params, input.dense(), rows, scratch, y);
  for (int r = 0; r < rows; ++r) {
    float* out = y + static_cast<std::int64_t>(r) * c.outputs();
    for (int p = 0; p < c.positions(); ++p)
      std::copy_n(params + c.bias, c.channels, out + p * c.channels);
    for (std::int32_t n = input.begin()[r]; n < input.begin()[r + 1]; ++n) {
      visit_positions(c, input.ones()[n], [&](int element, int position) {
        add16(params + c.weight + static_cast<std::int64_t>(element) * c.channels, c.channels,
              out + position * c.channels);
      });
    }
  }
}

void conv_weight_grad(const ConvLayer& c, const float* x, const float* dy, int rows,
                      ConvScratch& scratch, float* gradient) {
  scratch.reserve(c);
  for (int r = 0; r < rows; ++r) {
    gather_patches(c, x + static_cast<std::int64_t>(r) * c.inputs(), scratch.patches.data());
    dense_weight_grad(scratch.patches.data(), c.patch(), c.patch(),
                      dy + static_cast<std::int64_t>(r) * c.outputs(), c.channels, c.channels,
                      c.positions(), gradient + c.weight, gradient + c.bias);
  }
}

void conv_weight_grad(const ConvLayer& c, const TileInput& input, const float* dy, int rows,
                      ConvScratch& scratch, float* gradient) {
  if (!input.sparse()) return conv_weight_grad(c, input.dense(), dy, rows, scratch, gradient);
  for (int r = 0; r < rows; ++r) {
    const float* d = dy + static_cast<std::int64_t>(r) * c.outputs();
    for (int p = 0; p < c.positions(); ++p)
      add16(d + p * c.channels, c.channels, gradient + c.bias);
    for (std::int32_t n = input.begin()[r]; n < input.begin()[r + 1]; ++n) {
      visit_positions(c, input.ones()[n], [&](int element, int position) {
        add16(d + position * c.channels, c.channels,
              gradient + c.weight + static_cast<std::int64_t>(element) * c.channels);
      });
    }
  }
}

void conv_input_grad(const ConvLayer& c, const float* transposed, const float* dy, int rows,
                     ConvScratch& scratch, float* dx) {
  scratch.reserve(c);
  const int width = pad16(c.patch()), run = c.kernel * c.channels_in;
  std::fill_n(dx, static_cast<std::int64_t>(rows) * c.inputs(), 0.0f);
  for (int r = 0; r < rows; ++r) {
    dense_input_grad(dy + static_cast<std::int64_t>(r) * c.outputs(), c.channels, c.channels,
                     transposed, width, scratch.gradients.data(), width, c.positions());
    float* image = dx + static_cast<std::int64_t>(r) * c.inputs();
    for (int p = 0; p < c.positions(); ++p) {
      const float* from = scratch.gradients.data() + static_cast<std::int64_t>(p) * width;
      const int y = p / c.width * c.stride, left = p % c.width * c.stride;
      for (int ky = 0; ky < c.kernel; ++ky, from += run)
        add16(from, run, image + ((y + ky) * c.width_in + left) * c.channels_in);
    }
  }
}

}  // namespace rollmill
