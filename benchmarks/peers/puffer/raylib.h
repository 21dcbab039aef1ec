// The few names of raylib that PufferLib's cartpole.h mentions in its drawing code, which is never called here.
#pragma once

typedef struct Color {
  unsigned char r, g, b, a;
} Color;
typedef struct Vector2 {
  float x, y;
} Vector2;

enum { KEY_ESCAPE, KEY_TAB };

static inline void InitWindow(int width, int height, const char* title) {
  (void)width, (void)height, (void)title;
}
static inline void CloseWindow(void) {}
static inline void SetTargetFPS(int fps) { (void)fps; }
static inline bool IsKeyDown(int key) { return key < 0; }
static inline bool IsKeyPressed(int key) { return key < 0; }
static inline void ToggleFullscreen(void) {}
static inline void BeginDrawing(void) {}
static inline void EndDrawing(void) {}
static inline void ClearBackground(Color color) { (void)color; }
static inline void DrawLine(int x0, int y0, int x1, int y1, Color color) {
  (void)x0, (void)y0, (void)x1, (void)y1, (void)color;
}
static inline void DrawLineEx(Vector2 from, Vector2 to, float width, Color color) {
  (void)from, (void)to, (void)width, (void)color;
}
static inline void DrawRectangle(int x, int y, int width, int height, Color color) {
  (void)x, (void)y, (void)width, (void)height, (void)color;
}
static inline void DrawText(const char* text, int x, int y, int size, Color color) {
  (void)text, (void)x, (void)y, (void)size, (void)color;
}
static inline const char* TextFormat(const char* format, ...) { return format; }
