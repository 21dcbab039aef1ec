// The optional views of an environment's state for people and for token policies:
//   static void render(const State&, const Params&, Canvas&);    // chooses the picture's size by canvas.resize(w, h)
//   static void text(const State&, const Params&, TextView&);
// Host only, found by their signatures.
#pragma once

#include <cstdint>
#include <vector>

#include "envs/describe.h"
#include "envs/registry.h"

namespace rollmill {

template <class Env>
concept HasRender = requires(const typename Env::State& s, const typename Env::Params& p,
                             Canvas& c) {
  Env::render(s, p, c);
};
template <class Env>
concept HasText = requires(const typename Env::State& s, const typename Env::Params& p,
                           TextView& t) {
  Env::text(s, p, t);
};

template <class Env>
RenderFunction render_of() {
  if constexpr (HasRender<Env>) {
    return [](const std::vector<double>& params, const std::uint32_t* state_words, Canvas& canvas) {
      Env::render(load_columns<typename Env::State>(state_words, 1, 0), make_params<Env>(params),
                  canvas);
    };
  } else {
    return nullptr;
  }
}

template <class Env>
TextFunction text_of() {
  if constexpr (HasText<Env>) {
    return [](const std::vector<double>& params, const std::uint32_t* state_words, TextView& view) {
      Env::text(load_columns<typename Env::State>(state_words, 1, 0), make_params<Env>(params),
                view);
    };
  } else {
    return nullptr;
  }
}

}  // namespace rollmill
