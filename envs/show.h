// How an environment of a host batch looks: its own picture or text view (envs/canvas.h, envs/text_view.h).
#pragma once

#include <string>

#include "envs/registry.h"

namespace rollmill {

class Canvas;
class TextView;

// Draws environment `env` with its render(), else its text view in the bitmap font, else the planes of its observation
// (envs/show_planes.h). With none of them: Error kUsage.
void draw_environment(const EnvEntry& entry, EnvBatch& batch, int env, Canvas& canvas);

// Its text view, else the planes of its observation in letters, else the observation's first numbers with their names.
std::string text_of_environment(const EnvEntry& entry, EnvBatch& batch, int env);

// A text view as a picture, `scale` pixels a dot.
void draw_text(const TextView& view, Canvas& canvas, int scale = 2);

}  // namespace rollmill
