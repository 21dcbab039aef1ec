#include "rollout/mlp/conv.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <type_traits>

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

// For every one of row r and every position that sees it: the channels at place kTo of `to` += those at place kFrom of `from`.
template <std::int32_t ConvSights::Sight::*kFrom, std::int32_t ConvSights::Sight::*kTo>
void add_seen(const ConvSights& seen, const TileInput& input, int r, const float* from, float* to) {
  const auto add = [&](auto known) {
    const int n = known.value > 0 ? known.value : seen.layer.channels;
    for (std::int32_t one = input.begin()[r]; one < input.begin()[r + 1]; ++one) {
      const std::int32_t* first = seen.first.data() + input.ones()[one];
      for (std::int32_t k = first[0]; k < first[1]; ++k) {
        const ConvSights::Sight sight = seen.sights[static_cast<std::size_t>(k)];
        add_numbers(from + sight.*kFrom * n, n, to + sight.*kTo * n);
      }
    }
  };
  if (seen.layer.channels == 16) return add(std::integral_constant<int, 16>{});
  add(std::integral_constant<int, 0>{});
}

}  // namespace

void ConvScratch::reserve(const ConvLayer& layer) {
  // Gradients of patches have rows padded to 16.
  const auto size =
      static_cast<std::size_t>(layer.positions()) * static_cast<std::size_t>(pad16(layer.patch()));
  if (patches.size() < size) patches.resize(size), gradients.resize(size);
}

ConvSights::ConvSights(const ConvLayer& c) : layer(c), first(1, 0) {
  for (int index = 0; index < c.inputs(); ++index) {
    const int x = index % c.width_in, rest = index / c.width_in;
    const int y = rest % c.height_in, channel = rest / c.height_in;
    for (int ky = 0; ky < c.kernel; ++ky) {
      const int oy = (y - ky) / c.stride;
      if (y < ky || oy * c.stride != y - ky || oy >= c.height) continue;
      for (int kx = 0; kx < c.kernel; ++kx) {
        const int ox = (x - kx) / c.stride;
        if (x < kx || ox * c.stride != x - kx || ox >= c.width) continue;
        sights.push_back({(channel * c.kernel + ky) * c.kernel + kx, oy * c.width + ox});
      }
    }
    first.push_back(static_cast<std::int32_t>(sights.size()));
  }
}

bool ConvSights::of(const ConvLayer& c) const {
  const auto same = [&](int ConvLayer::*size) { return c.*size == layer.*size; };
  return same(&ConvLayer::channels_in) && same(&ConvLayer::height_in) &&
         same(&ConvLayer::width_in) && same(&ConvLayer::channels) && same(&ConvLayer::kernel) &&
         same(&ConvLayer::stride);
}

const ConvSights& ConvScratch::sights(const ConvLayer& layer) {
  if (!sights_ || !sights_->of(layer)) sights_ = ConvSights::shared(layer);
  return *sights_;
}

// Made once for all threads: the divisions cost more than the sums that they are for.
std::shared_ptr<const ConvSights> ConvSights::shared(const ConvLayer& layer) {
  static std::mutex mutex;
  static std::vector<std::weak_ptr<const ConvSights>> made;
  const std::lock_guard lock(mutex);
  std::erase_if(made, [](const auto& one) { return one.expired(); });
  for (const auto& one : made) {
    auto known = one.lock();
    if (known && known->of(layer)) return known;
  }
  auto sights = std::make_shared<const ConvSights>(layer);
  made.push_back(sights);
  return sights;
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
  const ConvSights& seen = scratch.sights(c);
  for (int r = 0; r < rows; ++r) {
    float* out = y + static_cast<std::int64_t>(r) * c.outputs();
    for (int p = 0; p < c.positions(); ++p) {
      for (int j = 0; j < c.channels; j += 16)
        store16(out + p * c.channels + j, load16(params + c.bias + j));
    }
    add_seen<&ConvSights::Sight::patch, &ConvSights::Sight::position>(seen, input, r,
                                                                      params + c.weight, out);
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
  const ConvSights& seen = scratch.sights(c);
  for (int r = 0; r < rows; ++r) {
    const float* d = dy + static_cast<std::int64_t>(r) * c.outputs();
    internal::bias_grad(d, c.channels, c.channels, c.positions(), gradient + c.bias);
    add_seen<&ConvSights::Sight::position, &ConvSights::Sight::patch>(seen, input, r, d,
                                                                      gradient + c.weight);
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
        add_numbers(from, run, image + ((y + ky) * c.width_in + left) * c.channels_in);
    }
  }
}

}  // namespace rollmill
