#include "envs/show_planes.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/base/assert.h"
#include "envs/canvas.h"
#include "envs/text_view.h"

namespace rollmill {
namespace {

struct Observed {
  const EnvSpec& spec;
  ObservationWords words;
  int count, rows, cols;

  Observed(const EnvSpec& s, const ObservationWords& o)
      : spec(s),
        words(o),
        count(s.observed.shape[0]),
        rows(s.observed.shape[1]),
        cols(s.observed.shape[2]) {}

  std::uint32_t part(int index, int bits) const {
    const int per_word = 32 / bits;
    const std::uint32_t word = words.words[index / per_word * words.stride];
    return word >> (index % per_word * bits) & ((1u << bits) - 1);
  }
  // 0 or 1 of a plane of bits, 0 to 255 of one of pixels.
  int at(int plane, int row, int col) const {
    const bool pixels = spec.observed.kind == ObservationKind::kPixels;
    return static_cast<int>(part((plane * rows + row) * cols + col, pixels ? 8 : 1));
  }
  const std::string& name(int plane) const {
    return spec.observation[static_cast<std::size_t>(plane)].name;
  }
};

// Eight colours, then the same ones as discs, then as diamonds. Planes that share a cell lie in one another.
void draw_mark(Canvas& canvas, Rect cell, int plane, int below) {
  const Color color = palette::kKinds[plane % palette::kCount];
  const Rect inner = cell.inset(below * std::max(1, cell.w / 8));
  switch (plane / palette::kCount % 3) {
    case 0: canvas.fill({inner.x + 1, inner.y + 1, inner.w - 1, inner.h - 1}, color); break;
    case 1: canvas.disc(inner, color); break;
    default: canvas.diamond(inner, color);
  }
}

void draw_bits(const Observed& p, Canvas& canvas) {
  const int cell = std::clamp(240 / std::max(p.rows, p.cols), 8, 24);
  const Grid grid = canvas.resize_grid(p.rows, p.cols, cell, p.count + 1);
  for (int row = 0; row < p.rows; ++row) {
    for (int col = 0; col < p.cols; ++col) {
      int below = 0;
      for (int plane = 0; plane < p.count; ++plane) {
        if (p.at(plane, row, col) != 0) draw_mark(canvas, grid.cell(row, col), plane, below++);
      }
    }
  }
  for (int plane = 0; plane < p.count; ++plane) {
    const int y = grid.y + grid.area().h + 6 + plane * 10;
    draw_mark(canvas, {grid.x, y - 1, 9, 9}, plane, 0);
    canvas.text(grid.x + 14, y, p.name(plane));
  }
}

void draw_pixels(const Observed& p, Canvas& canvas) {
  const bool color = p.count == 3;
  const int panels = color ? 1 : p.count;
  const int size = std::clamp(240 / std::max(p.rows, p.cols), 1, 16);
  canvas.resize(panels * (p.cols * size + 4) + 4, p.rows * size + 8);
  for (int panel = 0; panel < panels; ++panel) {
    for (int row = 0; row < p.rows; ++row) {
      for (int col = 0; col < p.cols; ++col) {
        std::array<std::uint8_t, 3> v{};
        for (int k = 0; k < 3; ++k) {
          v[static_cast<std::size_t>(k)] =
              static_cast<std::uint8_t>(p.at(color ? k : panel, row, col));
        }
        canvas.fill({4 + panel * (p.cols * size + 4) + col * size, 4 + row * size, size, size},
                    {v[0], v[1], v[2]});
      }
    }
  }
}

char letter(int plane) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return kLetters[static_cast<std::size_t>(plane) % kLetters.size()];
}

}  // namespace

bool has_planes(const EnvSpec& spec) {
  return spec.observed.kind == ObservationKind::kBits ||
         spec.observed.kind == ObservationKind::kPixels;
}

void draw_planes(const EnvSpec& spec, const ObservationWords& observation, Canvas& canvas) {
  RM_ASSERT(has_planes(spec));
  const Observed planes(spec, observation);
  if (spec.observed.kind == ObservationKind::kBits) {
    draw_bits(planes, canvas);
  } else {
    draw_pixels(planes, canvas);
  }
}

void write_planes(const EnvSpec& spec, const ObservationWords& observation, TextView& view) {
  RM_ASSERT(has_planes(spec));
  const Observed p(spec, observation);
  const bool bits = spec.observed.kind == ObservationKind::kBits;
  view.resize(p.rows, p.cols, '.');
  for (int row = 0; row < p.rows; ++row) {
    for (int col = 0; col < p.cols; ++col) {
      if (!bits) view.put(col, row, " .:-=+*#%@"[p.at(0, row, col) * 10 / 256]);
      for (int plane = p.count - 1; bits && plane >= 0; --plane) {
        if (p.at(plane, row, col) != 0) view.put(col, row, letter(plane));
      }
    }
  }
  for (int plane = 0; bits && plane < p.count; ++plane) {
    view.line(std::string(1, letter(plane)) + ' ' + p.name(plane));
  }
}

}  // namespace rollmill
