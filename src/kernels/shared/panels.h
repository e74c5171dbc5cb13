/* Packing and column updates, the same for every set. */
#ifndef ZO_KERNELS_PANELS_H
#define ZO_KERNELS_PANELS_H

#include <string.h>

LANES size_t panel_width(size_t column, size_t n) { return n - column > 16 ? ZO_PANEL : 16; }

/* Rows of b go by in small groups, so that b is read along its rows and every panel is written in runs. */
static void pack(float *packed, const float *b, size_t ldb, size_t k, size_t n)
{
    enum { ROWS = 8 };
    for (size_t first = 0; first < k; first += ROWS) {
        size_t last = first + ROWS < k ? first + ROWS : k;
        for (size_t c = 0; c < n; c += ZO_PANEL) {
            size_t width = panel_width(c, n);
            float *to = packed + c * k + first * width;
            for (size_t l = first; l < last; l++) {
                for (size_t j = c; j < c + width; j += 16, to += 16)
                    v_store(to, take(b + l * ldb + j, lanes_at(j, n)));
            }
        }
    }
}

/* Rows l .. l + 15 of a packed matrix, or those up to k and zeros, columns c .. c + 15, transposed. */
LANES void turned(v16 out[16], const float *packed, size_t k, size_t n, size_t l, size_t c)
{
    size_t panel = c / ZO_PANEL * ZO_PANEL, width = panel_width(panel, n);
    const float *from = packed + panel * k + c % ZO_PANEL;
    for (size_t r = 0; r < 16; r++) out[r] = l + r < k ? v_load(from + (l + r) * width) : v_set(0);
    v_transpose(out);
}

static void repack(float *packed_t, const float *packed, size_t k, size_t n)
{
    for (size_t l = 0; l < k; l += 16) {
        size_t panel = l / ZO_PANEL * ZO_PANEL, width = panel_width(panel, k);
        float *to = packed_t + panel * n + l % ZO_PANEL;
        for (size_t c = 0; c < n; c += 16) {
            v16 out[16];
            turned(out, packed, k, n, l, c);
            for (size_t j = 0; j < 16 && c + j < n; j++) v_store(to + (c + j) * width, out[j]);
        }
    }
}

/* The columns of one panel of a column update; no result is below `floor`. */
LANES void update_panel(float *h, size_t ldh, const zo_move *moves, size_t m, const float *z,
                        size_t ldz, const float *panel, const bool wide, v16 floor)
{
    const size_t width = wide ? ZO_PANEL : 16;
    for (size_t r = 0; r < m; r++) {
        v16 change = v_set(moves[r].change);
        const float *from = z + (size_t)moves[r].example * ldz,
                    *row = panel + (size_t)moves[r].unit * width;
        float *to = h + r * ldh;
        v_store(to, v_max(floor, v_fma(change, v_load(row), v_load(from))));
        if (wide)
            v_store(to + 16, v_max(floor, v_fma(change, v_load(row + 16), v_load(from + 16))));
    }
}

/* A few rows at a time, so that panels are read in runs, and results that are a power of two apart do not push each other out of the cache
 * before they are whole. */
static void column_update(float *h, size_t ldh, const zo_move *moves, size_t m, const float *z,
                          size_t ldz, const float *packed, size_t k, size_t n,
                          zo_activate_fn activate, int number)
{
    enum { ROWS = 4 };
    bool relu = activate == relu_activate;
    v16 floor = v_set(relu ? 0 : -INFINITY);
    for (size_t first = 0; first < m; first += ROWS, h += ROWS * ldh, moves += ROWS) {
        size_t rows = m - first < ROWS ? m - first : ROWS;
        for (size_t c = 0; c < n; c += ZO_PANEL) {
            const float *panel = packed + c * k;
            if (panel_width(c, n) == ZO_PANEL)
                update_panel(h + c, ldh, moves, rows, z + c, ldz, panel, true, floor);
            else
                update_panel(h + c, ldh, moves, rows, z + c, ldz, panel, false, floor);
        }
        if (activate && !relu) activate(h, ldh, h, ldh, rows, n, number);
    }
}

/* What is done to sixteen elements of row i, of image g, from column j on, before they are stored. */
LANES v16 finish(v16 x, const zo_epilogue *e, const float *c, size_t i, size_t g, size_t j)
{
    if (e->bias) x = v_add(x, v_load(e->bias + j));
    if (e->signs) x = v_add(x, v_signed(e->sigma, e->signs[i * e->ld_signs + j / 16]));
    if (e->noise) x = v_fma(v_set(e->sigma), v_load(e->noise + i * e->ld_noise + j), x);
    for (size_t q = 0; q < e->rank; q++) {
        float lift = e->lift[i * e->rank + q];
        size_t at = (g * e->rank + q) * e->ld_factor + j;
        x = e->factor ? v_fma(v_set(lift), v_load(e->factor + at), x)
                      : v_add(x, v_signed(lift, e->factor_signs[at / 16]));
    }
    if (e->accumulate) x = v_add(v_load(c), x);
    return x;
}
#endif
