/* Windows that move over an image: what convolutions and poolings share. */
#ifndef ZO_NN_WINDOW_H
#define ZO_NN_WINDOW_H

#include "nn/layer.h"

/* Height and width of what windows give, for people. */
#define ZO_WINDOW_GIVES "((H - K)/stride + 1, or H/stride with ,same) x (the same of W)"

/* Fills s->window for a window of height x width and the options of the word; `same` keeps the size of the image (divided by the stride,
 * rounded up), with half of what is missing before it (rounded down), else the window stays inside. Returns NULL or what is wrong. */
const char *zo_window_fill(zo_stage *s, const zo_word *w, size_t height, size_t width);

/* Rows and columns of pixels that the windows see, outside ones included. */
size_t zo_window_rows(const zo_window *w);
size_t zo_window_columns(const zo_window *w);

#endif
