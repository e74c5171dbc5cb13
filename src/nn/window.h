/* Windows that move over an image, and cells of a grid: what convolutions and poolings share. */
#ifndef ZO_NN_WINDOW_H
#define ZO_NN_WINDOW_H

#include "nn/layer.h"

/* Height and width of what windows give, for people. */
#define ZO_WINDOW_GIVES "((H - K)/stride + 1, or H/stride with ,same) x (the same of W)"

/* Fills s->window for a window of height x width and the options of the word; `same` keeps the size of the image (divided by the stride,
 * rounded up), with half of what is missing before it (rounded down), else the window stays inside. With `pad`
 * windows may begin so many pixels outside, and end there. Returns NULL or what is wrong. */
const char *zo_window_fill(zo_stage *s, const zo_word *w, size_t height, size_t width);

/* Rows and columns of pixels that the windows see, outside ones included. */
size_t zo_window_rows(const zo_window *w);
size_t zo_window_columns(const zo_window *w);

/* The outputs whose windows see a pixel of `in`, at least; none: height or width <= 0. The pixels that the windows of `out` span, which may
 * lie outside the image. And what of a patch lies inside. */
zo_patch zo_window_reach(const zo_window *w, zo_patch in);
zo_patch zo_window_extent(const zo_window *w, zo_patch out);
zo_patch zo_patch_inside(zo_patch p, const zo_shape *shape);

/* The cells that see any pixel of `in`; the pixels of the cells `out`. */
zo_patch zo_grid_reach(const zo_grid *g, zo_patch in);
zo_patch zo_grid_extent(const zo_grid *g, zo_patch out);

/* One example's part of a direction, or of the errors of its inputs, that a layer adds at each output pixel and tap inside the image: places of
 * the pixel, of the input pixel, and of the tap. */
typedef struct zo_tap_sums {
    const float *in, *e, *weight; /* of the example; in: directions, weight: errors */
    float *to;                    /* the direction, or the errors of its inputs */
} zo_tap_sums;
typedef void (*zo_tap_fn)(const zo_stage *s, const zo_tap_sums *a, size_t out, size_t in,
                          size_t tap);
void zo_window_direction(const zo_stage *s, zo_tap_fn f, size_t m, const float *in, size_t ld,
                         const float *e, float *g);
void zo_window_backward(const zo_stage *s, zo_tap_fn f, const float *weight, size_t m,
                        const float *e, float *in_e, bool add);

/* What follows a product of patches: columns from `column` on, of the rows after `done` examples and `pixel` pixels of the next. */
zo_epilogue zo_window_epilogue(const zo_kernels *k, const zo_stage *s, const zo_rows *r,
                               const float *bias, size_t column, size_t done, size_t pixel);

#endif
